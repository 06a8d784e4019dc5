"""How well each layer separates the classes: linear probes on its activations.

Source: Alain and Bengio 2016, arXiv 1610.01644.
"""

import keras
import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from wardrobe.data import Split, batches
from wardrobe.models import architecture

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]

BATCH = 500  # images
CELLS = 7  # per side that a layer's maps are averaged to
COMPONENTS = 128  # principal components of a layer, so that no probe has more inputs than others
MIN_DEVIATION = 1e-3  # of a component, relative to the first: dividing by less amplifies noise


def fit_probes(
    model: keras.Model, train: Split, validation: Split, seed: int = 0
) -> dict[str, float]:
    """Returns the accuracy of a linear classifier on each layer: name → 0-1, in order.

    The layers are the pixels, each convolution, the dense layer and the logits; of an ensemble,
    those of the first member. A convolution's maps are averaged to 7x7 cells first.

    Args:
        train: to fit on. validation: to measure on.
    """
    names = ["pixels", *_find_layers(model)]
    inner = architecture.build_intermediates(model, names)
    fitted, measured = (_compute_features(inner, split.images) for split in (train, validation))
    return {
        name: _fit_probe(fitted[name], train.labels, measured[name], validation.labels, seed)
        for name in names
    }


def _find_layers(model: keras.Model) -> list[str]:
    dense = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    prefix = architecture.find_logits_layer(model).name.removesuffix("logits")
    convolutions = [layer.name for layer in architecture.find_convolutions(model)]
    return convolutions + [name for name in dense if name.startswith(prefix)]


def _compute_features(inner: keras.Model, images: npt.NDArray[np.uint8]) -> dict[str, Floats]:
    """Returns each layer's pooled outputs: name → (n, features). In batches, as maps are large."""
    pooled = []
    for some in batches.slices(len(images), BATCH):
        outputs = inner.predict_on_batch(images[some, ..., None])  # name → (n, h, w, c) or (n, f)
        pooled.append({name: _pool(name, each) for name, each in outputs.items()})
    return {name: np.concatenate([each[name] for each in pooled]) for name in pooled[0]}


def _pool(name: str, outputs: Floats) -> Floats:
    """Flattens outputs (n, h, w, c) or (n, f) to (n, features); averages maps to 7x7 cells."""
    if outputs.ndim == 4 and name != "pixels":
        side = outputs.shape[1]
        starts = np.linspace(0, side, min(CELLS, side), endpoint=False).astype(int)
        sums = np.add.reduceat(np.add.reduceat(outputs, starts, axis=1), starts, axis=2)
        sizes = np.diff(np.append(starts, side))  # units per cell, which may differ by 1
        outputs = sums / (sizes[:, None, None] * sizes[:, None])
    return outputs.reshape(len(outputs), -1)  # (n, features)


def _fit_probe(
    features: Floats, labels: Labels, new_features: Floats, new_labels: Labels, seed: int
) -> float:
    pca = PCA(min(COMPONENTS, *features.shape), random_state=seed).fit(features)
    deviation = np.sqrt(pca.explained_variance_)
    kept = deviation >= MIN_DEVIATION * deviation[0]  # sorted: the first is the largest
    scale = np.maximum(deviation[kept], 1e-12)  # a layer with constant outputs has deviation 0
    fitted, measured = (pca.transform(each)[:, kept] / scale for each in (features, new_features))
    probe = LogisticRegression(C=0.1, tol=1e-3).fit(fitted, labels)  # features of variance 1
    return float(probe.score(measured, new_labels))
