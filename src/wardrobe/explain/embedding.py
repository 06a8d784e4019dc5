"""Images as points: the features before the last layer, their neighbours, their map.

Throughout: features (n, f) float, 0 and up.
"""

import keras
import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from wardrobe.data import batches
from wardrobe.models import architecture

Floats = npt.NDArray[np.floating]

BATCH = 500  # images


def penultimate_features(model: keras.Model, images: npt.NDArray[np.uint8]) -> Floats:
    """Returns the inputs of the last layer for images (n, 28, 28), 0-255: (n, features) float32.

    Of an ensemble, those of the first member.
    """
    last = architecture.find_logits_layer(model)
    before = keras.Model(model.input, last.input)
    return before.predict(**batches.from_images(images[..., None], BATCH), verbose=0)


def find_nearest(
    features: Floats, queries: Floats, count: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Returns the rows of `features` with the highest cosine similarity to each query.

    Args:
        features: (n, f). queries: (m, f).

    Returns:
        indices (m, count), nearest first; cosines (m, count), 0-1.
    """
    cosines = _normalize(queries) @ _normalize(features).T  # (m, n)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return nearest, np.take_along_axis(cosines, nearest, axis=1)


def embed(features: Floats, seed: int = 0) -> dict[str, Floats]:
    """Reduces features to two dimensions: "PCA" and "t-SNE", (n, 2) each.

    Source: t-SNE, van der Maaten and Hinton 2008.
    """
    # t-SNE on 50 principal components, as its authors do: faster and less noisy.
    components = PCA(min(50, *features.shape), random_state=seed).fit_transform(features)
    perplexity = min(30, (len(features) - 1) / 3)  # scikit-learn's default is 30
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=-1)
    return {"PCA": components[:, :2], "t-SNE": tsne.fit_transform(components)}


def _normalize(features: Floats) -> Floats:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
