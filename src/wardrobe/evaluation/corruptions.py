"""Ten corruptions of images in five severities: bad light, bad lenses, bad framing.

Source: after MNIST-C, Mu and Gilmer 2019, arXiv 1906.02337, with the parameters in `CORRUPTIONS`.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from wardrobe.photo import SIDE
from wardrobe.rng import make_rng

Images = npt.NDArray[np.uint8]  # (n, 28, 28), 0-255
Floats = npt.NDArray[np.floating]
Corruption = Callable[[np.random.Generator, Images, float], Floats]

SEVERITIES = 1, 2, 3, 4, 5
GREY = 128  # neither background nor the lightest garment


def corrupt(images: Images, name: str, severity: int, seed: int = 0) -> Images:
    """Returns images (n, 28, 28), 0-255, with one of `CORRUPTIONS` at severity 1 to 5.

    Random choices, such as the direction of a rotation, follow from `seed` and are the same at
    every severity.
    """
    function, parameters = CORRUPTIONS[name]
    corrupted = function(make_rng(f"corruption {name}", seed), images, parameters[severity - 1])
    return np.clip(np.round(corrupted), 0, 255).astype(np.uint8)


def _add_noise(rng: np.random.Generator, images: Images, deviation: float) -> Floats:
    return images + 255 * deviation * rng.standard_normal(images.shape, np.float32)


def _blur(rng: np.random.Generator, images: Images, sigma: float) -> Floats:
    edge = cv2.BORDER_REPLICATE  # no dark frame from outside the image
    blurred = [cv2.GaussianBlur(image, (0, 0), sigma, borderType=edge) for image in images]
    return np.stack(blurred).astype(np.float32)


def _brighten(rng: np.random.Generator, images: Images, added: float) -> Floats:
    return images + 255 * added


def _reduce_contrast(rng: np.random.Generator, images: Images, factor: float) -> Floats:
    mean = images.mean(axis=(1, 2), keepdims=True)  # (n, 1, 1)
    return mean + factor * (images - mean)


def _shear(rng: np.random.Generator, images: Images, slope: float) -> Floats:
    slopes = slope * rng.choice((-1, 1), len(images))
    return _transform(images, [np.array([[1, s], [0, 1]]) for s in slopes])


def _scale(rng: np.random.Generator, images: Images, factor: float) -> Floats:
    return _transform(images, [np.eye(2) / factor] * len(images))  # inverse: output → input


def _rotate(rng: np.random.Generator, images: Images, degrees: float) -> Floats:
    angles = np.radians(degrees) * rng.choice((-1, 1), len(images))  # either direction
    matrices = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles]
    return _transform(images, matrices)


def _translate(rng: np.random.Generator, images: Images, pixels: float) -> Floats:
    angles = rng.uniform(0, 2 * np.pi, len(images))
    moves = pixels * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _transform(images, [np.eye(2)] * len(images), moves)


def _occlude(rng: np.random.Generator, images: Images, side: float) -> Floats:
    centres = rng.uniform(4, SIDE - 4, (len(images), 2, 1, 1))  # away from the empty edge
    rows, columns = np.arange(SIDE)[:, None], np.arange(SIDE)[None, :]
    in_rows = np.abs(rows - centres[:, 0]) < side / 2  # (n, 28, 1)
    in_columns = np.abs(columns - centres[:, 1]) < side / 2  # (n, 1, 28)
    return np.where(in_rows & in_columns, GREY, images).astype(np.float32)


def _pixelate(rng: np.random.Generator, images: Images, cells: float) -> Floats:
    size = int(cells), int(cells)
    small = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
    nearest = cv2.INTER_NEAREST
    pixelated = [cv2.resize(image, (SIDE, SIDE), interpolation=nearest) for image in small]
    return np.stack(pixelated).astype(np.float32)


def _transform(images: Images, matrices: list[Floats], moves: Floats | None = None) -> Floats:
    """Maps each image: the pixel at p, from the centre, comes from matrix @ p - move.

    Pixels from outside the image are black.
    """
    centre = np.full(2, (SIDE - 1) / 2)
    moves = np.zeros((len(images), 2)) if moves is None else moves
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP  # the matrix is output → input
    transformed = []
    for image, matrix, move in zip(images, matrices, moves, strict=True):
        offset = centre - matrix @ centre - move
        inverse = np.hstack([matrix, offset[:, None]])  # (2, 3)
        transformed.append(cv2.warpAffine(image, inverse, (SIDE, SIDE), flags=flags))
    return np.stack(transformed).astype(np.float32)


# Name → function, and its parameter at each severity.
CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, ...]]] = {
    "noise": (_add_noise, (0.05, 0.1, 0.15, 0.25, 0.4)),  # standard deviation; 1 is white
    "blur": (_blur, (0.5, 0.75, 1.0, 1.5, 2.0)),  # standard deviation in pixels
    "brightness": (_brighten, (0.1, 0.2, 0.3, 0.4, 0.5)),  # added; 1 is white
    "contrast": (_reduce_contrast, (0.7, 0.5, 0.35, 0.2, 0.1)),  # factor on deviations from mean
    "shear": (_shear, (0.1, 0.2, 0.3, 0.4, 0.5)),  # pixels to the side for each pixel up
    "scale": (_scale, (0.9, 0.8, 0.7, 0.6, 0.5)),  # size relative to the original
    "rotation": (_rotate, (10, 20, 30, 45, 60)),  # degrees, in either direction
    "translation": (_translate, (1, 2, 3, 5, 7)),  # pixels, in any direction
    "occlusion": (_occlude, (4, 6, 8, 10, 12)),  # side of a grey square, in pixels
    "pixelation": (_pixelate, (20, 16, 12, 9, 7)),  # cells per side
}
