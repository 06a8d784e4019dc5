"""What the network learnt, layer by layer: arrays in, arrays out; plots draw them.

Throughout: images (n, 28, 28) uint8, 0-255. Of a network of several columns, the first stands for all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE

from wardrobe.data import batches
from wardrobe.models import architecture, gradients
from wardrobe.models.architecture import SIDE
from wardrobe.models.recipes import Recipe

Floats = npt.NDArray[np.floating]
Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

BATCH = 500  # images
PROBE_SIDE = 7  # cells a side that a layer's maps are averaged to before a probe sees them
PROBE_COMPONENTS = 128  # principal components that a probe sees at most
LEAST_SPREAD = (
    1e-3  # of a component's deviation to the first's: what hardly varies would be blown up
)
ASCENT_COMPONENTS = 100
ASCENT_STEPS = 60
ASCENT_RATE = 0.1  # length of a step, in mean distances of images from their mean


def first_filters(model: keras.Model) -> Floats:
    """Returns the kernels of the first convolution: (filters, height, width), any sign; it sees one grey channel."""
    kernel = keras.ops.convert_to_numpy(architecture.find_convolutions(model)[0].kernel)
    return kernel[:, :, 0, :].transpose(2, 0, 1)


def feature_maps(model: keras.Model, images: Images) -> dict[str, Floats]:
    """Returns each convolution's activations: layer name → (n, height, width, filters), 0 and up after ReLU."""
    names = [layer.name for layer in architecture.find_convolutions(model)]
    return architecture.build_intermediates(model, names).predict(images[..., None], verbose=0)


