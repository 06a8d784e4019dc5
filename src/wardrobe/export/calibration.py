"""Calibration images: they show a quantizer the range of the activations."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]

CALIBRATION_IMAGES = 512  # training images
BATCH = 64


def iterate_batches(images: Images, size: int = BATCH) -> Iterator[npt.NDArray[np.float32]]:
    """Yields images as inputs of the model: (size, height, width, channels) float32, 0-255.

    Args:
        images: (n, height, width) grey, or (n, height, width, channels).
    """
    images = images[..., None] if images.ndim == 3 else images
    for start in range(0, len(images), size):
        yield images[start : start + size].astype(np.float32)
