"""Looks into a run, chapter by chapter: pictures into its plots folder, numbers into explain.json, then the report.

What a run without model.keras cannot show is said and passed over. Nothing here chooses anything on the split that the
run was scored on: thresholds come from the validation split.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from wardrobe import plots, report, runs
from wardrobe.data import VALIDATION, Dataset, Split
from wardrobe.errors import DataError, RunError, UsageError
from wardrobe.evaluation import adversarial, corruptions, out_of_distribution, scoring, selective
from wardrobe.explain import attribution, faithfulness, label_errors, layers
from wardrobe.inference import confidence
from wardrobe.inference.classifier import Classifier
from wardrobe.inference.occlusion import Logits
from wardrobe.models import architecture, initializers, recipes
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import checkpoints

Images = npt.NDArray[np.uint8]
Answers = tuple[
    npt.NDArray[np.floating], npt.NDArray[np.int64]
]  # probabilities (n, k) and labels (n,)
Chapter = tuple[dict[str, Figure], dict[str, Any]]  # pictures and numbers, by name

# How many images each measurement takes: as many as tell, and no more than some seconds each. A network above `HEAVY`
# gets fewer of those that `affordable` is asked about.
LIKE = 5_000  # that show what images are like, and that linear probes learn from
SEARCHED = 10_000  # training images that are searched for what excites a filter
MAPPED = 2_000  # points on the map of the last layer
HEAVY = 50e6  # FLOPs an image
FEWEST = 4
EXPLAINED = 500  # that heat maps are checked on
FORGOTTEN = 100  # that heat maps are made of for every layer that is drawn anew
CORRUPTED = 2_000
ATTACKED = 500
EXCITED_FILTERS, EXCITING_IMAGES = 16, 12  # filters in all; images of each
PARTS_FILTERS, PARTS = 12, 4  # filters that are taken apart, and into how many
SHOWN_MISTAKES, SHOWN_PAIRS, SHOWN_ERRORS, SHOWN_ATTACKED = 5, 8, 50, 7
LAYER_FILTERS = 40  # of one layer that is asked for
WANTED = 0.95, 0.98, 0.99  # accuracies
PROMISED = 0.90, 0.95, 0.99
EPSILONS = 0.01, 0.02, 0.03, 0.05, 0.1  # shares of white
LABEL_RECIPE = "sprint"  # of the networks that look for label errors


@dataclass(frozen=True)
class Subject:
    """A run that is looked into."""

    run: Run
    recipe: Recipe
    model: keras.Model | None  # None: the run has model.onnx alone
    logits: Logits  # of one view of each image where there is a model, else as the run answers
    answers: Logits  # as the run answers
    dataset: Dataset
    scored: Split  # what the run was scored on
    scored_logits: npt.NDArray[np.float32]  # (n, k) its answers there
    probabilities: npt.NDArray[np.floating]  # (n, k) the same, with the temperature
    display: TrainingDisplay

    @property
    def network(self) -> keras.Model:
        """The Keras model, in chapters that are opened with one alone."""
        assert self.model is not None
        return self.model

    def affordable(self, images: int) -> int:
        """Returns how many images a measurement takes that asks the network a hundred times and more about each."""
        return max(FEWEST, round(images * min(1.0, HEAVY / self.run.info()["forward_flops"])))


def explain_run(run: Run, dataset: Dataset, display: TrainingDisplay) -> None:
    """Writes every chapter that the run can have.

    Raises:
        RunError: the run was not scored yet, or its files cannot be read.
    """
    subject = _subject(run, dataset, display)
    # What an earlier call found of the same scores stays, where a chapter can no longer be had.
    numbers = {**run.explanation(), "data": dataset.name, "split": run.metrics()["split"]}
    drawn = set(numbers.get("pictures", []))
    for text, chapter, needs_keras in CHAPTERS:
        if needs_keras and subject.model is None:
            display.stage(f"{text}: left out, the run has no model.keras")
            continue
        display.stage(text)
        pictures, found = chapter(subject)
        plots.save_figures(pictures, run.plots_folder, dataset.name, dataset.is_synthetic)
        drawn |= pictures.keys()
        numbers |= found
        runs.write_json(run.explanation_path, {**numbers, "pictures": sorted(drawn)})
    display.stage(f"Report: {report.write_report(run)}")


def explain_layer(run: Run, dataset: Dataset, layer: str, display: TrainingDisplay) -> Path:
    """Draws what excites the filters of one layer; returns the picture's path.

    Raises:
        RunError: the run has no model.keras. UsageError: there is no such layer; the message lists them.
    """
    if not run.keras_path.is_file():
        raise RunError(
            f"{run.path} has no model.keras, which has the layers; restore it, or train again"
        )
    model, recipe = checkpoints.load_model(run), run.recipe()
    convolutions = [each.name for each in architecture.find_convolutions(model)]
    dense = [each.name for each in model.layers if isinstance(each, keras.layers.Dense)]
    if layer not in convolutions + dense:
        raise UsageError(
            f"{run.path} has no layer {layer!r}; give one of {', '.join(convolutions + dense)}"
        )
    filters = model.get_layer(layer).kernel.shape[-1]
    shown = min(filters, LAYER_FILTERS) if layer in convolutions else filters
    display.stage(
        f"What {layer} looks for: {shown} of its {filters} {'filters' if layer in convolutions else 'units'}"
    )
    train = dataset.train.images
    whole = layers.maximize_activation(model, recipe, layer, range(filters), train[:LIKE])
    if layer in convolutions:
        searched = train[:SEARCHED]
        found = layers.find_top_images(model, recipe, searched, LAYER_FILTERS, EXCITING_IMAGES)[
            layer
        ]
        figure = plots.layers.plot_top_images({layer: _excited(found, whole, searched)})
    else:
        figure = plots.layers.plot_units(
            layer, whole, dataset.class_names if layer.endswith("logits") else None
        )
    path = run.plots_folder / f"layer-{layer}.png"
    plots.save_figure(figure, path, dataset.name, dataset.is_synthetic)
    return path


def _subject(run: Run, dataset: Dataset, display: TrainingDisplay) -> Subject:
    metrics, recipe = run.metrics(), run.recipe()
    model = checkpoints.load_model(run) if run.keras_path.is_file() else None
    answers: Logits = (
        Classifier.load(run).logits
        if model is None
        else scoring.make_logits_function(model, metrics["tta_views"])
    )
    logits: Logits = answers if model is None else scoring.make_logits_function(model)
    scored = scoring.open_split(dataset, metrics["split"])
    given = _stored_logits(run, (len(scored), len(dataset.class_names)))
    return Subject(
        run, recipe, model, logits, answers, dataset, scored, given,
        confidence.softmax(given, metrics["temperature"]), display,
    )  # fmt: skip


def _stored_logits(run: Run, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Returns the logits of predictions.npz, which must have that shape."""
    again = f"make it again with: wardrobe evaluate {run.path}"
    try:
        with np.load(run.predictions_path) as stored:
            logits = stored["logits"]
    except Exception as error:  # NumPy and zipfile each raise their own
        raise RunError(
            f"{run.predictions_path} cannot be read ({type(error).__name__}); {again}"
        ) from error
    if logits.shape != shape:
        raise RunError(
            f"{run.predictions_path} has logits of shape {logits.shape}, expected {shape}; {again}"
        )
    return logits


