"""Which photos are copies of another: a thumbnail, a resized or a re-saved file of the same photo.

Photos are compared as a whole, at 12x12 pixels. The 28x28 tiles would not do: at another size, the
finder may draw another mask. docs/log.md has the error rates.
"""

import cv2
import numpy as np
import numpy.typing as npt

from wardrobe.photo.types import Rgb

SIDE = 12  # pixels of a thumbnail
# Distance of two thumbnails, of zero mean and unit length, up to which one is a copy of the other.
# 99.7 % of copies are nearer. The nearest of 4.7 million pairs of different photos is at 0.157.
MAX_DISTANCE = 0.1
COMPONENTS, NEIGHBOURS = 16, 16  # of the search: dimensions, candidates for each photo
CHUNK = 50_000  # pairs compared at once

Thumbnails = npt.NDArray[np.uint8]  # (n, SIDE, SIDE, 3)


def shrink(photo: Rgb) -> npt.NDArray[np.uint8]:
    """Returns the thumbnail of a photo, squashed to a square: (SIDE, SIDE, 3) uint8."""
    return np.asarray(cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def group_copies(thumbnails: Thumbnails) -> npt.NDArray[np.int64]:
    """Returns the first photo that each is a copy of, directly or through others: (n,) indices.

    60,000 photos take seconds. A photo of one tone is never a copy.
    """
    # Imported here, because `wardrobe.photo` is also for inference, which has no SciPy.
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    count = len(thumbnails)
    first = np.arange(count)
    flat = thumbnails.reshape(count, SIDE * SIDE * 3).astype(np.float32)  # (n, 432)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    used = np.flatnonzero(length[:, 0] > 0)
    if len(used) < 2:
        return first
    unit, same = np.unique(flat[used] / length[used], axis=0, return_inverse=True)
    # A projection never increases a distance, so none that is near is lost.
    _, axes = np.linalg.eigh(unit.T @ unit)  # ascending: the last are the principal components
    coarse = unit @ axes[:, -COMPONENTS:]  # (m, 16)
    _, near = KDTree(coarse).query(coarse, NEIGHBOURS, distance_upper_bound=MAX_DISTANCE)
    pairs = np.stack([np.repeat(np.arange(len(unit)), NEIGHBOURS), near.ravel()], axis=1)
    pairs = pairs[pairs[:, 1] < len(unit)]  # len(unit): no further neighbour
    chunks = np.array_split(pairs, len(pairs) // CHUNK + 1)
    distances = [np.linalg.norm(unit[a] - unit[b], axis=1) for a, b in (c.T for c in chunks)]
    left, right = pairs[np.concatenate(distances) <= MAX_DISTANCE].T
    graph = coo_matrix((np.ones(len(left)), (left, right)), (len(unit), len(unit)))
    group = connected_components(graph, directed=False)[1][same]  # (len(used),)
    _, start, where = np.unique(group, return_index=True, return_inverse=True)
    first[used] = used[start][where]
    return first
