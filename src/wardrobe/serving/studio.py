"""What the studio's page shows of a picture: its way to the 28x28, the layers, where the answer comes from.

Arrays in, what goes into JSON out.
"""

import base64
import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from wardrobe import photo
from wardrobe.data import synthetic
from wardrobe.inference import occlusion
from wardrobe.inference.activations import ActivationModel, Layer
from wardrobe.inference.classifier import Classifier, Predictions
from wardrobe.inference.predict import to_json
from wardrobe.labels import CLASS_NAMES
from wardrobe.photo import Steps
from wardrobe.serving.protocols import RequestError

Floats = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.uint8]

PARTS = 4  # of a filter, in filters of the layer before
BRIGHTEST = 0.003  # share of a layer's activations that are shown as white
EXAMPLES_SEED = 110  # of 0 to 399 the one whose ten drawn garments the shipped model knows all
PIXELS = "application/vnd.wardrobe.pixels"  # content type of 784 grey values


@dataclass(frozen=True)
class Rectangle:
    """A part of a picture, in shares of its width and height, 0-1."""

    left: float
    top: float
    right: float
    bottom: float


def prepare(content: bytes, rectangle: Rectangle | None) -> Steps:
    """Returns a picture's way to what the model sees; of the part in the rectangle alone, where one is given.

    Raises:
        PhotoError: it cannot be read. RequestError: the rectangle is empty or lies outside.
    """
    if rectangle is None:
        return photo.prepare_steps(content)
    left, top, right, bottom = rectangle.left, rectangle.top, rectangle.right, rectangle.bottom
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise RequestError(
            f"the rectangle {left:g}, {top:g}, {right:g}, {bottom:g} is none; expected shares from 0 to 1"
        )
    with photo.open_image(content) as image:
        whole = photo.decode_full_size(image)
        width, height = whole.size
        edges = (
            round(left * width),
            round(top * height),
            round(right * width),
            round(bottom * height),
        )
        return photo.prepare_steps(whole.crop(edges))


def parse_rectangle(text: str | None) -> Rectangle | None:
    """Returns the rectangle of a query, "left,top,right,bottom"; None of none.

    Raises:
        RequestError: it is none.
    """
    if text is None:
        return None
    try:
        left, top, right, bottom = map(float, text.split(","))
    except ValueError as error:
        raise RequestError(
            f"rectangle is {text[:40]!r}; expected left,top,right,bottom, in shares, 0-1"
        ) from error
    return Rectangle(left, top, right, bottom)


def parse_pixels(content: bytes) -> Pixels:
    """Returns an image (28, 28) of as many bytes.

    Raises:
        RequestError: there are more or fewer.
    """
    if len(content) != photo.SIDE**2:
        raise RequestError(
            f"{len(content)} bytes are no image; expected {photo.SIDE**2} grey values, row by row"
        )
    return np.frombuffer(content, np.uint8).reshape(photo.SIDE, photo.SIDE)


def describe_steps(steps: Steps) -> dict[str, Any]:
    """Returns the way from photo to pixels: pictures as PNG in data addresses, the garment by its outline."""
    height, width = steps.photo.shape[:2]
    return {
        "photo": _png(steps.photo),
        "width": width,
        "height": height,
        "garment": _png(_cut_out(steps)),
        "found_by": steps.garment.found_by,
        "window": photo.square_window(steps.garment.mask),
    }


def describe_answer(answer: Predictions, row: int = 0) -> dict[str, Any]:
    """Returns one image's answer, as `wardrobe predict --json` has it: probabilities by class, the likeliest first."""
    return to_json(answer.ranked(row), answer.reason(row))


def describe_layers(
    classifier: Classifier,
    network: ActivationModel | None,
    answer: Predictions,
    pixels: Pixels,
    heat: bool,
) -> dict[str, Any]:
    """Returns one model's answer to an image, what its layers make of it and, if asked, where the answer comes from."""
    best = int(answer.probabilities[0].argmax())
    return {
        **describe_answer(answer),
        "layers": layers_shown(network, pixels) if network else {},
        "heat": heat_shown(classifier, pixels, best) if heat else None,
    }


