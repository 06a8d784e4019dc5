"""A photo → the tile that a model sees: (28, 28) uint8, light on black, as in Fashion-MNIST.

- `steps`: `prepare`, all steps in a row
- `listing`: a folder → the photos in it; `copies`: photos → which are copies of another
- `decoding`: image file → upright RGB pixels
- `garment`, `finder`: pixels → mask of the garment
- `tile`: pixels and mask → tile
- `colour_map`: a tile that matplotlib has drawn in colours → its grey
"""

from wardrobe.photo.decoding.decode import open_image, read_photo
from wardrobe.photo.garment import TILE, Garment
from wardrobe.photo.steps import (
    Steps,
    prepare,
    prepare_or_reason,
    prepare_steps,
    prepare_steps_or_reason,
)
from wardrobe.photo.tile import SIDE, light_on_dark, square_window
from wardrobe.photo.types import Rectangle, Source

__all__ = [
    "SIDE", "TILE", "Garment", "Rectangle", "Source", "Steps", "light_on_dark", "open_image",
    "prepare", "prepare_or_reason", "prepare_steps", "prepare_steps_or_reason", "read_photo",
    "square_window",
]  # fmt: skip
