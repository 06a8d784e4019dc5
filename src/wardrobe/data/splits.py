"""The stratified split, the same for everyone."""

import numpy as np
import numpy.typing as npt


def stratified_split(
    labels: npt.NDArray[np.int64], held_out: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Splits indices in two parts with the same class proportions, always in the same way.

    scikit-learn's StratifiedShuffleSplit would do, but its choice may change between versions.
    `RandomState` has a stream that NumPy promises never to change (NEP 19).

    Args:
        labels: (n,) class indices.
        held_out: size of the second part, divided among the classes by their size, at least one
            of each class.

    Returns:
        The kept and the held-out indices, each in a fixed shuffled order.
    """
    random = np.random.RandomState(0)
    kept, out = [], []
    for label in np.unique(labels):
        indices = random.permutation(np.flatnonzero(labels == label))
        count = max(1, round(held_out * len(indices) / len(labels)))
        out.append(indices[:count])
        kept.append(indices[count:])
    return random.permutation(np.concatenate(kept)), random.permutation(np.concatenate(out))
