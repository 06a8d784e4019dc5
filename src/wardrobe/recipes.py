"""Recipes: a network and how it is trained, as data.

A recipe is a frozen dataclass whose docstring gives the command, the expected score and the source of each trick.
Every field carries its unit. `RECIPES` lists those that ship; `dataclasses.replace` makes a variation.
"""

import difflib
from dataclasses import dataclass, replace
from typing import Any

from wardrobe.errors import UsageError

FLOAT32, BFLOAT16 = "float32", "bfloat16"
VIEWS = 1, 2, 6  # of an image, that an answer may be the mean over; see models.averaged


@dataclass(frozen=True)
class Recipe:
    """The fields of every recipe."""

    name: str
    conv_filters: tuple[int, ...]  # filters of each convolution, first to last
    kernel_size: int  # pixels a side
    dense_units: int  # units of the hidden dense layer; 0: none
    learning_rate: float  # of a step; where the schedule is one-cycle, the highest
    batch_size: int  # images a step
    epochs: int  # passes over the training split
    conv_strides: tuple[int, ...] = ()  # pixels that each convolution goes on by; none given: 1
    pool_after: tuple[int, ...] = ()  # which convolutions, 1 the first, a 2x2 max-pooling follows; none given: each
    stem_filters: tuple[int, ...] = ()  # of convolutions of stride 2 before the others, the first 4x4, others 3x3
    padding: str = "valid"  # "valid": a 3x3 convolution takes a pixel off each edge; "same": it does not
    batch_norm: bool = False  # each convolution's outputs are normalised over the batch in training
    columns: int = 1  # networks side by side, each with its own weights and loss, whose mean logits are the answer
    whiten: bool = False  # the first convolution is not learnt: it takes patches apart, see models.whiten
    dropout: float = 0.0  # share of the inputs of both dense layers that a training step leaves out
    optimizer: str = "adam"  # "adam" or "muon", see muon.py
    weight_decay: float = 0.0  # share of itself, times the learning rate, that a kernel loses a step
    schedule: str = "constant"  # of the learning rate: "constant", or "one-cycle": up to it and down to nothing
    precision: str = FLOAT32  # of training's arithmetic: "bfloat16" where the processor has it; weights are float32
    flip: bool = False  # each training image is mirrored in every other epoch
    shift: int = 0  # pixels that a training image is moved by at most, each way
    erase: float = 0.0  # share of the training images that lose a rectangle
    hardest: float = 1.0  # share of the images, those of highest loss, that epochs after the second train on
    views: int = 1  # of an image that an answer is the mean over: one of VIEWS
    held_out: int = 0  # validation images that are kept out of training, for the temperature; 0: all of them
    augment: str = "none"  # what else is done to training images: "none", or "photo": see photo_augment.photo_like