def _layers(it: Subject) -> Chapter:
    """What each layer looks for, and what it is made of."""
    train, convolutions = it.dataset.train, architecture.find_convolutions(it.network)
    dense = [layer.name for layer in it.network.layers if layer.name in ("dense", "member1_dense")]
    names = [
        *(layer.name for layer in convolutions),
        *dense,
        architecture.find_logits_layer(it.network).name,
    ]
    like = train.images[:LIKE]
    whole = {
        name: layers.maximize_activation(
            it.network, it.recipe, name, range(it.network.get_layer(name).kernel.shape[-1]), like
        )
        for name in names
    }
    searched = train.images[:SEARCHED]
    each = max(3, EXCITED_FILTERS // len(convolutions))
    excited = layers.find_top_images(it.network, it.recipe, searched, each, EXCITING_IMAGES)
    pictures = {
        "maximised": plots.layers.plot_activation_maximization(whole, it.dataset.class_names),
        "exciting": plots.layers.plot_top_images(
            {name: _excited(one, whole[name], searched) for name, one in excited.items()}
        ),
    }
    if len(convolutions) > 1:
        first, second = names[:2]
        filters = np.sort(
            np.argsort(-np.ptp(whole[second], axis=(1, 2)), kind="stable")[:PARTS_FILTERS]
        )
        made_of, kernels = layers.strongest_inputs(it.network, 1, PARTS)
        pictures["parts"] = plots.layers.plot_filter_inputs(
            whole[second][filters],
            whole[first][made_of[filters]],
            kernels[filters],
            filters.tolist(),
            second,
            first,
        )
    return pictures, {}


def _excited(found: layers.TopImages, whole: Images, searched: Images) -> tuple[Any, ...]:
    """Returns what `plots.layers.plot_top_images` takes of a layer; `whole`: images made to excite it, of all filters."""
    return (
        found.filters.tolist(),
        whole[found.filters],
        searched[found.images],
        found.middles,
        found.size,
    )


def _depth(it: Subject) -> Chapter:
    """How the classes come apart, layer by layer and epoch by epoch."""
    train, validation = it.dataset.train, it.dataset.validation
    seen = train.images[:LIKE], train.labels[:LIKE]
    untrained = initializers.build_untrained(
        it.recipe, len(it.dataset.class_names), it.run.info()["seed"], train.images
    )
    epochs = {
        f"epoch {done}": network for done, network in checkpoints.load_snapshots(it.run).items()
    }
    states = {"untrained": untrained, **epochs, "trained": it.network}
    curves = {
        state: layers.fit_probes(network, seen, (validation.images, validation.labels))
        for state, network in states.items()
    }
    some = slice(MAPPED)
    points = layers.embed(attribution.penultimate_features(it.network, validation.images[some]))
    labels = validation.labels[some]
    wrong = it.logits(validation.images[some]).argmax(axis=1) != labels
    pictures = {
        "probes": plots.layers.plot_probes(curves),
        "embedding": plots.layers.plot_embedding(points, labels, wrong, it.dataset.class_names),
    }
    return pictures, {"probes": curves}


def _heat_maps(it: Subject) -> Chapter:
    """Where in some images the answer comes from."""
    predicted = it.probabilities.argmax(axis=1)
    right = predicted == it.scored.labels
    first_right = [
        np.flatnonzero(right & (it.scored.labels == label))[:1]
        for label in range(len(it.dataset.class_names))
    ]
    wrong = np.flatnonzero(~right)
    surest = wrong[np.argsort(-it.probabilities[wrong].max(axis=1), kind="stable")][:SHOWN_MISTAKES]
    chosen = np.concatenate([*first_right, surest])
    images, classes = it.scored.images[chosen], predicted[chosen]
    maps = attribution.heat_maps(it.model, it.recipe, it.logits, images, classes)
    figure = plots.explanations.plot_heat_maps(
        images, it.scored.labels[chosen], it.probabilities[chosen], maps, it.dataset.class_names
    )
    return {"heat_maps": figure}, {}


def _map_check(it: Subject) -> Chapter:
    """Deletion and insertion against other orders, and maps of a network that forgets."""
    images = it.scored.images[: it.affordable(EXPLAINED)]
    classes = it.logits(images).argmax(axis=1)
    maps = attribution.heat_maps(it.model, it.recipe, it.logits, images, classes)
    averaged = attribution.grad_cam(it.network, it.recipe, images, classes, averaged=True)
    some = slice(it.affordable(FORGOTTEN))
    forgetting: dict[str, dict[str, float]] = {name: {} for name in maps}
    others = it.run.info()["seed"] + 1, it.dataset.train.images
    fresh = initializers.build_untrained(it.recipe, len(it.dataset.class_names), *others)
    for layer, network in faithfulness.randomize_layers(it.network, fresh, it.recipe):
        forgotten = attribution.heat_maps(
            network, it.recipe, scoring.make_logits_function(network), images[some], classes[some]
        )
        for name, each in forgotten.items():
            forgetting[name][layer] = float(
                faithfulness.map_similarity(maps[name][some], each, images[some]).mean()
            )
    untrained = attribution.heat_maps(
        network, it.recipe, scoring.make_logits_function(network), images, classes
    )
    orders = {
        **maps,
        "Grad-CAM, averaged": averaged,
        **{f"{name}, untrained": each for name, each in untrained.items()},
        "brightness": images.astype(np.float64),
        "by chance": faithfulness.random_maps(len(images)),
    }
    numbers: dict[str, Any] = {"images": len(images), "forgetting": forgetting}
    for what, measure in (
        ("deletion", faithfulness.deletion),
        ("insertion", faithfulness.insertion),
    ):
        numbers[what] = {
            name: _curve(measure(it.logits, images, classes, each)) for name, each in orders.items()
        }
    return {"map_check": plots.explanations.plot_faithfulness(numbers)}, {"map_check": numbers}


def _curve(curves: npt.NDArray[np.floating]) -> dict[str, Any]:
    area, low, high = faithfulness.mean_and_interval(curves.mean(axis=1))
    return {"curve": curves.mean(axis=0).tolist(), "area": area, "interval": [low, high]}


def _confused(it: Subject) -> Chapter:
    """The pairs of classes that are confused most."""
    predicted, names = it.probabilities.argmax(axis=1), it.dataset.class_names
    matrix = np.array(it.run.metrics()["confusion"])
    off = matrix - np.diag(np.diag(matrix))
    pairs = []
    for flat in np.argsort(-off, axis=None, kind="stable")[:SHOWN_PAIRS]:
        actual, taken_for = divmod(int(flat), len(names))
        if off[actual, taken_for] == 0:
            break
        which = np.flatnonzero((it.scored.labels == actual) & (predicted == taken_for))
        surest = which[np.argsort(-it.probabilities[which, taken_for], kind="stable")]
        pairs.append(
            {
                "actual": names[actual],
                "predicted": names[taken_for],
                "count": int(off[actual, taken_for]),
                "of": int(matrix[actual].sum()),
                "images": it.scored.images[surest],
            }
        )
    numbers = [{key: value for key, value in pair.items() if key != "images"} for pair in pairs]
    return ({"confused": plots.predictions.plot_confusions(pairs)} if pairs else {}), {
        "confused": numbers
    }


def _label_errors(it: Subject) -> Chapter:
    """Labels in the training and validation data that are likely wrong."""
    try:
        found = label_errors.find_label_errors(
            recipes.get(LABEL_RECIPE), it.dataset, it.run.info()["seed"], it.display
        )
    except DataError as error:
        it.display.stage(f"Label errors: left out, {error}")
        return {}, {}
    images, labels = label_errors.all_labelled_images(it.dataset)
    shown = found.indices[:SHOWN_ERRORS]
    figure = plots.explanations.plot_label_errors(
        images[shown],
        labels[shown],
        found.suggested[:SHOWN_ERRORS],
        it.dataset.class_names,
        len(found.indices),
        len(labels),
    )
    rows = [
        {
            "image": int(index),
            "given": it.dataset.class_names[labels[index]],
            "suggested": it.dataset.class_names[suggested],
            "probability_of_given": float(found.probabilities[index, labels[index]]),
        }
        for index, suggested in zip(found.indices.tolist(), found.suggested.tolist(), strict=True)
    ]
    numbers = {"recipe": LABEL_RECIPE, "of": len(labels), "found": len(rows), "likeliest": rows}
    return {"label_errors": figure}, {"label_errors": numbers}


def _trust(it: Subject) -> Chapter:
    """When to keep silent, sets that hold the truth, and what is none of the classes."""
    metrics, validation = it.run.metrics(), it.dataset.validation
    on_validation = it.answers(validation.images)
    calibration = confidence.softmax(on_validation, metrics["temperature"]), validation.labels
    given = it.probabilities, it.scored.labels
    if (
        metrics["split"] == VALIDATION
    ):  # what is chosen is measured on other images: a half for each
        calibration, given = _every_other(calibration, 0), _every_other(given, 1)
    chosen = [
        asdict(selective.evaluate_selective(wanted, calibration, *given)) for wanted in WANTED
    ]
    sets = [selective.evaluate_conformal(promise, calibration, *given) for promise in PROMISED]
    known = confidence.familiarity(it.scored_logits)
    others = {
        name: confidence.familiarity(it.answers(made()))
        for name, made in out_of_distribution.OOD_INPUTS.items()
    }
    auroc = {name: selective.auroc(known, scores) for name, scores in others.items()}
    pictures = {
        "selective": plots.robustness.plot_selective(
            *selective.accuracy_coverage_curve(*given), chosen
        ),
        "conformal": plots.robustness.plot_conformal(sets),
        "unknown": plots.robustness.plot_out_of_distribution(
            known, others, auroc, metrics["familiarity_threshold"]
        ),
    }
    return pictures, {"selective": chosen, "conformal": sets, "unknown": auroc}


def _every_other(answers: Answers, first: int) -> Answers:
    probabilities, labels = answers
    return probabilities[first::2], labels[first::2]


def _corruptions(it: Subject) -> Chapter:
    """Accuracy in bad light and badly aimed."""
    some = slice(it.affordable(CORRUPTED))
    images, labels = it.scored.images[some], it.scored.labels[some]
    clean = _accuracy(it.answers(images), labels)
    rows = {
        kind: [
            _accuracy(it.answers(corruptions.corrupt(images, kind, severity)), labels)
            for severity in corruptions.SEVERITIES
        ]
        for kind in corruptions.CORRUPTIONS
    }
    numbers = {"images": len(images), "clean": clean, "accuracy": rows}
    return {"corruptions": plots.robustness.plot_corruptions(rows, clean, len(images))}, {
        "corruptions": numbers
    }


def _attacks(it: Subject) -> Chapter:
    """Accuracy under changes made to mislead."""
    some = slice(it.affordable(ATTACKED))
    images, labels = it.scored.images[some], it.scored.labels[some]
    clean = _accuracy(it.logits(images), labels)
    rows: dict[str, dict[float, float]] = {"FGSM": {}, "PGD": {}}
    slope = adversarial.make_loss_gradient(it.network)
    first = slice(SHOWN_ATTACKED)
    temperature = it.run.metrics()["temperature"]

    def shown(changed: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.floating]]:
        return changed[first], confidence.softmax(it.logits(changed[first]), temperature)

    examples = {0.0: shown(images)}
    for epsilon in EPSILONS:
        for name, attack in (("FGSM", adversarial.fgsm), ("PGD", adversarial.pgd)):
            changed = attack(slope, images, labels, epsilon)
            rows[name][epsilon] = _accuracy(it.logits(changed), labels)
        examples[epsilon] = shown(changed)
    named = {
        name: {str(epsilon): accuracy for epsilon, accuracy in row.items()}
        for name, row in rows.items()
    }
    numbers = {"images": len(images), "clean": clean, "accuracy": named}
    pictures = {
        "attacks": plots.robustness.plot_attacks(rows, clean, len(images)),
        "attacked": plots.robustness.plot_adversarial_examples(
            examples, labels[first], it.dataset.class_names
        ),
    }
    return pictures, {"attacks": numbers}


def _accuracy(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    return float((logits.argmax(axis=1) == labels).mean())


# What is said, what is done, and whether it asks for a Keras model.
CHAPTERS: tuple[tuple[str, Callable[[Subject], Chapter], bool], ...] = (
    ("What each layer looks for", _layers, True),
    ("How the classes come apart, layer by layer", _depth, True),
    ("Where the answers come from", _heat_maps, False),
    ("Whether the heat maps are true", _map_check, True),
    ("What is confused", _confused, False),
    ("Labels that are likely wrong", _label_errors, False),
    ("How far the answers can be trusted", _trust, False),
    ("Bad light, bad lenses, bad aim", _corruptions, False),
    ("Changes made to mislead", _attacks, True),
)
