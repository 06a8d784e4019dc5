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
    learning_rate: float  # Adam's; where the schedule is one-cycle, the highest
    batch_size: int  # images a step
    epochs: int  # passes over the training split
    stem_filters: int = 0  # of a 4x4 convolution of stride 2 before the others, unpooled; 0: none
    padding: str = "valid"  # "valid": a 3x3 convolution takes a pixel off each edge; "same": it does not
    dropout: float = 0.0  # share of the inputs of both dense layers that a training step leaves out
    schedule: str = "constant"  # of the learning rate: "constant", or "one-cycle": up to it and down to nothing
    mirrored: bool = False  # answers are the mean over an image and its mirror image, where the model is used
    augment: str = "none"  # what is done to training images: "none", or "photo": see augment.photo_like


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


@dataclass(frozen=True)
class Photo(Recipe):
    """The network that ships in the package, for people's own photos; photo.py makes what it sees.

    Conv 48 4x4 stride 2, Conv 96 3x3, MaxPool 2x2, Conv 160 3x3, MaxPool 2x2, all ReLU, Flatten, Dense 128 ReLU, Dense
    10 logits; dropout before both dense layers. Adam with a one-cycle learning rate, batch 128. Trained on
    Fashion-MNIST alone, every image made to look like one cut out of a photo (augment.py). Its answers are the mean
    over an image and its mirror image.

    Command:  wardrobe train photo
    Expected: RESULTS.md and the model card, src/wardrobe/pretrained/README.md, have the figures.
    Source:   stem of stride 2: arXiv 1512.03385; one-cycle: arXiv 1708.07120; dropout: Srivastava et al. 2014;
              images that are none of the classes in training: outlier exposure, arXiv 1812.04606.
    """

    name: str = "photo"
    conv_filters: tuple[int, ...] = (96, 160)
    kernel_size: int = 3
    dense_units: int = 128
    learning_rate: float = 2e-3
    batch_size: int = 128
    epochs: int = 28
    stem_filters: int = 48
    padding: str = "same"
    dropout: float = 0.2
    schedule: str = "one-cycle"
    mirrored: bool = True
    augment: str = "photo"


RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (Seed(), Photo())}


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
