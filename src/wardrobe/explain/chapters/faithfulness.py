"""Whether heat maps show what the model uses: deletion, insertion, randomised weights."""

from typing import TYPE_CHECKING, Any

import numpy as np

from wardrobe.report.chapter import Chapter, Findings

if TYPE_CHECKING:
    from wardrobe.explain.subject import Subject

IMAGES = 500  # of each, 50 blurred versions per order
RANDOMIZED_IMAGES = 100  # that heat maps are computed for after each layer is randomised
RANDOM_ORDER = "random order"

FIGURES = {
    "faithfulness": (
        "Are the heat maps faithful?",
        "A faithful heat map marks pixels that the prediction depends on: blurring them makes the "
        "probability of the class fall early, and inserting them into a blurred image makes it "
        "rise early. The map must also change when the weights are randomised. Compare with a "
        "random order, with brightness alone, and with the maps of an untrained network.",
    )
}


def _measure_faithfulness(subject: "Subject") -> Findings:
    from wardrobe import plots
    from wardrobe.explain import attribution, faithfulness

    images = subject.scored.images[: subject.limit_images(IMAGES)]
    logits, recipe = subject.logits, subject.recipe
    classes = logits(images).argmax(axis=1)  # the predictions are explained, right or wrong
    maps = attribution.heat_maps(subject.model, recipe, logits, images, classes)
    randomization, untrained = _randomize(subject, images, classes, maps)
    orders = {
        **maps,
        **{f"{name}, untrained": each for name, each in untrained.items()},
        "brightness": images.astype(np.float64),  # a baseline: beats maps where black fills in
        RANDOM_ORDER: faithfulness.random_maps(len(images)),
    }
    pairs = [("HiResCAM", "Grad-CAM"), ("occlusion", "HiResCAM")]
    pairs += [(f"{name}, untrained", RANDOM_ORDER) for name in untrained]
    results: dict[str, Any] = {"images": len(images), "randomization": randomization}
    results["differences"] = {}
    for name, measure in (
        ("deletion", faithfulness.deletion),
        ("insertion", faithfulness.insertion),
    ):
        curves = {order: measure(logits, images, classes, each) for order, each in orders.items()}
        results[name] = {order: _summarize(each) for order, each in curves.items()}
        # All orders see the same images, so areas are compared image by image.
        results["differences"][name] = {
            f"{one} minus {other}": _subtract(curves[one], curves[other]) for one, other in pairs
        }
    return {"faithfulness": plots.explanations.plot_faithfulness(results)}, {
        "faithfulness": results
    }


def _randomize(
    subject: "Subject", images: np.ndarray, classes: np.ndarray, maps: dict[str, np.ndarray]
) -> tuple[dict[str, dict[str, float]], dict[str, np.ndarray]]:
    """Randomises the model layer by layer, from the last to the first.

    Returns:
        heat map → {layer → similarity to the trained model's map}; the maps of all images with
        every layer randomised.
    """
    from wardrobe.evaluation import scoring
    from wardrobe.explain import attribution, faithfulness
    from wardrobe.models import initializers

    some = slice(subject.limit_images(RANDOMIZED_IMAGES))  # of `images`
    recipe, dataset = subject.recipe, subject.dataset
    seed = subject.run.info()["seed"] + 1  # not the weights that training started from
    fresh = initializers.build_untrained(
        recipe, len(dataset.class_names), seed, dataset.train.images
    )
    similarity: dict[str, dict[str, float]] = {name: {} for name in maps}
    for layer, model in faithfulness.randomize_layers(subject.keras_model, fresh, recipe):
        logits = scoring.make_logits_function(model)
        randomized = attribution.heat_maps(model, recipe, logits, images[some], classes[some])
        for name, each in randomized.items():
            similar = faithfulness.map_similarity(maps[name][some], each, images[some])
            similarity[name][layer] = float(similar.mean())
    # After the loop, every layer of `model` is randomised.
    return similarity, attribution.heat_maps(model, recipe, logits, images, classes)


def _summarize(curves: np.ndarray) -> dict[str, Any]:
    """Summarises curves (n, steps), 0-1: their mean, and the area under it with its interval."""
    from wardrobe.explain import faithfulness

    area, low, high = faithfulness.mean_and_interval(curves.mean(axis=1))
    return {"curve": curves.mean(axis=0).tolist(), "area": area, "interval": [low, high]}


def _subtract(one: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """Returns the mean difference of the areas under curves (n, steps), and its 95 % interval."""
    from wardrobe.explain import faithfulness

    mean, low, high = faithfulness.mean_and_interval((one - other).mean(axis=1))
    return {"difference": mean, "interval": [low, high]}


CHAPTER = Chapter(
    "Whether the heat maps are faithful",
    FIGURES,
    _measure_faithfulness,
    needs_keras=True,
    needs_layers=True,
)
