"""What the filters of each layer detect."""

from typing import TYPE_CHECKING, Any

import numpy as np

from wardrobe.report.chapter import Chapter, Figures, Findings
from wardrobe.runs import Run

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from wardrobe.data import Dataset
    from wardrobe.explain.filters import TopImages
    from wardrobe.explain.subject import Subject
    from wardrobe.models.recipes import Recipe

PRIOR_IMAGES = 5_000  # training images that the synthetic inputs are composed from
SEARCHED_IMAGES = 10_000  # training images that are searched for the highest activations
TOP_FILTERS, TOP_IMAGES = 16, 12  # filters in all convolutions together; images per filter
COMBINED_FILTERS, INPUTS = 12, 4  # filters of the second layer; inputs shown for each
LAYER_FILTERS = 40  # of the layer given with --layer


def _explain_filters(run: Run) -> str:
    text = (
        "The first convolution moves each of these small patterns across the image and responds "
        "where the pattern matches. "
    )
    if run.info()["recipe"]["whitened_stem"]:
        return text + (
            "These patterns are not learnt. They are computed from training images before training "
            "starts, which does not change them: each is a pattern in which small patches of the "
            "images vary most (whitening). The second half repeats the first with opposite signs, "
            "because ReLU removes negative responses."
        )
    return text + "Training starts from random patterns. Many become edges, bars and spots."


def _explain_maps(run: Run) -> str:
    recipe = run.info()["recipe"]
    strides = recipe["conv_strides"] or [1]
    text = (
        "The response of each filter to one validation image per class; bright is strong. Maps of "
        "the first convolution still look like the garment, with its edges and textures."
    )
    if len(recipe["stem_filters"]) + len(recipe["conv_filters"]) > 1:
        text += " The next convolution combines them into parts: its maps respond to fewer things."
    if recipe["pool_after"] or recipe["stem_filters"] or max(strides) > 1:
        text += (
            " Maps become coarser after each pooling and each convolution with a stride above 1."
        )
    return text + name_member(run)


def name_member(run: Run) -> str:
    """Returns a sentence on which member of an ensemble is shown; for a single network, nothing."""
    is_ensemble = run.info()["recipe"]["ensemble_size"] > 1
    return " The network is an ensemble; its first member is shown." if is_ensemble else ""


TRAINING_FIGURES: Figures = {
    "filters": ("Filters of the first convolution", _explain_filters),
    "feature_maps": ("Feature maps", _explain_maps),
}
FIGURES: Figures = {
    "filter_inputs": (
        "How filters combine",
        "A filter of the second convolution combines all filters of the first one. For each, the "
        "figure shows the four inputs with the largest weights: what the input detects, and where "
        "in its window the filter expects it. The other inputs count too, so these four do not "
        "add up to the filter.",
    ),
    "activation_maximization": (
        "Activation maximisation",
        "Each image is synthetic. It starts as the mean garment and is changed step by step to "
        "raise the activation of one filter. It is composed of patterns from the data, so it "
        "always resembles clothing; the network determines which clothing. Early layers "
        "prefer edges, later layers parts, and the last layer whole garments.",
    ),
    "top_images": (
        "Highest activations",
        "The training images with the highest activation of a filter; a frame marks where in the "
        "image. If the framed windows look alike, the filter detects something that a person can "
        "name.",
    ),
}


def _draw_first_layers(subject: "Subject") -> Findings:
    from wardrobe import plots
    from wardrobe.explain import filters
    from wardrobe.models import architecture

    model, validation = subject.keras_model, subject.dataset.validation
    _, first_of_class = np.unique(validation.labels, return_index=True)
    examples = validation.images[first_of_class]  # (k, 28, 28)
    first = architecture.find_convolutions(model)[0].name
    maps = filters.feature_maps(model, examples)  # name → (k, h, w, filters)
    return {
        "filters": plots.layers.plot_filters(filters.first_filters(model), first),
        "feature_maps": plots.layers.plot_feature_maps(examples, maps, subject.dataset.class_names),
    }, {}


