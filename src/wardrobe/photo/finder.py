"""The garment finder: a small U-Net in ONNX Runtime, on one thread, 1 ms a photo.

`wardrobe.training.finder` trains it on masks of GrabCut, which takes 40 ms.
"""

import functools
import os
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from wardrobe.photo.types import Mask, Rgb

SIDE = 96  # pixels of the squares that the network sees


def segment_with_network(rgb: Rgb) -> Mask:
    """Segments the garment; the photo is squashed to a square for the network."""
    logits = _open_session().run(None, {"pixels": squash(rgb)[None].astype(np.float32)})[0][0]
    height, width = rgb.shape[:2]
    return np.asarray(cv2.resize(logits, (width, height)) > 0)  # bilinear


def squash(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Returns a photo (h, w, 3), or a grey image (h, w), at the size of the network's input."""
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


@functools.cache
def _open_session() -> Any:
    """Opens the shipped finder once in a process. A session is safe to share between threads."""
    from wardrobe.onnx_runtime import PRETRAINED, open_session  # here: it imports ONNX Runtime

    return open_session(PRETRAINED / "finder-int8.onnx", threads=1)


if hasattr(os, "register_at_fork"):  # a thread may have held the session's locks in the parent
    os.register_at_fork(after_in_child=_open_session.cache_clear)