def strongest_inputs(
    model: keras.Model, depth: int, parts: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Returns which filters of a layer each filter of the next is made of.

    Args:
        depth: of the later convolution, from 1: convolution `depth` sees the maps of the one before it.
        parts: how many are wanted.

    Returns:
        indices (filters, parts) of those of the earlier layer with the largest kernels (sum of squares), largest first;
        kernels (filters, parts, height, width): where it wants to find each of them (above 0) and where not (below).
    """
    kernel = keras.ops.convert_to_numpy(
        architecture.find_convolutions(model)[depth].kernel
    )  # (h, w, in, out)
    strength = (kernel**2).sum(axis=(0, 1)).T  # (out, in)
    largest = np.argsort(-strength, axis=1, kind="stable")[:, :parts]
    return largest, np.stack(
        [kernel[:, :, inputs, out].transpose(2, 0, 1) for out, inputs in enumerate(largest)]
    )


@dataclass(frozen=True)
class TopImages:
    """The images that excite each of a layer's filters most."""

    filters: npt.NDArray[np.int64]  # (f,) the filters looked at
    images: npt.NDArray[np.int64]  # (f, count) indices of images, the most exciting first
    middles: npt.NDArray[
        np.float64
    ]  # (f, count, 2) row and column, in pixels, of the place in the image
    size: int  # pixels a side that the filter sees


def find_top_images(
    model: keras.Model, recipe: Recipe, images: Images, filters: int, count: int
) -> dict[str, TopImages]:
    """Returns for each convolution those of its filters that vary most over the images, and what excites them most.

    Of each image its most exciting place counts.
    """
    names = [layer.name for layer in architecture.find_convolutions(model)]
    inner = architecture.build_intermediates(model, names)
    heights: dict[str, list[Floats]] = {name: [] for name in names}
    places: dict[str, list[npt.NDArray[np.int64]]] = {name: [] for name in names}
    for some in batches.slices(len(images), BATCH):
        maps = inner.predict_on_batch(images[some, ..., None])
        for name in names:
            flat = maps[name].reshape(len(maps[name]), -1, maps[name].shape[-1])
            heights[name].append(flat.max(axis=1))
            places[name].append(flat.argmax(axis=1))
    windows = architecture.compute_receptive_fields(recipe)
    sides = {name: model.get_layer(name).output.shape[2] for name in names}
    return {
        name: _excited(
            np.concatenate(heights[name]),
            np.concatenate(places[name]),
            sides[name],
            windows[name],
            filters,
            count,
        )
        for name in names
    }


def _excited(
    heights: Floats,
    places: npt.NDArray[np.int64],
    side: int,
    window: tuple[float, int, int],
    filters: int,
    count: int,
) -> TopImages:
    """Chooses from the height (n, all filters) and flat index of each image's most exciting place."""
    first, step, size = window
    chosen = np.sort(np.argsort(-heights.std(axis=0), kind="stable")[:filters])
    best = np.argsort(-heights[:, chosen], axis=0, kind="stable")[:count].T  # (f, count)
    at = places[best, chosen[:, None]]
    middles = first + step * np.stack([at // side, at % side], axis=-1).astype(np.float64)
    return TopImages(chosen, best, middles, size)


def maximize_activation(
    model: keras.Model, recipe: Recipe, layer: str, filters: Sequence[int], like: Images
) -> npt.NDArray[np.uint8]:
    """Returns for each filter in the middle of its map, or unit of a dense layer, an image made to excite it.

    Gradient ascent on what the filter gives before its ReLU. So that a person can read the result, it is looked for
    among images like those of `like`, (n, 28, 28): their mean and a sum of their `ASCENT_COMPONENTS` first principal
    components, the finer of them let in more than in the images themselves, else only brightness would count. What is
    given is the window that the filter sees.

    Returns:
        (f, side, side) uint8, 0-255, the brightest pixel of each made white.

    Source: activation maximisation, Erhan et al. 2009; with a prior learnt from images, Nguyen et al. 2016, arXiv
    1605.09304.
    """
    window = _middle_window(model, recipe, layer)
    outside = like.mean(axis=0)
    patches = like[:, window, window].reshape(len(like), -1) / 255
    components = PCA(min(ASCENT_COMPONENTS, *patches.shape), svd_solver="full").fit(patches)
    spread = np.sqrt(components.explained_variance_)
    patterns = components.components_ * np.sqrt(spread * spread.mean())[:, None]
    excitement = gradients.compile_gradient(_excitement(model, layer, filters))
    farthest = np.sqrt(len(patterns))
    weights = np.zeros((len(filters), len(patterns)))
    side = window.stop - window.start
    for step in range(ASCENT_STEPS + 1):
        found = np.clip(components.mean_ + weights @ patterns, 0, 1).reshape(-1, side, side) * 255
        if step == ASCENT_STEPS:
            break
        images = np.repeat(outside[None], len(filters), axis=0)
        images[:, window, window] = found
        _, gradient = excitement(images[..., None])
        ascent = gradient[:, window, window, 0].reshape(len(filters), -1) @ patterns.T
        weights += (
            farthest
            * ASCENT_RATE
            * ascent
            / np.maximum(np.linalg.norm(ascent, axis=1, keepdims=True), 1e-12)
        )
        weights /= np.maximum(np.linalg.norm(weights, axis=1, keepdims=True) / farthest, 1)
    brightest = np.maximum(found.max(axis=(1, 2), keepdims=True), 1)
    return np.round(255 * found / brightest).astype(np.uint8)


def _middle_window(model: keras.Model, recipe: Recipe, layer: str) -> slice:
    """Returns the rows, and columns, of the image that the middle of a convolution's map sees; of other layers, all."""
    windows = architecture.compute_receptive_fields(recipe)
    if layer not in windows:
        return slice(0, SIDE)
    first, step, size = windows[layer]
    middle = first + step * (model.get_layer(layer).output.shape[1] // 2)
    return slice(max(0, round(middle - (size - 1) / 2)), min(SIDE, round(middle + (size + 1) / 2)))


def _excitement(model: keras.Model, name: str, filters: Sequence[int]) -> Callable[[Any], Any]:
    """Returns the function of as many images as filters that gives what each filter makes of its image, before ReLU."""
    layer = model.get_layer(name)
    before = keras.Model(model.input, layer.input)
    chosen = np.eye(layer.kernel.shape[-1], dtype=np.float32)[list(filters)]

    def excitement(images: Any) -> Any:
        if isinstance(layer, keras.layers.Dense):
            answers = keras.ops.matmul(before(images), layer.kernel)
        else:
            maps = layer.convolution_op(before(images), layer.kernel)
            middle = maps.shape[1] // 2
            answers = maps[:, middle, middle]
        return keras.ops.sum(answers * chosen, axis=1)

    return excitement


def fit_probes(
    model: keras.Model, train: tuple[Images, Labels], held_out: tuple[Images, Labels], seed: int = 0
) -> dict[str, float]:
    """Returns how well a linear classifier does on what each layer makes of an image: name → accuracy, 0-1, in order.

    The layers are the pixels, each convolution, the hidden dense layer and the logits. A convolution's maps are
    averaged to 7x7 cells, and of each layer its `PROBE_COMPONENTS` first principal components are given, so that no
    probe has more to learn from than that.

    Source: Alain and Bengio 2016, arXiv 1610.01644.
    """
    names = ["pixels", *_probed(model)]
    inner = architecture.build_intermediates(model, names)
    seen, new = (_features(inner, images) for images, _ in (train, held_out))
    return {name: _probe(seen[name], train[1], new[name], held_out[1], seed) for name in names}


def _probed(model: keras.Model) -> list[str]:
    dense = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    last = architecture.find_logits_layer(model).name
    prefix = last.removesuffix("logits")
    return [layer.name for layer in architecture.find_convolutions(model)] + [
        name for name in dense if name.startswith(prefix)
    ]


def _features(inner: keras.Model, images: Images) -> dict[str, Floats]:
    """Returns what each layer gives, pooled: name → (n, features). A batch at a time, for all the maps are large."""
    pooled = [
        _pooled(inner.predict_on_batch(images[some, ..., None]))
        for some in batches.slices(len(images), BATCH)
    ]
    return {name: np.concatenate([each[name] for each in pooled]) for name in pooled[0]}


def _pooled(outputs: dict[str, Floats]) -> dict[str, Floats]:
    """Returns each layer's outputs, (n, h, w, c) or (n, f), as (n, features), maps averaged to 7x7 cells at most."""
    pooled = {}
    for name, each in outputs.items():
        if each.ndim == 4 and name != "pixels":
            starts = np.linspace(
                0, each.shape[1], min(PROBE_SIDE, each.shape[1]), endpoint=False
            ).astype(int)
            across = np.add.reduceat(np.add.reduceat(each, starts, axis=1), starts, axis=2)
            counts = np.diff(np.append(starts, each.shape[1]))
            each = across / (counts[:, None, None] * counts[:, None])
        pooled[name] = each.reshape(len(each), -1)
    return pooled


def _probe(seen: Floats, labels: Labels, new: Floats, truth: Labels, seed: int) -> float:
    components = PCA(min(PROBE_COMPONENTS, *seen.shape), random_state=seed).fit(seen)
    spread = np.sqrt(components.explained_variance_)
    kept = spread >= LEAST_SPREAD * spread[0]
    scale = np.maximum(spread[kept], 1e-12)  # of a layer that gives the same for every image, 0
    given, asked = (components.transform(each)[:, kept] / scale for each in (seen, new))
    return float(LogisticRegression(C=0.1, tol=1e-3).fit(given, labels).score(asked, truth))


def embed(features: Floats, seed: int = 0) -> dict[str, Floats]:
    """Returns features (n, f) in two dimensions: "PCA" and "t-SNE" (van der Maaten and Hinton 2008), (n, 2) each."""
    components = min(50, *features.shape)
    main = PCA(components, random_state=seed).fit_transform(features)
    perplexity = min(30, (len(features) - 1) / 3)
    spread = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=-1).fit_transform(
        main
    )
    return {"PCA": main[:, :2], "t-SNE": spread}