@dataclass(frozen=True)
class Seed(Recipe):
    """The network that every Fashion-MNIST tutorial trains, and the baseline of every comparison here.

    Conv 32 3x3 ReLU, MaxPool 2x2, Conv 64 3x3 ReLU, MaxPool 2x2, Flatten, Dense 128 ReLU, Dense 10 logits.
    Adam, sparse categorical cross-entropy from logits, batch 32, 10 epochs. 225,034 parameters.

    Command:  wardrobe train seed
    Expected: about 91 % on the test split, in some 140 s on two cores of an AMD EPYC; RESULTS.md has the figures.
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
    Fashion-MNIST alone, every image made to look like one cut out of a photo (photo_augment.py). Its answers are the
    mean over an image and its mirror image.

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
    stem_filters: tuple[int, ...] = (48,)
    padding: str = "same"
    dropout: float = 0.2
    schedule: str = "one-cycle"
    views: int = 2
    augment: str = "photo"


@dataclass(frozen=True)
class Sprint(Recipe):
    """The quickest way to 91 %.

    Conv 16 4x4 stride 2, Conv 48 3x3 stride 2, both ReLU, Flatten, Dense 96 ReLU, Dense 10 logits. The first
    convolution is not learnt: it whitens patches of the training images. Muon with a one-cycle learning rate, batch
    512, 3 epochs; each image is mirrored in every other epoch. Training's arithmetic is bfloat16. Its answers are the
    mean over an image and its mirror image.

    Command:  wardrobe train sprint
    Expected: RESULTS.md has the figures.
    Source:   whitening, Muon, alternating flip: KellerJordan/cifar10-airbench; stem of stride 2: arXiv 1512.03385;
              one-cycle: arXiv 1708.07120.
    """

    name: str = "sprint"
    conv_filters: tuple[int, ...] = ()
    kernel_size: int = 3
    dense_units: int = 96
    learning_rate: float = 2e-2
    batch_size: int = 512
    epochs: int = 3
    stem_filters: tuple[int, ...] = (16, 48)
    whiten: bool = True
    optimizer: str = "muon"
    schedule: str = "one-cycle"
    precision: str = BFLOAT16
    flip: bool = True
    views: int = 2


@dataclass(frozen=True)
class Strong(Recipe):
    """The best in the time that `seed` takes.

    Conv 16, Conv 32, MaxPool 2x2, Conv 64 stride 2, Conv 64, Conv 64, MaxPool 2x2, Flatten, Dense 10 logits;
    convolutions are 3x3, batch-normalised, ReLU: small, so that it can go over the images often. Muon with weight decay
    and a one-cycle learning rate, batch 128. Images are mirrored in turn and moved by up to a pixel. After two epochs
    over all images, epochs go twice over those of highest loss. Training's arithmetic is bfloat16. Its answers are the
    mean over six views: the image and its mirror image, both also moved by a pixel each way.

    Command:  wardrobe train strong
    Expected: RESULTS.md has the figures.
    Source:   Muon, unscaled batch normalisation, alternating flip, views: KellerJordan/cifar10-airbench; what is hard:
              arXiv 1910.00762; weight decay: arXiv 1711.05101; one-cycle: arXiv 1708.07120.
    """

    name: str = "strong"
    conv_filters: tuple[int, ...] = (16, 32, 64, 64, 64)
    kernel_size: int = 3
    dense_units: int = 0
    learning_rate: float = 6e-3
    batch_size: int = 128
    epochs: int = 7
    conv_strides: tuple[int, ...] = (1, 1, 2, 1, 1)
    pool_after: tuple[int, ...] = (2, 5)
    padding: str = "same"
    batch_norm: bool = True
    optimizer: str = "muon"
    weight_decay: float = 0.1
    schedule: str = "one-cycle"
    precision: str = BFLOAT16
    flip: bool = True
    shift: int = 1
    hardest: float = 0.4
    views: int = 6


@dataclass(frozen=True)
class Champion(Recipe):
    """The best that two cores train in an hour.

    Three columns side by side, whose logits are averaged; in each twice Conv 32, MaxPool 2x2, twice Conv 96, MaxPool
    2x2, twice Conv 160, MaxPool 2x2, Flatten, Dense 10 logits; convolutions are 3x3, batch-normalised, ReLU. Muon with
    weight decay and a one-cycle learning rate, batch 128. Images are mirrored in turn and moved by up to a pixel, and
    many lose a rectangle. After two epochs over all images, epochs go twice over those of highest loss to the first
    column. Training's arithmetic is bfloat16. Its answers are the mean over six views: the image and its mirror image,
    both also moved by a pixel each way. With all of this chosen on the validation split, it trains on 4,000 images of
    that too; 1,000 stay out, for the temperature.

    Command:  wardrobe train champion
    Expected: RESULTS.md has the figures.
    Source:   as `strong`; columns: arXiv 1202.2745, each with its own loss as in deep ensembles, arXiv 1612.01474;
              random erasing: arXiv 1708.04896.
    """

    name: str = "champion"
    conv_filters: tuple[int, ...] = (32, 32, 96, 96, 160, 160)
    kernel_size: int = 3
    dense_units: int = 0
    learning_rate: float = 6e-3
    batch_size: int = 128
    epochs: int = 15
    pool_after: tuple[int, ...] = (2, 4, 6)
    padding: str = "same"
    batch_norm: bool = True
    columns: int = 3
    optimizer: str = "muon"
    weight_decay: float = 0.1
    schedule: str = "one-cycle"
    precision: str = BFLOAT16
    flip: bool = True
    shift: int = 1
    erase: float = 0.3
    hardest: float = 0.4
    views: int = 6
    held_out: int = 1_000


RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (Seed(), Sprint(), Strong(), Champion(), Photo())}


def lasting(recipe: Recipe, epochs: int | None) -> Recipe:
    """Returns the recipe with `epochs` in place of its own; as it is for None.

    Raises:
        UsageError: `epochs` is below 1.
    """
    if epochs is None:
        return recipe
    if epochs < 1:
        raise UsageError(f"--epochs {epochs} trains nothing; give 1 or more, or leave it out for {recipe.epochs}")
    return replace(recipe, epochs=epochs)


def short(value: Any) -> str:
    """Returns a field's value as Python writes it, a number with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else repr(value)


def made_of(fields: dict[str, Any]) -> Recipe:
    """Returns the recipe with these fields, as JSON keeps them; one that the run is older than is as if it were not.

    Raises:
        TypeError: a field is unknown or missing.
    """
    known: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    made = Recipe(**known)
    shipped = RECIPES.get(made.name)
    return replace(shipped, **vars(made)) if shipped else made  # of its own class: else the two are never equal


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
