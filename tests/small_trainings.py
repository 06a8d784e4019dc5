"""Trainings that take seconds: small networks on few images, and what their tests compare."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wardrobe import runs
from wardrobe.data import Dataset
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run

Weights = list[npt.NDArray[np.float32]]
FEW_FILTERS: dict[str, Any] = {"conv_filters": (4, 8), "conv_strides": None, "pool_after": (1, 2)}


class Killed(BaseException):
    """Ends a training as SIGKILL does."""


def create(dataset: Dataset, path: Path, recipe: Recipe) -> Run:
    """Makes the folder of a run with seed 1."""
    return runs.create_run(recipe, path, data=dataset.name, seed=1)


def equal(one: Weights, other: Weights) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
