"""What logits say: probabilities, and how like the known classes an image is. NumPy alone, for a quick start.

Throughout: logits (n, k) float, any sign.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Returns the softmax of the logits divided by `temperature`: (n, k) float64, rows that sum to 1."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def familiarity(logits: Floats) -> Floats:
    """Returns the logarithm of the sum of the logits' exponentials: (n,) float64, any sign.

    It is the negative free energy of Liu et al. 2020 (arXiv 2010.03759), higher for images like those of the training
    classes. A network trained with `training.CrossEntropyOrNone` gives "none of the classes" a logit of 0; with it,
    this is the log-odds that the image is one of them.
    """
    wide = logits.astype(np.float64)
    highest = wide.max(axis=1)
    return highest + np.log(np.exp(wide - highest[:, None]).sum(axis=1))
