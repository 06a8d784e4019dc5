"""Recipes: a network and how it is trained, as data.

A recipe is a frozen dataclass whose docstring gives the command, the expected score and the source of each trick.
Every field carries its unit. `RECIPES` lists those that ship; `dataclasses.replace` makes a variation.
"""

import difflib
from dataclasses import dataclass

from wardrobe.errors import UsageError


@dataclass(frozen=True)
class Recipe:
    """The fields of every recipe."""

    name: str
    conv_filters: tuple[int, ...]  # filters of each convolution, first to last; a 2x2 max-pooling follows each
    kernel_size: int  # pixels a side
    dense_units: int  # units of the hidden dense layer
    learning_rate: float  # Adam's, constant
    batch_size: int  # images a step
    epochs: int  # passes over the training split


@dataclass(frozen=True)
class Seed(Recipe):
    """The network that every Fashion-MNIST tutorial trains, and the baseline of every comparison here.

    Conv 32 3x3 ReLU, MaxPool 2x2, Conv 64 3x3 ReLU, MaxPool 2x2, Flatten, Dense 128 ReLU, Dense 10 logits.
    Adam, sparse categorical cross-entropy from logits, batch 32, 10 epochs. 225,034 parameters.

    Command:  wardrobe train seed
    Expected: about 91 % on the test split, in some 200 s on two cores of an AMD EPYC; RESULTS.md has the figures.
    Source:   layers and optimiser as asked for by the project's user; Adam: arXiv 1412.6980, Keras's defaults.
    """

    name: str = "seed"
    conv_filters: tuple[int, ...] = (32, 64)
    kernel_size: int = 3
    dense_units: int = 128
    learning_rate: float = 1e-3
    batch_size: int = 32
    epochs: int = 10


RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (Seed(),)}


def get(name: str) -> Recipe:
    """Returns the recipe called `name`.

    Raises:
        UsageError: there is none; the message offers the nearest name.
    """
    if name in RECIPES:
        return RECIPES[name]
    known = ", ".join(RECIPES)
    nearest = difflib.get_close_matches(name.lower(), RECIPES, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else "choose one of these."
    raise UsageError(f"unknown recipe {name!r}; the recipes are: {known}; {hint}")
