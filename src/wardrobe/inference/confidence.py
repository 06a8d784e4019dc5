"""Logits → probabilities and familiarity, in NumPy alone, because SciPy is slow to import.

Shapes: logits (n, k) float.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@np.errstate(invalid="ignore")  # infinite logits give NaN
def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Returns the softmax of logits / temperature: (n, k) float64, rows sum to 1."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))  # at most 1: no overflow
    return powers / powers.sum(axis=1, keepdims=True)


@np.errstate(invalid="ignore")
def familiarity(logits: Floats) -> Floats:
    """Returns the log-sum-exp of the logits: (n,) float64, higher for familiar images.

    This is the negative free energy of Liu et al. 2020 (arXiv 2010.03759). A network trained with
    `losses.CrossEntropyWithUnknown` gives the logit 0 to "no class"; then this is the log-odds that
    the image is of one of the classes.
    """
    wide = logits.astype(np.float64)
    highest = wide.max(axis=1)
    # Without the largest logit, exp cannot overflow.
    return highest + np.log(np.exp(wide - highest[:, None]).sum(axis=1))
