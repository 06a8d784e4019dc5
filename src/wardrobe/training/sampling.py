"""The images of each epoch: which, in which order, with which augmentation.

Every epoch has as many images as the training split. All of it follows from seed, epoch and
weights, so that a resumed run continues as if it had not been interrupted.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.data import Dataset, Split, augment, batches
from wardrobe.evaluation import metrics
from wardrobe.models import architecture
from wardrobe.models.recipes import Recipe
from wardrobe.rng import make_rng
from wardrobe.runs import Run
from wardrobe.training import checkpoints
from wardrobe.training.distributed import collectives

Images = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]
Part = tuple[Images, Floats]  # (n, 28, 28) 0-255; (n, k + 1), as `clothing_photos.Photos.targets`

WARMUP_EPOCHS = 2  # epochs over all images, before the losses tell which are hard
EASY_FRACTION = 0.1  # of the images that are not hard; they are trained on as well
LOSS_BATCH = 500  # images


def make_epoch_batches(
    recipe: Recipe,
    dataset: Dataset,
    model: keras.Model,
    seed: int,
    epoch: int,
    run: Run | None = None,
) -> dict[str, Any]:
    """Returns the batches of an epoch (0 is the first) as arguments of `keras.Model.fit`.

    Args:
        model: after the previous epoch; it computes the losses for hard-example mining.
        run: keeps these losses for the epochs that use them again; None: they are computed.
    """
    train = dataset.train
    chosen = np.arange(len(train))
    if _is_mined(recipe, epoch):
        rng = make_rng("others", seed, epoch)  # a stream of its own, apart from the order's
        losses = _find_losses(recipe, model, train, epoch, run)
        chosen = select_hard_examples(losses, recipe.hard_fraction, rng)
    # Several rounds over the chosen images; the last is cut off at the length of the split.
    orders = [
        shuffle_indices(len(chosen), seed, epoch, number)[: len(train) - start]
        for number, start in enumerate(range(0, len(train), len(chosen)))
    ]
    first = count_rounds(recipe, len(train), epoch)
    images = np.concatenate(  # (n, 28, 28); each round mirrors what the one before it did not
        [
            augment.augment(recipe, train.images, chosen[order], seed, first + number)
            for number, order in enumerate(orders)
        ]
    )
    targets: npt.NDArray[Any] = train.labels[chosen[np.concatenate(orders)]]  # (n,)
    if dataset.photos is not None:
        one_hot = np.eye(len(dataset.class_names) + 1, dtype=np.float32)[targets]
        rng = make_rng("photos", seed, epoch)
        photos = dataset.photos.train
        multi_hot = photos.targets(dataset.class_names)
        images, targets = _mix_photos(rng, recipe, (images, one_hot), (photos.images, multi_hot))
    images, targets = collectives.shard((images, targets), recipe.batch_size)
    batch_size = collectives.per_process_batch_size(recipe.batch_size)
    return batches.from_arrays(images[..., None], targets, batch_size)  # (n, 28, 28, 1) uint8


def count_rounds(recipe: Recipe, count: int, epoch: int) -> int:
    """Returns the number of rounds in all epochs before `epoch`, for `count` training images.

    A round is one pass over the chosen images. An epoch without mining is one round.
    """
    hard = _count_hard(recipe.hard_fraction, count)
    chosen = hard + _count_easy(count - hard)
    rounds_if_mined = -(-count // chosen)  # rounded up: 3 over 46 % of the images
    return sum(rounds_if_mined if _is_mined(recipe, each) else 1 for each in range(epoch))


def draw_samples(dataset: Dataset, count: int) -> Images:
    """Returns random training images, half of them photos if there are any: (count, 28, 28)."""
    rng = make_rng("samples", 0)
    images = dataset.train.images
    chosen = images[rng.permutation(len(images))[:count]]
    if dataset.photos is None:
        return chosen
    tiles = dataset.photos.train.images
    half = count // 2
    return np.concatenate([chosen[half:], tiles[rng.permutation(len(tiles))[:half]]])


def shuffle_indices(count: int, seed: int, epoch: int, number: int = 0) -> Indices:
    """Returns the order of `count` images in round `number` (0 is the first) of an epoch."""
    return make_rng("order", seed, epoch, number).permutation(count)


def compute_losses(model: keras.Model, split: Split) -> Floats:
    """Returns the cross-entropy of each image, (n,); for an ensemble, the first member's."""
    images = batches.from_images(split.images[..., None], LOSS_BATCH)
    logits = architecture.extract_first_member(model).predict(**images, verbose=0)
    return metrics.cross_entropies(logits, split.labels)


