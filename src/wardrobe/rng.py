"""Random numbers from a run's seed: an independent stream for each purpose."""

import zlib

import numpy as np


def make_rng(purpose: str, seed: int, *numbers: int) -> np.random.Generator:
    """Returns the generator for a purpose ("order"), a seed, and numbers such as the epoch."""
    return np.random.default_rng((zlib.crc32(purpose.encode()), seed, *numbers))
