"""Random numbers from a run's seed: a generator for each purpose, so that no two draw the same."""

import zlib

import numpy as np


def make_rng(purpose: str, seed: int, *numbers: int) -> np.random.Generator:
    """Returns the generator of a purpose, such as "order", of a run's seed, and of an epoch or the like."""
    return np.random.default_rng((zlib.crc32(purpose.encode()), seed, *numbers))