def layers_shown(network: ActivationModel, pixels: Pixels) -> dict[str, str]:
    """Returns each layer's activations as they are shown: name → base64 of (filters, height, width) uint8.

    The root of the share of what all but `BRIGHTEST` of them stay below, so that what is weak can be seen as well.
    """
    shown = {}
    for name, maps in network.activations(pixels).items():
        most = max(float(np.quantile(maps, 1 - BRIGHTEST)), 1e-9)
        shown[name] = to_base64(np.rint(255 * np.sqrt((maps / most).clip(0, 1))).astype(np.uint8))
    return shown


def heat_shown(classifier: Classifier, pixels: Pixels, best: int) -> str:
    """Returns where the answer comes from: base64 of (28, 28) int8, above 0 what speaks for it, 127 the most."""
    heat = occlusion.heat_maps(classifier.logits, pixels[None], np.array([best]))[0]
    return to_base64(np.rint(127 * heat / max(float(np.abs(heat).max()), 1e-9)).astype(np.int8))


def describe_model(
    name: str, classifier: Classifier, network: ActivationModel | None
) -> dict[str, Any]:
    """Returns what the page needs to know of a model: its classes, where it comes from, its layers."""
    layers: list[dict[str, Any]] = []
    below = None  # the convolution before
    for layer in network.layers if network else ():
        layers.append(_layer_shown(layer, below))
        below = layer.name if layer.kernel is not None else below
    about = {
        key: classifier.metadata[key]
        for key in ("recipe", "data", "accuracy")
        if key in classifier.metadata
    }
    return {
        "name": name,
        "class_names": list(classifier.class_names),
        "about": about,
        "layers": layers,
    }


def _layer_shown(layer: Layer, below: str | None) -> dict[str, Any]:
    filters, height, width = layer.shape
    shown = {
        "name": layer.name,
        "side": layer.side,
        "filters": filters,
        "height": height,
        "width": width,
        "window": asdict(layer.receptive_field),
    }
    return shown | {"filter": None if layer.kernel is None else _filters_shown(layer.kernel, below)}


def _filters_shown(kernel: Floats, below: str | None) -> dict[str, Any]:
    """Returns what each filter is made of: the `PARTS` channels that weigh most in it, and its weights on those."""
    weight = np.abs(kernel).sum(axis=(2, 3))  # (filters, channels)
    parts = np.argsort(-weight, axis=1, kind="stable")[:, :PARTS]
    weights = np.take_along_axis(kernel, parts[:, :, None, None], axis=1)
    largest = np.maximum(np.abs(weights).max(axis=(1, 2, 3), keepdims=True), 1e-9)
    return {
        "of": below,  # None: of pixels
        "channels": kernel.shape[1],
        "parts": parts.tolist(),
        "weights": to_base64(
            np.rint(127 * weights / largest).astype(np.int8)
        ),  # (filters, parts, side, side)
    }


def draw_examples() -> list[dict[str, str]]:
    """Returns a drawn garment of each class: its name and PNG, as a data address."""
    images, labels = synthetic.draw(len(CLASS_NAMES), EXAMPLES_SEED)
    return [
        {"name": CLASS_NAMES[label], "png": _png(image)}
        for image, label in zip(images, labels, strict=True)
    ]


def _cut_out(steps: Steps) -> Pixels:
    """Returns the photo with what is not garment transparent: (height, width, 4)."""
    alpha = np.where(steps.garment.mask, 255, 0).astype(np.uint8)
    return np.dstack([steps.photo, alpha])


def png(image: Pixels) -> bytes:
    """Returns an image, grey, RGB or RGBA, as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _png(image: Pixels) -> str:
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


def to_base64(array: npt.NDArray[Any]) -> str:
    """Returns an array's bytes, row by row, as base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
