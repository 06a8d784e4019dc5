"""Images that a page sends for classes of its own → a folder of images, one subfolder a class."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardrobe.data.folder_layout import SPLIT_NAMES, normalize
from wardrobe.data.image_folder import TILES
from wardrobe.errors import RequestError
from wardrobe.photo import SIDE
from wardrobe.photo.listing import NOT_PHOTOS
from wardrobe.serving.studio import encode_png, parse_pixels
from wardrobe.terminal.console import make_printable

MIN_CLASSES, MAX_CLASSES = 2, 12
MAX_IMAGES = 500  # of a class
MAX_NAME = 60  # characters
# Names of folders that do not hold a class.
RESERVED = {*SPLIT_NAMES, *NOT_PHOTOS}


def parse_classes(value: Any) -> dict[str, list[bytes]]:
    """Returns the images of each class, 784 bytes each, from the JSON of a request.

    Raises:
        RequestError: the number of classes or images, a name or an image is not valid.
    """
    expected = f"{MIN_CLASSES} to {MAX_CLASSES} objects with name and images"
    if not isinstance(value, list) or not MIN_CLASSES <= len(value) <= MAX_CLASSES:
        raise RequestError(f"classes is not a list of {expected}; send them together")
    if not all(isinstance(each, dict) and each.keys() == {"name", "images"} for each in value):
        raise RequestError(f"classes has another element; expected {expected}")
    classes: dict[str, list[bytes]] = {}
    for each in value:
        name = _parse_name(each["name"])
        if name.casefold() in map(str.casefold, classes):  # one folder on some file systems
            raise RequestError(f"two classes are named {name!r}; give each its own name")
        classes[name] = _parse_images(name, each["images"])
    return classes


def _parse_name(name: Any) -> str:
    if not isinstance(name, str):
        raise RequestError("the name of a class is not a string; give it a name")
    name = normalize(name).strip()
    is_folder = name and not {"/", "\\"} & {*name} and name[0] != "." and name[-1] != "."
    if not is_folder or len(name) > MAX_NAME or make_printable(name) != name:
        raise RequestError(
            f"the class name {name[:MAX_NAME]!r} is not valid; give 1 to {MAX_NAME} characters "
            "without slashes, control characters and a dot at either end"
        )
    if name.casefold() in RESERVED:
        raise RequestError(f"a class cannot be named {name!r}; choose another name")
    return name


def _parse_images(name: str, images: Any) -> list[bytes]:
    if not isinstance(images, list) or not 1 <= len(images) <= MAX_IMAGES:
        count = len(images) if isinstance(images, list) else "no list of"
        raise RequestError(f"{name!r} has {count} images; give it 1 to {MAX_IMAGES}")
    return [_parse_image(name, each) for each in images]


def _parse_image(name: str, image: Any) -> bytes:
    try:
        content = base64.b64decode(image, validate=True)
    except (binascii.Error, TypeError, ValueError):
        content = b""
    if len(content) != SIDE**2:
        raise RequestError(
            f"an image of {name!r} is not the base64 of {SIDE**2} grey values, row by row; send it "
            "again"
        )
    return content


def write_classes(folder: Path, classes: Mapping[str, Sequence[bytes]]) -> None:
    """Writes each image as a PNG: `folder/CLASS/0001.png`, 28x28 grey; and the file of `TILES`."""
    for name, images in classes.items():
        (folder / name).mkdir(parents=True)
        for number, content in enumerate(images, 1):
            (folder / name / f"{number:04d}.png").write_bytes(encode_png(parse_pixels(content)))
    (folder / TILES).write_text("Images of 28x28 pixels; only equal ones are copies.\n")
