"""Whether heat maps show what the model uses: deletion, insertion, randomised weights.

Throughout: images (n, 28, 28), 0-255; classes (n,) int; maps (n, 28, 28) float, higher where the
image supports its class.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from wardrobe.data import batches
from wardrobe.inference.confidence import softmax
from wardrobe.inference.occlusion import BATCH, Logits, blur
from wardrobe.models.layers import SIDE, member_prefixes
from wardrobe.models.recipes import Recipe
from wardrobe.rng import make_rng

Floats = npt.NDArray[np.floating]
Images = npt.NDArray[np.uint8]
Classes = npt.NDArray[np.int64]
# From the rank of each pixel's block, and the step, to whether the block is sharp at that step.
IsSharp = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], npt.NDArray[np.bool_]]

BLOCK = 4  # pixels per side; single changed pixels disturb a network wherever they are
BLOCKS_PER_SIDE = SIDE // BLOCK
BLOCKS = BLOCKS_PER_SIDE**2
RESAMPLES = 2000  # of the bootstrap


def random_maps(count: int, seed: int = 0) -> Floats:
    """Returns maps without information: a random order of the blocks for each image."""
    blocks = make_rng("random maps", seed).random((count, BLOCKS_PER_SIDE, BLOCKS_PER_SIDE))
    return _enlarge_blocks(blocks)


def deletion(logits: Logits, images: Images, classes: Classes, maps: Floats) -> Floats:
    """Returns the probability of the class as blocks are blurred, the map's highest first.

    With a faithful map it falls early.

    Returns:
        (n, BLOCKS + 1), 0-1: before the first block and after each.

    Source: Petsiuk et al. 2018, arXiv 1806.07421.
    """
    return _measure_curves(logits, images, classes, maps, lambda rank, step: rank >= step)


def insertion(logits: Logits, images: Images, classes: Classes, maps: Floats) -> Floats:
    """Returns the probability of the class as blocks replace their blurred version.

    The order, result and source are those of `deletion`. With a faithful map it rises early.
    """
    return _measure_curves(logits, images, classes, maps, lambda rank, step: rank < step)


def _measure_curves(
    logits: Logits, images: Images, classes: Classes, maps: Floats, is_sharp: IsSharp
) -> Floats:
    """Returns the probabilities (n, BLOCKS + 1) with blocks sharp where `is_sharp` is true."""
    steps = np.arange(BLOCKS + 1)[:, None, None]  # (50, 1, 1)
    curves = []
    for some in batches.slices(len(images), BATCH):
        sharp = is_sharp(_rank_blocks(maps[some])[:, None], steps)  # (n, steps, 28, 28)
        partial = np.where(sharp, images[some, None], blur(images[some])[:, None])
        probabilities = softmax(logits(partial.reshape(-1, SIDE, SIDE)))  # (n * steps, k)
        probabilities = probabilities.reshape(*partial.shape[:2], -1)  # (n, steps, k)
        curves.append(probabilities[np.arange(len(partial)), :, classes[some]])  # (n, steps)
    return np.concatenate(curves)


def _rank_blocks(maps: Floats) -> npt.NDArray[np.int64]:
    """Returns the rank of each pixel's block by its mean, 0 for the highest: (n, 28, 28)."""
    blocks = maps.reshape(-1, BLOCKS_PER_SIDE, BLOCK, BLOCKS_PER_SIDE, BLOCK).mean(axis=(2, 4))
    order = np.argsort(-blocks.reshape(-1, BLOCKS), axis=1, kind="stable")  # (n, 49)
    return _enlarge_blocks(np.argsort(order, axis=1).reshape(blocks.shape))


def _enlarge_blocks(blocks: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns blocks (n, 7, 7) as pixels (n, 28, 28)."""
    return np.repeat(np.repeat(blocks, BLOCK, axis=1), BLOCK, axis=2)


def mean_and_interval(values: Floats) -> tuple[float, float, float]:
    """Returns the mean of values (n,) and its 95 % interval, by bootstrap (Efron 1979)."""
    chosen = make_rng("bootstrap", 0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[chosen].mean(axis=1), (0.025, 0.975))  # of the resampled means
    return float(values.mean()), float(low), float(high)


def randomize_layers(
    model: keras.Model, untrained: keras.Model, recipe: Recipe
) -> Iterator[tuple[str, keras.Model]]:
    """Yields copies of the model, each with one more layer randomised, from the logits down.

    Each comes with the name of the layer randomised last; in an ensemble, that layer of every
    member. Layers that training does not change keep their weights.

    Args:
        untrained: gives the random weights; from `initializers.build_untrained` of another seed.

    Source: cascading randomisation, Adebayo et al. 2018, arXiv 1810.03292.
    """
    prefixes = member_prefixes(recipe)
    trained = [
        layer.name for layer in untrained.layers if hasattr(layer, "kernel") and layer.trainable
    ]
    names = [name.removeprefix(prefixes[0]) for name in trained if name.startswith(prefixes[0])]
    for name in reversed(names):  # from the logits down
        previous, model = model, keras.models.clone_model(model)  # the caller may keep each
        model.set_weights(previous.get_weights())
        for prefix in prefixes:
            weights = untrained.get_layer(prefix + name).get_weights()
            model.get_layer(prefix + name).set_weights(weights)
        yield name, model


def map_similarity(maps: Floats, others: Floats, images: Images) -> Floats:
    """Returns Spearman's rank correlation of each map with its counterpart: (n,), -1 to 1.

    Over the garment's pixels: on the black background every map is near 0, which would make all
    maps similar. 0 for a constant map.
    """
    pairs = zip(maps, others, images > 0, strict=True)
    return np.array([_rank_correlation(one[where], other[where]) for one, other, where in pairs])


def _rank_correlation(one: Floats, other: Floats) -> float:
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)
