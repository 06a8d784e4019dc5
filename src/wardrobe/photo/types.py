"""The arrays that the photo pipeline passes on."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

Rgb = npt.NDArray[np.uint8]  # (height, width, 3), 0-255
Grey = npt.NDArray[np.uint8]  # (height, width), 0-255
Mask = npt.NDArray[np.bool_]  # (height, width), True on the garment
Tones = npt.NDArray[np.float32]  # (height, width), 0-1
Source = str | Path | bytes | BinaryIO | Image.Image | npt.NDArray[np.uint8]  # of a photo
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom, 0-1 of width and height
