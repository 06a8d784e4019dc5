"""Recipes: a network and how it is trained, as data.

A recipe is one instance of `Recipe`. The docstring under each one gives the command, the expected
score and the source of each technique. `dataclasses.replace` makes a variation. Scores in comments
are on validation images, on which the settings were chosen; those in RESULTS.md are on test images.
"""

import difflib
from dataclasses import dataclass, replace
from typing import Any

from wardrobe.errors import UsageError

FLOAT32, BFLOAT16 = "float32", "bfloat16"
TTA_VIEWS = 1, 2, 6  # numbers of test-time augmentation views; see tta.with_tta


@dataclass(frozen=True)
class Recipe:
    """The fields of a recipe: the network, the optimization, the training images, inference."""

    name: str

    # Network
    conv_filters: tuple[int, ...]  # filters of each convolution, first to last
    pool_after: tuple[int, ...]  # convolutions followed by 2x2 max pooling, 1 is the first
    kernel_size: int = 3  # pixels per side
    conv_strides: tuple[int, ...] | None = None  # pixels, one per convolution; None: 1 everywhere
    # Filters of stride-2 convolutions before the others: the first is 4x4, the rest 3x3.
    stem_filters: tuple[int, ...] = ()
    padding: str = "valid"  # of the convolutions: "valid" or "same", as in Keras
    dense_units: int | None = None  # units of the hidden dense layer; None: no such layer
    batch_norm: bool = False  # batch normalization after each convolution
    ensemble_size: int = 1  # networks trained side by side, whose mean logits are the answer
    whitened_stem: bool = False  # fix the first convolution: see initializers.whiten_stem

    # Optimization
    epochs: int = 10
    batch_size: int = 32  # images per step
    optimizer: str = "adam"  # "adam" or "muon"; see training/muon.py
    learning_rate: float = 1e-3  # with a schedule, its peak
    schedule: str = "constant"  # "constant", or "warmup-linear": linear warm-up, linear decay to 0
    weight_decay: float = 0.0  # decoupled, times the learning rate, on kernels only
    dropout: float = 0.0  # dropout rate before each dense layer
    precision: str = FLOAT32  # of training; "bfloat16" only where the processor supports it

    # Training images
    alternating_flip: bool = False  # mirror each image in every other epoch
    max_shift: int = 0  # pixels, each way
    erase_probability: float = 0.0  # of a random rectangle in an image
    hard_fraction: float = 1.0  # from epoch 3: fraction of the images, those of highest loss
    photo_fraction: float = 0.0  # of an epoch's images: real photos; see data/clothing_photos.py
    warp_fraction: float = 0.0  # of an epoch's images, besides the photos: see augment.warp
    unknown_fraction: float = 0.0  # of all images of an epoch: made into images of no class
    held_out: int | None = None  # validation images kept out of training; None: all of them

    # Inference
    tta_views: int = 1  # views averaged at inference: one of TTA_VIEWS


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
Expected: about 91 % test accuracy in about 140 s on two cores of an AMD EPYC; see RESULTS.md.
Source:   layers and optimizer: the project's specification; Adam: arXiv 1412.6980, with the
          defaults of Keras.
"""

SPRINT = Recipe(
    name="sprint",
    stem_filters=(16, 48),  # 32 filters: 91.8 %, slower
    whitened_stem=True,
    conv_filters=(),
    pool_after=(),
    dense_units=96,  # 64 had 91.4 %, none at most 90.8 %
    epochs=3,  # 92.1 %; two epochs of batch 256 had 91.4 %
    batch_size=512,
    optimizer="muon",
    learning_rate=2e-2,  # 91.4 % in two epochs; 5e-3 had 90.5 %, 1.2e-2 91.2 %
    schedule="warmup-linear",
    precision=BFLOAT16,
    alternating_flip=True,
    tta_views=2,
)
"""The recipe that reaches 91 % in the shortest time.

Conv 16 4x4 stride 2, Conv 48 3x3 stride 2, both ReLU, Flatten, Dense 96 ReLU, Dense 10 logits. The
first convolution is not trained: it whitens image patches. Answers are averaged over an image and
its mirror image.

Command:  wardrobe train sprint
Expected: see RESULTS.md.
Source:   whitening, Muon, alternating flip: KellerJordan/cifar10-airbench; stride-2 stem: arXiv
          1512.03385; schedule: arXiv 1708.07120, for the learning rate only.
"""

STRONG = Recipe(
    name="strong",
    conv_filters=(16, 32, 64, 64, 64),  # half the arithmetic, more epochs: +0.5 points
    conv_strides=(1, 1, 2, 1, 1),
    pool_after=(2, 5),
    padding="same",
    batch_norm=True,
    epochs=7,
    batch_size=128,
    optimizer="muon",
    learning_rate=6e-3,
    schedule="warmup-linear",
    weight_decay=0.1,
    precision=BFLOAT16,
    alternating_flip=True,
    max_shift=1,
    hard_fraction=0.4,
    tta_views=6,
)
"""The most accurate recipe within the training time of `baseline`.

Conv 16, Conv 32, MaxPool 2x2, Conv 64 stride 2, Conv 64, Conv 64, MaxPool 2x2, Flatten, Dense 10
logits; convolutions are 3x3 with batch normalization and ReLU. A small network sees the images
more often in the same time. After two epochs over all images, each epoch goes about twice over the
40 % of the images with the highest loss and a tenth of the others. Answers are averaged over six
views: the image and its mirror image, and both shifted diagonally by a pixel, either way.

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
answer "not sure". Answers are averaged over an image and its mirror image.

Command:  wardrobe train photo
Expected: see RESULTS.md and the model card, src/wardrobe/pretrained/README.md.
Source:   photos: Alexey Grigorev, clothing-dataset-small; Muon, batch normalization without a
          scale, alternating flip: KellerJordan/cifar10-airbench; training images of no class:
          outlier exposure, arXiv 1812.04606; photos of which several classes are correct: learning
          from partial labels, Cour, Sapp, Taskar 2011; random erasing: arXiv 1708.04896.
"""

RECIPES = {recipe.name: recipe for recipe in (BASELINE, SPRINT, STRONG, CHAMPION, PHOTO)}


def with_epochs(recipe: Recipe, epochs: int | None) -> Recipe:
    """Returns the recipe with another number of epochs, or the recipe itself for None.

    Raises:
        UsageError: `epochs` is below 1.
    """
    if epochs is None:
        return recipe
    if epochs < 1:
        raise UsageError(
            f"--epochs {epochs} is too small; give 1 or more, or omit it for {recipe.epochs}"
        )
    return replace(recipe, epochs=epochs)


def format_value(value: Any) -> str:
    """Returns a field's value as Python writes it, floats with three significant digits."""
    return f"{value:.3g}" if isinstance(value, float) else repr(value)


def from_dict(fields: dict[str, Any]) -> Recipe:
    """Returns the recipe with these fields, as run.json keeps them.

    Raises:
        TypeError: a field is unknown or missing.
    """
    known: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
    }
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
