"""Recipes: a network and how it is trained, as data.

A recipe is one instance of `Recipe`. The docstring under each one gives the command, the expected
score and the source of each technique. `dataclasses.replace` makes a variation. Scores in comments
are on validation images, on which the settings were chosen; those in RESULTS.md are on test images.
"""

import difflib
import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

from wardrobe.errors import UsageError

FLOAT32, BFLOAT16 = "float32", "bfloat16"
MIN_STEPS = 150  # of a training on few images; docs/log.md, 2026-11-27
TTA_VIEWS = 1, 2, 6  # numbers of test-time augmentation views; see tta.with_tta


@dataclass(frozen=True)
class Field:
    """What a field of a recipe means, and the values that it may have."""

    meaning: str
    minimum: float | None = None  # of a number, or of each number of a list
    maximum: float | None = None
    choices: tuple[Any, ...] | None = None  # None: any value between the two


# Limits keep a mistyped number from using all memory or time. They say nothing about what is good.
Fraction = partial(Field, minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class Recipe:
    """The fields of a recipe: the network, the optimization, the training images, inference."""

    name: str

    # Network
    conv_filters: Annotated[
        tuple[int, ...], Field("filters of each convolution, first to last", 1, 2048)
    ]
    pool_after: Annotated[
        tuple[int, ...], Field("convolutions followed by 2x2 max pooling, 1 is the first", 1, 64)
    ]
    kernel_size: Annotated[int, Field("pixels per side of each convolution's kernel", 1, 28)] = 3
    conv_strides: Annotated[
        tuple[int, ...] | None,
        Field("stride of each convolution in pixels; none: 1 everywhere", 1, 28),
    ] = None
    stem_filters: Annotated[
        tuple[int, ...],
        Field("filters of stride-2 convolutions before the others: first 4x4, then 3x3", 1, 2048),
    ] = ()
    padding: Annotated[
        str, Field("padding of the convolutions, as in Keras", choices=("valid", "same"))
    ] = "valid"
    dense_units: Annotated[
        int | None, Field("units of the hidden dense layer; none: no such layer", 1, 65_536)
    ] = None
    batch_norm: Annotated[bool, Field("batch normalization after each convolution")] = False
    ensemble_size: Annotated[
        int, Field("networks trained side by side, whose mean logits are the answer", 1, 32)
    ] = 1
    # See initializers.whiten_stem.
    whitened_stem: Annotated[
        bool, Field("fix the first convolution to whiten image patches, and do not train it")
    ] = False

    # Optimization
    epochs: Annotated[int, Field("passes over the training images", 1, 9_999)] = 10
    minutes: Annotated[
        float | None,
        Field("minutes of training, which set the number of epochs; none: epochs", 0.01, 100_000.0),
    ] = None
    patience: Annotated[
        int | None,
        Field(
            "epochs without a lower val_loss after which training stops, and the epoch with the "
            "lowest is kept; none: the last is",
            1,
            9_999,
        ),
    ] = None
    batch_size: Annotated[int, Field("images per step", 1, 16_384)] = 32
    # See training/muon.py.
    optimizer: Annotated[
        str, Field("Adam, or Muon for hidden layers", choices=("adam", "muon"))
    ] = "adam"
    muon_iterations: Annotated[
        int, Field("Newton-Schulz iterations of a step of Muon; fewer are faster", 1, 20)
    ] = 5
    learning_rate: Annotated[
        float, Field("learning rate; with a schedule, its peak", 1e-7, 10.0)
    ] = 1e-3
    schedule: Annotated[
        str,
        Field(
            "of the learning rate; warmup-linear: linear warm-up, then linear decay to 0",
            choices=("constant", "warmup-linear"),
        ),
    ] = "constant"
    warmup_fraction: Annotated[
        float, Field("fraction of the steps in which the learning rate rises", 0.01, 0.99)
    ] = 0.25
    weight_decay: Annotated[
        float, Field("weight decay, decoupled, times the learning rate, on kernels only", 0.0, 10.0)
    ] = 0.0
    # See losses.balance_classes.
    class_weights: Annotated[
        str,
        Field(
            "of the loss, val_loss too; balanced: classes with few images count as much as others",
            choices=("none", "balanced"),
        ),
    ] = "none"
    dropout: Annotated[float, Field("dropout rate before each dense layer", 0.0, 0.95)] = 0.0
    precision: Annotated[
        str,
        Field(
            "of the layers in training; bfloat16 only where the device has it",
            choices=(FLOAT32, BFLOAT16),
        ),
    ] = FLOAT32

    # Training images
    alternating_flip: Annotated[bool, Field("mirror each image in every other epoch")] = False
    max_shift: Annotated[int, Field("pixels that an image is shifted, each way", 0, 27)] = 0
    erase_probability: Annotated[
        float, Fraction("probability that a rectangle of an image is erased")
    ] = 0.0
    hard_fraction: Annotated[
        float,
        Fraction("fraction of the images, those of highest loss, that are trained on from epoch 3"),
    ] = 1.0
    scoring_epochs: Annotated[
        int, Field("epochs for which the losses that choose those images hold", 1, 9_999)
    ] = 1
    # See data/clothing_photos.py, augment.warp and augment.make_unknowns.
    photo_fraction: Annotated[
        float, Fraction("fraction of an epoch's images that are real photos")
    ] = 0.0
    warp_fraction: Annotated[
        float,
        Fraction("fraction of an epoch's images, besides the photos, that are warped at random"),
    ] = 0.0
    unknown_fraction: Annotated[
        float, Fraction("fraction of an epoch's images that are made into images of no class")
    ] = 0.0
    held_out: Annotated[
        int | None, Field("validation images kept out of training; none: all of them", 1, 1_000_000)
    ] = None

    # Inference
    tta_views: Annotated[
        int, Field("views of an image whose logits are averaged", choices=TTA_VIEWS)
    ] = 1

    # The Python file of a network of one's own, in place of the layers above; see own_network. It
    # has no `Field`, so that no page or TOML file can name code to run.
    network: str | None = None


BASELINE = Recipe(
    name="baseline",
    conv_filters=(32, 64),
    pool_after=(1, 2),
    dense_units=128,
    epochs=10,
    batch_size=32,
    optimizer="adam",
    learning_rate=1e-3,
)
"""The standard tutorial network for Fashion-MNIST, and the baseline of every comparison here.

Conv 32 3x3 ReLU, MaxPool 2x2, Conv 64 3x3 ReLU, MaxPool 2x2, Flatten, Dense 128 ReLU, Dense 10
logits. Adam, sparse categorical cross-entropy from logits, batch 32, 10 epochs. 225,034 parameters.

Command:  wardrobe train baseline
Expected: about 91 % test accuracy in about 110 s on two cores of an AMD EPYC; see RESULTS.md.
Source:   layers and optimizer: the project's specification; Adam: arXiv 1412.6980, with the
          defaults of Keras.
"""

SPRINT = Recipe(
    name="sprint",
    stem_filters=(16,),
    whitened_stem=True,
    conv_filters=(32,),
    conv_strides=(2,),
    pool_after=(),
    kernel_size=2,  # no overlap: a third of the arithmetic of 3x3, and as accurate
    dense_units=96,  # 64 lose 0.4 points
    epochs=3,  # two lose 0.6 points
    batch_size=512,  # 1,024 lose 0.6 points
    optimizer="muon",
    muon_iterations=3,
    learning_rate=1.5e-2,  # 2.5e-2 loses 0.3 points
    schedule="warmup-linear",
    precision=BFLOAT16,
    alternating_flip=True,
    tta_views=2,
)
"""The recipe that reaches 91 % in the shortest time.

Conv 16 4x4 stride 2, Conv 32 2x2 stride 2, both ReLU, Flatten, Dense 96 ReLU, Dense 10 logits. The
first convolution is not trained: it whitens image patches. Answers are averaged over an image and
its mirror image. `examples/speedrun.py` is this recipe in one file.

Command:  wardrobe train sprint
Expected: see RESULTS.md.
Source:   whitening, Muon with three iterations, alternating flip: KellerJordan/cifar10-airbench;
          stride-2 stem: arXiv 1512.03385; schedule: arXiv 1708.07120, for the learning rate only.
"""

STRONG = Recipe(
    name="strong",
    # Depth at 3x3 units is cheap: NLL 0.152 for 0.156 with 16, 32, 64, 64, 64
    conv_filters=(16, 32, 64, 64, 128, 128),
    conv_strides=(1, 1, 2, 1, 1, 1),
    pool_after=(2, 4),
    padding="same",
    batch_norm=True,
    epochs=7,
    batch_size=128,
    optimizer="muon",
    learning_rate=8e-3,
    schedule="warmup-linear",
    warmup_fraction=0.1,  # with this rate: NLL 0.156; 6e-3 and 0.25 had 0.159
    weight_decay=0.1,
    precision=BFLOAT16,
    alternating_flip=True,
    max_shift=1,
    hard_fraction=0.4,
    scoring_epochs=2,  # 6 % less time, the same accuracy
    tta_views=6,
)
"""The most accurate recipe in about the training time of `baseline`.

Conv 16, Conv 32, MaxPool 2x2, Conv 64 stride 2, Conv 64, MaxPool 2x2, Conv 128 twice, Flatten,
Dense 10 logits; convolutions are 3x3 with batch normalization and ReLU. A small network sees the
images more often in the same time. After two epochs over all images, each epoch goes about twice
over the 40 % of the images with the highest loss and a tenth of the others; the losses are computed
in every second epoch. Answers are averaged over six views: the image and its mirror image, and both
shifted diagonally by a pixel, either way.

Command:  wardrobe train strong
Expected: see RESULTS.md.
Source:   Muon, batch normalization without a scale, alternating flip, test-time augmentation:
          KellerJordan/cifar10-airbench; hard-example mining: arXiv 1910.00762; weight decay: arXiv
          1711.05101; schedule: arXiv 1708.07120.
"""

CHAMPION = Recipe(
    name="champion",
    conv_filters=(32, 32, 96, 96, 160, 160),  # multiples of 32 are faster; eight layers no better
    pool_after=(2, 4, 6),
    padding="same",
    batch_norm=True,
    ensemble_size=3,
    epochs=15,  # between 11 and 15 the members overfit
    batch_size=128,
    optimizer="muon",
    learning_rate=6e-3,
    schedule="warmup-linear",
    weight_decay=0.1,
    precision=BFLOAT16,
    alternating_flip=True,
    max_shift=1,
    erase_probability=0.3,  # for long trainings
    hard_fraction=0.4,
    held_out=1_000,
    tta_views=6,
)
"""The most accurate recipe that two cores train in an hour.

An ensemble of three networks, each: Conv 32 twice, MaxPool 2x2, Conv 96 twice, MaxPool 2x2, Conv
160 twice, MaxPool 2x2, Flatten, Dense 10 logits; convolutions are 3x3 with batch normalization and
ReLU. The first member's losses choose the hard examples for all. Every choice was made on the
validation split; then 4,000 of its images were added to training, and 1,000 are kept for the
temperature.

Command:  wardrobe train champion
Expected: see RESULTS.md.
Source:   as `strong`; ensembles: arXiv 1202.2745, with a loss for each member as in arXiv
          1612.01474; random erasing: arXiv 1708.04896.
"""

PHOTO = Recipe(
    name="photo",
    conv_filters=(32, 32, 96, 96, 128, 128),
    pool_after=(2, 4, 6),
    padding="same",
    batch_norm=True,
    epochs=10,
    batch_size=128,
    optimizer="muon",
    learning_rate=6e-3,
    schedule="warmup-linear",
    weight_decay=0.1,
    precision=BFLOAT16,
    alternating_flip=True,
    max_shift=1,
    photo_fraction=0.3,
    warp_fraction=0.3,
    unknown_fraction=0.05,
    tta_views=2,
)
"""The network that ships with the package, for the user's own photos and for Fashion-MNIST alike.

Conv 32 twice, MaxPool 2x2, Conv 96 twice, MaxPool 2x2, Conv 128 twice, MaxPool 2x2, Flatten, Dense
10 logits; convolutions are 3x3 with batch normalization and ReLU. It is trained from random weights
on Fashion-MNIST and on real photos: in each epoch 40 % of the images are Fashion-MNIST's, 30 % are
Fashion-MNIST's under random warps, and 30 % are photos under the same warps. Of all of these, 5 %
are then made into images of no class. They and the photos of hats, shorts and skirts teach it to
answer "unlike the 10 classes". Answers are averaged over an image and its mirror image.

Command:  wardrobe train photo
Expected: see RESULTS.md and the model card, src/wardrobe/pretrained/README.md.
Source:   photos: Alexey Grigorev, clothing-dataset-small; Muon, batch normalization without a
          scale, alternating flip: KellerJordan/cifar10-airbench; training images of no class:
          outlier exposure, arXiv 1812.04606; photos of which several classes are correct: learning
          from partial labels, Cour, Sapp, Taskar 2011; random erasing: arXiv 1708.04896.
"""

SUMMARIES = {
    "baseline": "The standard tutorial network for Fashion-MNIST, and the baseline of every "
    "comparison here.",
    "sprint": "The recipe that reaches 91 % in the shortest time.",
    "strong": "The most accurate recipe in about the training time of `baseline`.",
    "champion": "The most accurate recipe that two cores train in an hour.",
    "photo": "The network that ships with the package, for the user's own photos and for "
    "Fashion-MNIST alike.",
}
RECIPES = {recipe.name: recipe for recipe in (BASELINE, SPRINT, STRONG, CHAMPION, PHOTO)}
# The fields of the layers, which a network of one's own has in its file.
LAYER_FIELDS = (
    *("conv_filters", "pool_after", "kernel_size", "conv_strides", "stem_filters", "padding"),
    *("dense_units", "batch_norm", "ensemble_size", "whitened_stem", "dropout", "precision"),
)


def with_network(recipe: Recipe, file: str) -> Recipe:
    """Returns the recipe with the network of a Python file, and no layers of its own."""
    bare = Recipe(recipe.name, conv_filters=(), pool_after=())
    return replace(recipe, network=file, **{name: getattr(bare, name) for name in LAYER_FIELDS})


def count_steps(recipe: Recipe, count: int) -> int:
    """Returns the steps of a training on `count` images."""
    return recipe.epochs * math.ceil(count / recipe.batch_size)


def with_enough_steps(recipe: Recipe, count: int) -> Recipe:
    """Returns the recipe with `MIN_STEPS` steps or more on `count` images.

    A few images are only a handful of large batches. So the batches are smaller and there are more
    epochs: about 16 steps an epoch. A recipe that has enough steps is returned unchanged.
    """
    if recipe.minutes is not None or count_steps(recipe, count) >= MIN_STEPS:
        return recipe
    batch_size = min(recipe.batch_size, max(16, count // 16))
    epochs = max(recipe.epochs, math.ceil(MIN_STEPS / math.ceil(count / batch_size)))
    return replace(recipe, batch_size=batch_size, epochs=epochs)


def from_dict(fields: dict[str, Any]) -> Recipe:
    """Returns the recipe with these fields, as run.json keeps them.

    Raises:
        TypeError: a field is unknown or missing.
    """
    known: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
    }
    if unknown := known.keys() - Recipe.__dataclass_fields__.keys():
        raise TypeError(f"its recipe has unknown fields: {', '.join(sorted(unknown))}")
    return Recipe(**known)


def get(name: str) -> Recipe:
    """Returns the recipe called `name`.

    Raises:
        UsageError: there is none; the message suggests the nearest name.
    """
    if name in RECIPES:
        return RECIPES[name]
    known = ", ".join(RECIPES)
    nearest = difflib.get_close_matches(name.lower(), RECIPES, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else "choose one of these"
    raise UsageError(f"unknown recipe {name!r}; the recipes are: {known}; {hint}")