def select_hard_examples(losses: Floats, fraction: float, rng: np.random.Generator) -> Indices:
    """Returns the indices of the images with the highest losses, and of a tenth of the others.

    Their number depends only on n and `fraction`, so that rounds can be counted in advance.

    Args:
        losses: (n,).
        fraction: of the images that count as hard, 0-1.

    Source: hard-example mining as in selective backpropagation (arXiv 1910.00762) and with the
    proxy model of airbench96 in KellerJordan/cifar10-airbench. Here the network selects for itself.
    """
    by_loss = np.argsort(-losses, kind="stable")  # highest first
    hard, others = np.split(by_loss, [_count_hard(fraction, len(losses))])
    easy = rng.choice(others, _count_easy(len(others)), replace=False)
    return np.sort(np.concatenate([hard, easy]))


def _is_mined(recipe: Recipe, epoch: int) -> bool:
    return recipe.hard_fraction < 1 and epoch >= WARMUP_EPOCHS


def _count_hard(fraction: float, count: int) -> int:
    return max(round(fraction * count), 1)


def _count_easy(others: int) -> int:
    return round(EASY_FRACTION * others)


def _find_losses(
    recipe: Recipe, model: keras.Model, split: Split, epoch: int, run: Run | None
) -> Floats:
    """Returns the losses that choose an epoch's hard examples: new ones, or those of the run."""
    is_due = (epoch - WARMUP_EPOCHS) % recipe.scoring_epochs == 0
    kept = None if is_due or run is None else checkpoints.load_losses(run)
    if (known := collectives.broadcast_object(kept)) is not None:  # by process 0, which has the run
        return np.array(known)
    losses = _gather_losses(model, split)
    if run is not None and recipe.scoring_epochs > 1:
        checkpoints.save_losses(run, losses)
    return losses


def _gather_losses(model: keras.Model, split: Split) -> Floats:
    """Returns the cross-entropy of each image, (n,). Each process computes a part."""
    part = compute_losses(model, split[collectives.local_indices(len(split))])
    return collectives.all_gather(part)[: len(split)]  # the last part may have wrapped around


def _mix_photos(rng: np.random.Generator, recipe: Recipe, images: Part, photos: Part) -> Part:
    """Replaces a fraction of an epoch's images by photos, warps these and others.

    Args:
        images: in random order; photos: in any order.

    Returns:
        As many as `images`, in random order.
    """
    pixels, targets = images[0].copy(), images[1].copy()
    n, count = len(targets), round(recipe.photo_fraction * len(targets))
    available = len(photos[0])  # several rounds over the photos, each in its own order
    rounds = [rng.permutation(available) for _ in range(-(-count // available))]
    chosen = np.concatenate([*rounds, np.empty(0, np.int64)])[:count]
    pixels[:count], targets[:count] = photos[0][chosen], photos[1][chosen]
    warped = slice(0, count + round(recipe.warp_fraction * n))
    pixels[warped] = augment.warp(rng, pixels[warped])
    unknown = rng.random(n) < recipe.unknown_fraction
    pixels[unknown] = augment.make_unknowns(rng, pixels[unknown])
    targets[unknown] = np.eye(targets.shape[1])[-1]  # the last column is "none"
    order = rng.permutation(n)
    return pixels[order], targets[order]
