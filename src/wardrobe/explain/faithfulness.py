"""Are heat maps true? Deletion, insertion, and what becomes of a map when the network forgets what it learnt.

Throughout: images (n, 28, 28), 0-255; classes (n,) int; maps (n, 28, 28) float, higher where the image speaks for its
class.
"""

from collections.abc import Callable, Iterator

import keras
import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from wardrobe.data import batches
from wardrobe.inference.confidence import softmax
from wardrobe.inference.occlusion import BATCH, Logits, blur
from wardrobe.models import architecture
from wardrobe.models.architecture import SIDE
from wardrobe.models.recipes import Recipe
from wardrobe.rng import make_rng

Floats = npt.NDArray[np.floating]
Images = npt.NDArray[np.uint8]
Classes = npt.NDArray[np.int64]

BLOCK = 4  # pixels a side of what is taken away or put in at once
ACROSS = SIDE // BLOCK
BLOCKS = ACROSS**2
RESAMPLES = 2000  # of the bootstrap


def random_maps(count: int, seed: int = 0) -> Floats:
    """Returns maps that say nothing: an order of the blocks by chance for each image."""
    rng = make_rng("random maps", seed)
    return np.repeat(np.repeat(rng.random((count, ACROSS, ACROSS)), BLOCK, axis=1), BLOCK, axis=2)


def deletion(logits: Logits, images: Images, classes: Classes, maps: Floats) -> Floats:
    """Returns the probability of the class as blocks are blurred, the map's highest first.

    A true map makes it fall early. Blocks, not pixels: single changed pixels disturb a network wherever they are.

    Returns:
        (n, BLOCKS + 1), 0-1: before the first block, and after each.

    Source: Petsiuk et al. 2018, arXiv 1806.07421.
    """
    return _curves(logits, images, classes, maps, lambda rank, step: rank >= step)


def insertion(logits: Logits, images: Images, classes: Classes, maps: Floats) -> Floats:
    """Returns the probability of the class as blocks are put into the blurred image, the map's highest first.

    A true map makes it rise early. (n, BLOCKS + 1), 0-1; source as for `deletion`.
    """
    return _curves(logits, images, classes, maps, lambda rank, step: rank < step)


def _curves(
    logits: Logits,
    images: Images,
    classes: Classes,
    maps: Floats,
    shown: Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], npt.NDArray[np.bool_]],
) -> Floats:
    """Returns the probabilities (n, BLOCKS + 1) with those blocks shown whose rank and the step `shown` says yes to."""
    steps = np.arange(BLOCKS + 1)[:, None, None]
    curves = []
    for some in batches.slices(len(images), BATCH):
        visible = shown(_ranks(maps[some])[:, None], steps)  # (n, steps, 28, 28)
        partial = np.where(visible, images[some, None], blur(images[some])[:, None])
        answers = softmax(logits(partial.reshape(-1, SIDE, SIDE))).reshape(*partial.shape[:2], -1)
        curves.append(answers[np.arange(len(partial)), :, classes[some]])
    return np.concatenate(curves)


def _ranks(maps: Floats) -> npt.NDArray[np.int64]:
    """Returns the rank of each pixel's block by the map's mean over it, 0 for the highest: (n, 28, 28)."""
    means = maps.reshape(-1, ACROSS, BLOCK, ACROSS, BLOCK).mean(axis=(2, 4)).reshape(-1, BLOCKS)
    ranks = np.argsort(np.argsort(-means, axis=1, kind="stable"), axis=1).reshape(
        -1, ACROSS, ACROSS
    )
    return np.repeat(np.repeat(ranks, BLOCK, axis=1), BLOCK, axis=2)


def mean_and_interval(values: Floats) -> tuple[float, float, float]:
    """Returns the mean of (n,) values and its 95 % interval, by bootstrap over them (Efron 1979)."""
    rng = make_rng("bootstrap", 0)
    means = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def randomize_layers(
    model: keras.Model, untrained: keras.Model, recipe: Recipe
) -> Iterator[tuple[str, keras.Model]]:
    """Yields the model with its layers' weights taken from an untrained one, from the logits downward: one more a time.

    Each comes with the name of the layer that was taken last; of columns, the same layer of all at once. A layer that
    training leaves as it is has nothing to forget.

    Args:
        untrained: as from `initializers.build_untrained`, of another seed.

    Source: the cascading randomisation of Adebayo et al. 2018, arXiv 1810.03292.
    """
    forgetful = keras.models.clone_model(model)
    forgetful.set_weights(model.get_weights())
    learnt = [
        layer.name for layer in untrained.layers if hasattr(layer, "kernel") and layer.trainable
    ]
    bare = [name.removeprefix(architecture.member_prefixes(recipe)[0]) for name in learnt]
    for name in reversed(
        list(dict.fromkeys(each for each in bare if not each.startswith("column")))
    ):
        for prefix in architecture.member_prefixes(recipe):
            forgetful.get_layer(prefix + name).set_weights(
                untrained.get_layer(prefix + name).get_weights()
            )
        yield name, forgetful


def map_similarity(maps: Floats, others: Floats, images: Images) -> Floats:
    """Returns Spearman's rank correlation of each map with its counterpart, over the garment's pixels: (n,), -1 to 1.

    The black background, on which every map is about 0, would make all maps alike. 0 where a map is one tone.
    """
    return np.array(
        [_rank_correlation(*pair) for pair in zip(maps, others, images > 0, strict=True)]
    )


def _rank_correlation(one: Floats, other: Floats, where: npt.NDArray[np.bool_]) -> float:
    first, second = one[where], other[where]
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)