def _explain_layers(subject: "Subject") -> Findings:
    from wardrobe import plots
    from wardrobe.explain import filters
    from wardrobe.models import architecture

    model, train = subject.keras_model, subject.dataset.train
    convolutions = [layer.name for layer in architecture.find_convolutions(model)]
    dense = [layer.name for layer in model.layers if layer.name in ("dense", "member1_dense")]
    names = [*convolutions, *dense, architecture.find_logits_layer(model).name]
    synthetic = {
        name: _maximize_all(model, subject.recipe, name, subject.dataset) for name in names
    }
    searched = train.images[:SEARCHED_IMAGES]
    per_layer = max(3, TOP_FILTERS // len(convolutions))  # at least 3, to compare filters
    top = filters.find_top_images(model, subject.recipe, searched, per_layer, TOP_IMAGES)
    rows = {name: _select_row(each, synthetic[name], searched) for name, each in top.items()}
    figures = {
        "activation_maximization": plots.layers.plot_activation_maximization(
            synthetic, subject.dataset.class_names
        ),
        "top_images": plots.layers.plot_top_images(rows),
    }
    if len(convolutions) > 1:  # otherwise there is nothing to combine
        figures["filter_inputs"] = _draw_parts(model, convolutions[0], convolutions[1], synthetic)
    return figures, {}


def draw_layer(model: "keras.Model", recipe: "Recipe", dataset: "Dataset", name: str) -> "Figure":
    """Draws what activates the filters of a convolution, or the units of a dense layer."""
    from wardrobe import plots
    from wardrobe.explain import filters
    from wardrobe.models import architecture

    synthetic = _maximize_all(model, recipe, name, dataset)
    if name in [layer.name for layer in architecture.find_convolutions(model)]:
        searched = dataset.train.images[:SEARCHED_IMAGES]
        top = filters.find_top_images(model, recipe, searched, LAYER_FILTERS, TOP_IMAGES)[name]
        return plots.layers.plot_top_images({name: _select_row(top, synthetic, searched)})
    names = dataset.class_names if name.endswith("logits") else None
    return plots.layers.plot_units(name, synthetic, names)


def _maximize_all(
    model: "keras.Model", recipe: "Recipe", name: str, dataset: "Dataset"
) -> np.ndarray:
    """Returns a synthetic input for each filter of a layer: (filters, side, side) uint8."""
    from wardrobe.explain import activation_maximization

    filters = range(model.get_layer(name).kernel.shape[-1])  # all of the layer
    prior = dataset.train.images[:PRIOR_IMAGES]  # enough for 100 components
    return activation_maximization.maximize_activation(model, recipe, name, filters, prior)


def _select_row(top: "TopImages", synthetic: np.ndarray, searched: np.ndarray) -> tuple[Any, ...]:
    """Returns what `plots.layers.plot_top_images` draws of a layer."""
    chosen = synthetic[top.filters]  # (f, side, side)
    return top.filters.tolist(), chosen, searched[top.images], top.centres, top.size


def _draw_parts(
    model: "keras.Model", first: str, second: str, synthetic: dict[str, np.ndarray]
) -> "Figure":
    from wardrobe import plots
    from wardrobe.explain import filters

    # The filters whose synthetic inputs have the most contrast are the easiest to read.
    contrast = np.ptp(synthetic[second], axis=(1, 2))  # (filters,)
    chosen = np.sort(np.argsort(-contrast, kind="stable")[:COMBINED_FILTERS])
    inputs, kernels = filters.strongest_inputs(model, 1, INPUTS)
    return plots.layers.plot_filter_inputs(
        synthetic[second][chosen], synthetic[first][inputs[chosen]], kernels[chosen],
        chosen.tolist(), len(synthetic[first]), second, first,
    )  # fmt: skip


TRAINING_CHAPTER = Chapter(
    "Drawing filters and feature maps",
    TRAINING_FIGURES,
    _draw_first_layers,
    needs_keras=True,
    needs_layers=True,
    in_training=True,
)
CHAPTER = Chapter(
    "What each layer detects", FIGURES, _explain_layers, needs_keras=True, needs_layers=True
)
