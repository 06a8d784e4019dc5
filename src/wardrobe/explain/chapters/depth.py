"""How well each layer separates the classes, from layer to layer and epoch to epoch."""

from typing import TYPE_CHECKING, Any

import numpy as np

from wardrobe.explain.chapters import layers
from wardrobe.report.chapter import Chapter, Figures, Findings
from wardrobe.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wardrobe.explain.subject import Subject

PROBE_IMAGES = 5_000  # training images that the linear probes are fitted on
EMBEDDED_IMAGES = 2_000  # points in the figure of the embedding
MAP_LEVELS = 16  # grey levels of the images that the page shows for them, to keep it small


def _explain_probes(run: Run) -> str:
    recipe = run.info()["recipe"]
    last = "dense layer after them loses" if recipe["dense_units"] else "logits after them lose"
    text = (
        "The accuracy of a linear classifier on the activations of each layer, before, during and "
        "after training. Random convolutions keep most of what the pixels contain; the random "
        f"{last} much of it. Training prevents this loss: compare the other lines with the grey "
        "line of the untrained network."
    )
    if recipe["whitened_stem"]:
        text += " The first convolution is fixed, so its accuracy is the same before training."
    return text + layers.name_member(run)


FIGURES: Figures = {
    "probes": ("How the classes separate", _explain_probes),
    "embedding": (
        "Embedding",
        "Each point is a validation image: the features before the last layer, reduced to two "
        "dimensions. Where two colours meet, the network hesitates between two classes. t-SNE "
        "keeps neighbours together, but the distances between clusters have no meaning.",
    ),
}


def _probe_layers(subject: "Subject") -> Findings:
    from wardrobe import plots
    from wardrobe.explain import probes
    from wardrobe.models import initializers
    from wardrobe.training import checkpoints

    train, names = subject.dataset.train, subject.dataset.class_names
    seed, validation = subject.run.info()["seed"], subject.dataset.validation
    states = {
        "untrained": initializers.build_untrained(subject.recipe, len(names), seed, train.images),
        **{
            f"epoch {done}": model
            for done, model in checkpoints.load_snapshots(subject.run).items()
        },
        "trained": subject.keras_model,
    }
    curves = {
        state: probes.fit_probes(model, train[:PROBE_IMAGES], validation)
        for state, model in states.items()
    }
    embedding, images = _embed_images(subject)
    figures = {"probes": plots.layers.plot_probes(curves), "embedding": embedding}
    return figures, {"probes": curves}, {"embedding": images}


def _embed_images(subject: "Subject") -> tuple["Figure", dict[str, Any]]:
    """Draws the embedding; returns its figure, and the images that its points stand for."""
    from wardrobe import plots
    from wardrobe.data import VALIDATION
    from wardrobe.explain import embedding, gallery
    from wardrobe.inference import confidence

    names = subject.dataset.class_names
    embedded = subject.dataset.validation[:EMBEDDED_IMAGES]  # not training images, which it knows
    features = embedding.penultimate_features(subject.keras_model, embedded.images)
    logits = subject.logits(embedded.images)
    wrong = logits.argmax(axis=1) != embedded.labels  # (n,) bool
    points = embedding.embed(features)  # method → (n, 2)
    figure = plots.layers.plot_embedding(points, embedded.labels, wrong, names)
    panels = {axes.get_label(): axes for axes in figure.axes}
    probabilities = confidence.softmax(logits, subject.metrics["temperature"])
    shown = np.arange(len(embedded))
    return figure, {
        **gallery.describe_images(embedded, shown, probabilities, features, names, MAP_LEVELS),
        "points": [plots.locate_points(panels[each], xy).tolist() for each, xy in points.items()],
        "split": VALIDATION,
        "similar": "features before the last layer",
        "data": subject.dataset.name,
    }


CHAPTER = Chapter(
    "How well each layer separates the classes",
    FIGURES,
    _probe_layers,
    needs_keras=True,
    needs_layers=True,
)
