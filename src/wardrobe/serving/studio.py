"""What the studio shows of an image: its preprocessing, the layers, and what supports the answer.

Arrays in, JSON-ready values out.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from wardrobe import photo
from wardrobe.data import synthetic
from wardrobe.errors import RequestError
from wardrobe.inference import occlusion
from wardrobe.inference.activations import ActivationModel
from wardrobe.inference.classifier import Classifier
from wardrobe.labels import CLASS_NAMES
from wardrobe.photo import Rectangle, Steps
from wardrobe.serving.batching import ServedModel

Floats = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.uint8]

MAX_CHANNELS = 4  # shown for a filter
# Activations above this quantile are all white, so that a few outliers do not darken the rest.
WHITE_QUANTILE = 0.997
# A drawn garment of each class that touches no edge. Both shipped models classify it correctly.
EXAMPLES = (4620, 591, 9412, 1673, 1394, 1335, 8306, 1597, 138, 209)
TITLES = {"photo": "Trained for photos", "baseline": "Tutorial network"}  # of the shipped models
PIXELS_TYPE = "application/vnd.wardrobe.pixels"  # media type of 784 grey values
EPSILON = 1e-9  # avoids a division by zero for maps that are 0 everywhere


def parse_rectangle(text: str | None) -> Rectangle | None:
    """Returns the rectangle of a query, "left,top,right,bottom"; None if there is none.

    Raises:
        RequestError: the text is not a rectangle inside the image.
    """
    if text is None:
        return None
    try:
        left, top, right, bottom = map(float, text.split(","))
        is_valid = 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    except ValueError:
        is_valid = False
    if not is_valid:
        raise RequestError(
            f"rectangle is {text[:40]!r}; expected left,top,right,bottom as fractions of the "
            "image's width and height, with left < right and top < bottom"
        )
    return left, top, right, bottom


def parse_pixels(content: bytes) -> Pixels:
    """Returns an image (28, 28) from its 784 bytes.

    Raises:
        RequestError: the number of bytes differs.
    """
    if len(content) != photo.SIDE**2:
        raise RequestError(
            f"the body has {len(content)} bytes; expected {photo.SIDE**2} grey values, row by row"
        )
    return np.frombuffer(content, np.uint8).reshape(photo.SIDE, photo.SIDE)


def describe_steps(steps: Steps) -> dict[str, Any]:
    """Returns the preprocessing steps, with images as data URLs."""
    height, width = steps.photo.shape[:2]
    alpha = np.where(steps.garment.mask, 255, 0).astype(np.uint8)
    return {
        "photo": _to_data_url(steps.photo),
        "width": width,
        "height": height,
        "garment": _to_data_url(np.dstack([steps.photo, alpha])),  # RGBA: (height, width, 4)
        "found_by": steps.garment.found_by,
        "window": photo.square_window(steps.garment.mask),
    }


def describe_image(
    model: ServedModel, logits: Floats, pixels: Pixels, with_heat: bool
) -> dict[str, Any]:
    """Returns a model's answer to an image (28, 28), its activations and, if asked, a heat map.

    Args:
        logits: the model's, (1, k).
    """
    predictions = model.classifier.to_predictions(pixels[None], logits)
    best = predictions.probabilities.argmax(axis=1)  # (1,)
    return {
        **predictions[0].to_json(),
        "logits": logits[0].tolist(),
        "temperature": model.classifier.metadata["temperature"],
        "layers": encode_activations(model.network, pixels) if model.network else {},
        "heat": encode_heat_map(model.classifier, pixels, best) if with_heat else None,
    }


def encode_activations(network: ActivationModel, pixels: Pixels) -> dict[str, str]:
    """Returns each layer's activations: name → base64 of (filters, height, width) uint8."""
    encoded = {}
    for name, maps in network.activations(pixels).items():
        white = max(float(np.quantile(maps, WHITE_QUANTILE)), EPSILON)
        # The square root makes weak activations visible.
        brightness = np.sqrt((maps / white).clip(0, 1))
        encoded[name] = to_base64(np.rint(255 * brightness).astype(np.uint8))
    return encoded


