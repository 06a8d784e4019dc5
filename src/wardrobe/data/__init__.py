"""Data sets, their splits, augmentation and batches.

- `load`: opens a data set by name and splits it; `dataset`: its types
- `test_split`: opens the test split, for `wardrobe.evaluation` alone
- `fashion_mnist`, `image_folder`, `synthetic`: the three sources of images
- `folder_layout`: the splits and classes of an image folder
- `clothing_photos`: photos to train on beside them
- `download`: the cache, and downloads into it
- `augment`: changed training images
- `batches`: arrays as each backend of Keras takes them fastest
"""

from wardrobe.data.dataset import (
    AUTO,
    FASHION_MNIST,
    NAMES,
    SYNTHETIC,
    TEST,
    VALIDATION,
    Dataset,
    Split,
    tile_images,
)
from wardrobe.data.load import load_data, load_training_data

__all__ = [
    "AUTO",
    "FASHION_MNIST",
    "NAMES",
    "SYNTHETIC",
    "TEST",
    "VALIDATION",
    "Dataset",
    "Split",
    "load_data",
    "load_training_data",
    "tile_images",
]
