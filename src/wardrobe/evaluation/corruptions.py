"""Images as bad light, bad lenses and bad aim make them: ten corruptions in five severities.

Source: the kinds follow MNIST-C, Mu and Gilmer 2019, arXiv 1906.02337; the sizes here are listed below.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from wardrobe.photo import SIDE
from wardrobe.rng import make_rng

Images = npt.NDArray[np.uint8]
Corruption = Callable[[np.random.Generator, Images, float], npt.NDArray[np.floating]]

SEVERITIES = 1, 2, 3, 4, 5
GREY = 128


def corrupt(images: Images, kind: str, severity: int, seed: int = 0) -> Images:
    """Returns images (n, 28, 28), 0-255, with the corruption `kind`, one of `CORRUPTIONS`, at severity 1 to 5.

    What is left to chance, such as the direction of a turn, is drawn from `seed` for each image, and is the same at
    every severity.
    """
    corrupt, sizes = CORRUPTIONS[kind]
    changed = corrupt(make_rng(f"corruption {kind}", seed), images, sizes[severity - 1])
    return np.clip(np.round(changed), 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, images: Images, deviation: float) -> npt.NDArray[np.floating]:
    return images + 255 * deviation * rng.standard_normal(images.shape, np.float32)


def _blur(rng: np.random.Generator, images: Images, sigma: float) -> npt.NDArray[np.floating]:
    return _each(
        images,
        lambda image: cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE),
    )


def _brightness(rng: np.random.Generator, images: Images, added: float) -> npt.NDArray[np.floating]:
    return images + 255 * added


def _contrast(rng: np.random.Generator, images: Images, kept: float) -> npt.NDArray[np.floating]:
    mean = images.mean(axis=(1, 2), keepdims=True)
    return mean + kept * (images - mean)


def _shear(rng: np.random.Generator, images: Images, slope: float) -> npt.NDArray[np.floating]:
    slopes = slope * rng.choice((-1, 1), len(images))
    return _mapped(images, [np.array([[1, s], [0, 1]]) for s in slopes])


def _scale(rng: np.random.Generator, images: Images, factor: float) -> npt.NDArray[np.floating]:
    return _mapped(images, [np.eye(2) / factor] * len(images))


def _rotation(rng: np.random.Generator, images: Images, degrees: float) -> npt.NDArray[np.floating]:
    angles = np.radians(degrees) * rng.choice((-1, 1), len(images))
    return _mapped(
        images, [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles]
    )


def _translation(
    rng: np.random.Generator, images: Images, pixels: float
) -> npt.NDArray[np.floating]:
    angles = rng.uniform(0, 2 * np.pi, len(images))
    moves = pixels * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _mapped(images, [np.eye(2)] * len(images), moves)


def _occlusion(rng: np.random.Generator, images: Images, side: float) -> npt.NDArray[np.floating]:
    middles = rng.uniform(4, SIDE - 4, (len(images), 2, 1, 1))
    rows, columns = np.arange(SIDE)[:, None], np.arange(SIDE)[None, :]
    covered = (np.abs(rows - middles[:, 0]) < side / 2) & (
        np.abs(columns - middles[:, 1]) < side / 2
    )
    return np.where(covered, GREY, images).astype(np.float32)


def _pixelation(rng: np.random.Generator, images: Images, cells: float) -> npt.NDArray[np.floating]:
    few = int(cells), int(cells)

    def coarse(image: Images) -> npt.NDArray[np.generic]:
        small = cv2.resize(image, few, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)

    return _each(images, coarse)


def _mapped(
    images: Images,
    matrices: list[npt.NDArray[np.floating]],
    moves: npt.NDArray[np.floating] | None = None,
) -> npt.NDArray[np.floating]:
    """Returns the images with the pixel at p, from the middle, taken from matrix @ p - move; black from outside."""
    middle = np.full(2, (SIDE - 1) / 2)
    moves = np.zeros((len(images), 2)) if moves is None else moves
    changed = []
    for image, matrix, move in zip(images, matrices, moves, strict=True):
        offset = middle - matrix @ middle - move
        inverse = np.hstack([matrix, offset[:, None]])
        changed.append(
            cv2.warpAffine(
                image, inverse, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            )
        )
    return np.stack(changed).astype(np.float32)


def _each(
    images: Images, change: Callable[[Images], npt.NDArray[np.generic]]
) -> npt.NDArray[np.floating]:
    return np.stack([change(image) for image in images]).astype(np.float32)


# Kind → how, and the five sizes.
CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, ...]]] = {
    "noise": (_noise, (0.05, 0.1, 0.15, 0.25, 0.4)),  # standard deviation, as a share of white
    "blur": (_blur, (0.5, 0.75, 1.0, 1.5, 2.0)),  # standard deviation in pixels
    "brightness": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),  # added, as a share of white
    "contrast": (
        _contrast,
        (0.7, 0.5, 0.35, 0.2, 0.1),
    ),  # share that is left of each pixel's distance from the mean
    "shear": (_shear, (0.1, 0.2, 0.3, 0.4, 0.5)),  # pixels to the side for one up
    "scale": (_scale, (0.9, 0.8, 0.7, 0.6, 0.5)),  # times as large
    "rotation": (_rotation, (10, 20, 30, 45, 60)),  # degrees, either way
    "translation": (_translation, (1, 2, 3, 5, 7)),  # pixels, any direction
    "occlusion": (_occlusion, (4, 6, 8, 10, 12)),  # pixels a side of a grey square
    "pixelation": (_pixelation, (20, 16, 12, 9, 7)),  # cells a side
}