def encode_heat_map(classifier: Classifier, pixels: Pixels, label: npt.NDArray[np.int64]) -> str:
    """Returns the heat map of a class (1,): base64 of (28, 28) int8, positive for support."""
    heat = occlusion.heat_maps(classifier.logits, pixels[None], label)[0]
    return to_base64(to_int8(heat, np.abs(heat).max()))


def describe_model(model: ServedModel) -> dict[str, Any]:
    """Returns a model's classes, metadata and layers."""
    metadata = model.classifier.metadata
    shown = ("recipe", "data", "accuracy", "familiarity_threshold")
    return {
        "name": model.name,
        "title": TITLES.get(model.name, model.name.removesuffix("/model.onnx")),
        "class_names": list(model.classifier.class_names),
        "metadata": {key: metadata[key] for key in shown if key in metadata},
        "layers": describe_layers(model.network) if model.network else [],
    }


def describe_layers(network: ActivationModel) -> list[dict[str, Any]]:
    """Returns a network's convolutions, poolings and hidden dense layers, first to last."""
    layers: list[dict[str, Any]] = []
    previous = None  # the convolution before
    for layer in network.layers:
        filters, height, width = layer.shape
        kernel = None if layer.kernel is None else _describe_kernel(layer.kernel, previous)
        layers.append(
            {
                "name": layer.name,
                "kind": layer.kind,
                "input": layer.input,
                "side": layer.side,
                "filters": filters,
                "height": height,
                "width": width,
                "receptive_field": asdict(layer.receptive_field),
                "kernel": kernel,
            }
        )
        previous = previous if kernel is None else layer.name
    return layers


def _describe_kernel(kernel: Floats, previous: str | None) -> dict[str, Any]:
    """Returns each filter's MAX_CHANNELS input channels of most weight, and these weights."""
    totals = np.abs(kernel).sum(axis=(2, 3))  # (filters, channels)
    channels = np.argsort(-totals, axis=1, kind="stable")[:, :MAX_CHANNELS]
    weights = np.take_along_axis(kernel, channels[:, :, None, None], axis=1)
    largest = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)  # of each filter
    return {
        "input": previous,  # None: the pixels
        "input_channels": kernel.shape[1],
        "channels": channels.tolist(),
        "weights": to_base64(to_int8(weights, largest)),  # (filters, channels, side, side)
    }


def draw_examples() -> list[dict[str, str]]:
    """Returns a synthetic garment of each class, centred, as `describe_examples`."""
    images = [_centre(synthetic.draw(1, first=number)[0][0]) for number in EXAMPLES]
    return describe_examples(np.stack(images), np.arange(len(EXAMPLES)), CLASS_NAMES)


def describe_examples(
    images: Pixels, labels: npt.NDArray[np.int64], class_names: Sequence[str]
) -> list[dict[str, str]]:
    """Returns the first image of each class: its class's name, and its PNG as a data URL."""
    return [
        {"name": class_names[labels[i]], "png": _to_data_url(images[i])}
        for i in np.unique(labels, return_index=True)[1]
    ]


def _centre(image: Pixels) -> Pixels:
    """Moves a garment that touches no edge to the middle of its image (28, 28)."""
    middles = [(place.min() + place.max()) // 2 for place in np.nonzero(image)]
    return np.roll(image, [(photo.SIDE - 1) // 2 - each for each in middles], axis=(0, 1))


def encode_png(image: Pixels) -> bytes:
    """Returns an image, grey, RGB or RGBA, as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)  # 1: speed before size
    return buffer.getvalue()


def _to_data_url(image: Pixels) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode()


def to_int8(values: Floats, largest: Any) -> npt.NDArray[np.int8]:
    """Returns values scaled from ±largest to ±127."""
    return np.rint(127 * values / np.maximum(largest, EPSILON)).astype(np.int8)


def to_base64(array: npt.NDArray[Any]) -> str:
    """Returns an array's bytes, in C order, as base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
