"""Explains one answer of a model file: ONNX Runtime computes, Pillow draws.

It needs neither Keras nor matplotlib, so it works where Wardrobe alone is installed, in a second.
What needs gradients, HiResCAM and Grad-CAM, is in `workflows.image_sheet`.
"""

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

from wardrobe.data import FASHION_MNIST, clothing_photos, synthetic
from wardrobe.inference import engines, occlusion
from wardrobe.inference.classifier import Classifier, Predictions
from wardrobe.inference.engines import PIXELS
from wardrobe.labels import CLASS_NAMES
from wardrobe.models.recipes import PHOTO
from wardrobe.onnx_runtime import DENSE, FLOAT, FOLLOWED, get_layer_name, open_session, parse_model
from wardrobe.percent import format_percent
from wardrobe.photo import Steps
from wardrobe.runs import atomic_write

Floats = npt.NDArray[np.floating]
Images = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

DRAWINGS, NEAREST = 100, 8  # drawn garments that are compared, ten of each class; shown
LAYERS, MAPS = 4, 10  # convolutions on the sheet; feature maps of each
# Pixels: of the sheet, of its parts from top to bottom, and of an image in the two kinds of rows.
WIDTH, MARGIN, HEAD, FOOT = 1040, 16, 76, 68
TOP, TILE, GAP, NEAREST_ROW = 168, 84, 8, 140
BARS = 10  # classes
INK, GREY, RED, BLUE = (34, 38, 43), (110, 116, 125), (178, 24, 43), (33, 102, 172)


@dataclass(frozen=True)
class Explanation:
    """What explains an answer."""

    heat: Floats  # (28, 28): log-probability lost where the image is occluded
    layers: dict[str, tuple[list[int], Floats]] = field(default_factory=dict)
    """Convolution → its strongest filters, and their activations (filters, h, w)."""
    nearest: list[tuple[str, float, Images]] = field(default_factory=list)
    """Class, cosine similarity and image (28, 28) of the most similar drawn garments."""
    convolutions: int = 0  # of the network; `layers` has some of them


def write_sheet(
    name: str,
    steps: Steps,
    classifier: Classifier,
    answer: Predictions,
    target: Path,
    left_out: str,
) -> dict[str, Any]:
    """Draws the sheet of one image into `target`, a PNG, and returns its content for JSON.

    Args:
        name: of the image. steps: from `photo.prepare_steps`. answer: to it, of `classifier`.
        left_out: what the sheet lacks, and why.

    Returns:
        "occlusion", "layers" and "nearest"; see `api.describe_image`.
    """
    found = explain(classifier, steps.pixels, answer)
    with atomic_write(target) as temporary:
        sheet = _draw(name, steps, answer, found)
        data = _name_data(classifier.metadata)
        sheet.write(MARGIN, sheet.y, f"the model's data: {data}; {left_out}", GREY)
        sheet.image.save(temporary, "PNG")
    return {
        "occlusion": found.heat.round(4).tolist(),
        "layers": {layer: filters for layer, (filters, _) in found.layers.items()},
        "nearest": [{"label": label, "similarity": near} for label, near, _ in found.nearest],
    }


def _name_data(metadata: dict[str, Any]) -> str:
    data = str(metadata.get("data", "unknown"))
    is_photo = (metadata.get("recipe"), data) == (PHOTO.name, FASHION_MNIST)
    return f"{data} and {clothing_photos.NAME}" if is_photo else data


def explain(classifier: Classifier, pixels: Images, answer: Predictions) -> Explanation:
    """Explains the answer to an image (28, 28).

    Layers are read from the float32 .onnx file, or from the one next to a file of another format.
    A custom network has no layers here, because the structure of its graph is unknown.
    """
    best = answer.probabilities.argmax(axis=1)
    heat = occlusion.heat_maps(classifier.logits, pixels[None], best)[0]
    stem = classifier.path.stem.removesuffix(engines.INT8)
    file = classifier.path.with_name(stem + engines.FORMATS["onnx"])
    if not file.is_file() or "network" in classifier.metadata:
        return Explanation(heat)
    model = parse_model(file.read_bytes())
    tensors, features = find_tensors(model)
    if not tensors or not features:
        return Explanation(heat)
    for tensor in (*tensors.values(), features):
        model.graph.output.add(name=tensor, type=FLOAT)
    session = open_session(model.SerializeToString())

    def run(images: Images, *outputs: str) -> list[Floats]:
        found: list[Floats] = session.run(outputs, {PIXELS: images[..., None].astype(np.float32)})
        return found

    *maps, own = run(pixels[None], *tensors.values(), features)
    layers = {}
    for place in sorted({*np.linspace(0, len(maps) - 1, LAYERS).round().astype(int).tolist()}):
        strongest = np.argsort(-maps[place][0].max(axis=(1, 2)), kind="stable")[:MAPS]
        layers[list(tensors)[place]] = strongest.tolist(), maps[place][0][strongest]
    if classifier.class_names != CLASS_NAMES:  # the drawn garments are of the ten classes
        return Explanation(heat, layers, convolutions=len(maps))
    images, labels = synthetic.draw(DRAWINGS)
    (others,) = run(images, features)
    lengths = np.linalg.norm(others, axis=1) * np.linalg.norm(own)
    cosines = others @ own[0] / np.maximum(lengths, 1e-12)  # (DRAWINGS,)
    order = np.argsort(-cosines, kind="stable")[:NEAREST]
    nearest = [(CLASS_NAMES[labels[i]], float(cosines[i]), images[i]) for i in order]
    return Explanation(heat, layers, nearest, len(maps))


