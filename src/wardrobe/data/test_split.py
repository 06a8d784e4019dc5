"""The only way to the test split. Only `wardrobe.evaluation` may import this module."""

from pathlib import Path

from wardrobe.data import clothing_photos
from wardrobe.data.clothing_photos import Photos
from wardrobe.data.dataset import TEST, Dataset, Split


def open_test_split(dataset: Dataset) -> Split:
    """Returns the test images and labels: measure on them, choose nothing on them."""
    return dataset._load_test()


def open_test_photos(photos_dir: Path | None = None) -> Photos:
    """Returns the test photos: measure on them, choose nothing on them.

    Args:
        photos_dir: as in `clothing_photos.find`, with a folder test.

    Raises:
        WardrobeError: as in `clothing_photos.load_photos`.
    """
    return clothing_photos.read_split(clothing_photos.locate(photos_dir), TEST)
