"""What an epoch trains on: which images, in which order, changed how. Every epoch takes as many as there are.

All of it follows from seed, epoch and weights, so that a run that was killed goes on as if it had not been.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.data import Dataset, Split, augment, batches, photo_augment
from wardrobe.evaluation import metrics
from wardrobe.models import architecture
from wardrobe.models.recipes import Recipe
from wardrobe.rng import make_rng
from wardrobe.training.distributed import collectives

Indices = npt.NDArray[np.int64]

WARMUP_EPOCHS = 2  # epochs over all images, before it is known which are hard
EASY_FRACTION = 0.1  # share of the images that are not hard that are trained on nevertheless
BATCH = 500  # images, where losses are computed


def epoch_batches(
    recipe: Recipe, dataset: Dataset, model: keras.Model, seed: int, epoch: int
) -> dict[str, Any]:
    """Returns what epoch `epoch` (0 the first) trains on, as arguments of `fit`.

    Args:
        model: as the epoch before left it; asked for the losses if the recipe prefers what is hard.
    """
    train = dataset.train
    if recipe.augment == "photo":
        return _photo_like(recipe, dataset, seed, epoch)
    chosen = np.arange(len(train))
    if recipe.hard_fraction < 1 and epoch >= WARMUP_EPOCHS:
        chosen = select_hard_examples(
            _losses_of_all(model, train), recipe.hard_fraction, make_rng("others", seed, epoch)
        )
    rounds = [
        epoch_order(len(chosen), seed, epoch, number)
        for number in range(-(-len(train) // len(chosen)))
    ]
    first = epoch * round(
        len(train) / len(chosen)
    )  # rounds before this epoch: each mirrors what the last did not
    changed = [
        augment.augment(recipe, train.images, chosen[order], seed, first + number)
        for number, order in enumerate(rounds)
    ]
    images = changed[0] if len(changed) == 1 else np.concatenate(changed)[: len(train)]
    labels = np.concatenate([train.labels[chosen[order]] for order in rounds])[: len(train)]
    images, labels = collectives.shard((images, labels), recipe.batch_size)
    return batches.from_arrays(
        images[..., None], labels, collectives.per_process_batch_size(recipe.batch_size)
    )


def draw_samples(recipe: Recipe, dataset: Dataset, count: int) -> npt.NDArray[np.uint8]:
    """Returns `count` training images as the recipe shows them to its network, any of them: (count, 28, 28), 0-255."""
    train, rng = dataset.train, make_rng("samples", 0)
    chosen = rng.permutation(len(train))[:count]
    images = train.images[chosen]
    if recipe.augment == "none":
        return images
    masks, labels = photo_augment.garment_masks(images), train.labels[chosen]
    shown, _ = photo_augment.simulate_photos(rng, images, masks, labels, dataset.class_names)
    return np.rint(shown[..., 0]).astype(np.uint8)


def epoch_order(count: int, seed: int, epoch: int, number: int = 0) -> Indices:
    """Returns the order in which an epoch (0 the first) goes through `count` images for the first time, or again."""
    return make_rng("order", seed, epoch, number).permutation(count)


def compute_losses(model: keras.Model, split: Split) -> npt.NDArray[np.floating]:
    """Returns the cross-entropy of each image, as it lies in the split: (n,); of several columns, the first's."""
    logits = architecture.first_member(model).predict(
        **batches.from_images(split.images[..., None], BATCH), verbose=0
    )
    return metrics.cross_entropies(logits, split.labels)


def _losses_of_all(model: keras.Model, split: Split) -> npt.NDArray[np.floating]:
    """Returns the cross-entropy of each image, (n,); of several processes each computes a part."""
    return collectives.all_gather(
        compute_losses(model, split[collectives.local_indices(len(split))])
    )[: len(split)]


def select_hard_examples(
    losses: npt.NDArray[np.floating], share: float, rng: np.random.Generator
) -> Indices:
    """Returns the indices of the `share` of images with the highest losses, and of some of the others.

    Source: training on what the network does not know yet, as by the proxy model of airbench96 in
    KellerJordan/cifar10-airbench and in selective backpropagation (arXiv 1910.00762); here the network chooses itself,
    of several columns the first for all.
    """
    bar = np.sort(losses)[-round(share * len(losses))]
    return np.flatnonzero((losses >= bar) | (rng.random(len(losses)) < EASY_FRACTION))


def _photo_like(recipe: Recipe, dataset: Dataset, seed: int, epoch: int) -> dict[str, Any]:
    train, order = dataset.train, epoch_order(len(dataset.train), seed, epoch)

    def batch(number: int) -> batches.Batch:
        chosen = order[number * recipe.batch_size : (number + 1) * recipe.batch_size]
        rng = make_rng("photo", seed, epoch, number)
        images = train.images[chosen]
        masks = photo_augment.garment_masks(images)
        made = photo_augment.simulate_photos(
            rng, images, masks, train.labels[chosen], dataset.class_names
        )
        return collectives.shard(made, len(chosen))

    return batches.from_function(batch, -(-len(order) // recipe.batch_size))