def find_tensors(model: Any) -> tuple[dict[str, str], str]:
    """Returns convolution → tensor of its activations after ReLU; the tensor of the features.

    The features are the input of the last layer. With test-time augmentation or an ensemble, both
    are those of the unchanged image and the first member.

    Args:
        model: from `parse_model`.
    """
    tensors: dict[str, str] = {}
    tensor, features = PIXELS, ""
    followed = [each for each in model.graph.node if each.op_type in FOLLOWED]
    while node := next((each for each in followed if each.input[:1] == [tensor]), None):
        features = tensor if node.op_type in DENSE else features
        tensor = node.output[0]
        layer = get_layer_name(tensor)
        if node.op_type == "Conv" or (node.op_type == "Relu" and layer in tensors):
            tensors[layer] = tensor
    return tensors, features


class _Sheet:
    """A white picture that is filled from top to bottom.

    Attributes:
        y: where the next row begins, in pixels.
    """

    def __init__(self, height: int) -> None:
        self.image, self.y = Image.new("RGB", (WIDTH, height), "white"), 10
        self.draw = ImageDraw.Draw(self.image)

    def write(self, x: int, y: int, text: str, colour: Colour = INK, size: int = 13) -> None:
        self.draw.text((x, y), text, fill=colour, font=ImageFont.load_default(size))

    def paste(self, x: int, y: int, pixels: Images, side: int) -> None:
        """Pastes an image, grey or RGB, as a square with white margins."""
        is_small = max(pixels.shape[:2]) < side
        method = Image.Resampling.NEAREST if is_small else Image.Resampling.LANCZOS
        picture = Image.fromarray(pixels).convert("RGB")
        self.image.paste(ImageOps.pad(picture, (side, side), method, color="white"), (x, y))


def _draw(name: str, steps: Steps, answer: Predictions, found: Explanation) -> _Sheet:
    rows = len(found.layers) * (TILE + GAP) + (NEAREST_ROW if found.nearest else 0)
    sheet = _Sheet(HEAD + TOP + rows + FOOT)
    sheet.write(MARGIN, sheet.y, f"{name[-60:]}: {answer.verdict(0)}", size=22)
    subtitle = answer.reason(0) or "from its pixels to the answer"
    sheet.write(MARGIN, sheet.y + 30, subtitle, GREY)
    sheet.y = HEAD
    _draw_answer(sheet, steps, answer, found)
    for layer, (_, maps) in found.layers.items():
        sheet.write(MARGIN, sheet.y + TILE // 2 - 16, f"{layer}\nstrongest {len(maps)}")
        for column, each in enumerate(maps):
            tones = (255 * each / max(float(each.max()), 1e-9)).clip(0, 255).astype(np.uint8)
            sheet.paste(MARGIN + 90 + column * (TILE + GAP), sheet.y, tones, TILE)
        sheet.y += TILE + GAP
    if found.nearest:
        text = "most similar drawn garments, with cosine similarity"
        sheet.write(MARGIN, sheet.y + 2, text, GREY)
        for column, (label, similarity, image) in enumerate(found.nearest):
            left = MARGIN + column * (TILE + 5 * GAP)
            sheet.paste(left, sheet.y + 22, image, TILE)
            sheet.write(left, sheet.y + 24 + TILE, f"{label} {similarity:.2f}")
        sheet.y += NEAREST_ROW
    return sheet


def _draw_answer(sheet: _Sheet, steps: Steps, answer: Predictions, found: Explanation) -> None:
    """Draws photo, model input and heat map, and a bar for each of the likeliest classes."""
    is_photo = steps.photo.shape[:2] != steps.pixels.shape
    pictures = {"photo": steps.photo} if is_photo else {}
    overlay = occlusion.overlay(steps.pixels, found.heat, _colour_strength)
    pictures |= {"model input": steps.pixels, "occlusion": overlay}
    for column, (title, picture) in enumerate(pictures.items()):
        left = MARGIN + column * (TOP + GAP)
        sheet.write(left, sheet.y - 16, title, GREY)
        sheet.paste(left, sheet.y + 4, picture, TOP)
    left = MARGIN + len(pictures) * (TOP + GAP) + GAP
    for line, (label, value) in enumerate(islice(answer.ranked(0).items(), BARS)):
        y = sheet.y + 4 + line * TOP // BARS
        bar = (left + 130, y + 3, left + 130 + round(250 * value), y + 14)
        sheet.draw.rectangle(bar, fill=BLUE)
        sheet.write(left, y, label[:18])
        if not answer.not_sure[0]:  # it would contradict the title
            sheet.write(left + 388, y, format_percent(value))
    legend = f"red: supports {answer.labels[0]}, the most probable class; blue: opposes it"
    if found.layers:
        legend += f".  Below: {len(found.layers)} of {found.convolutions} convolutions"
    sheet.write(MARGIN, sheet.y + TOP + 10, legend, GREY)
    sheet.y += TOP + 36


def _colour_strength(strength: Floats) -> Floats:
    """Returns red above 0, blue below and white at 0, for `occlusion.overlay`."""
    tones = np.where(strength[..., None] > 0, RED, BLUE)  # (28, 28, 3)
    return 255 + np.abs(strength)[..., None] * (tones - 255.0)
