"""The run that is explained: its model, data and predictions, opened once for all chapters."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.data import TEST, Dataset, Split
from wardrobe.errors import RunError
from wardrobe.evaluation import scoring
from wardrobe.inference import confidence
from wardrobe.inference.classifier import Classifier
from wardrobe.inference.occlusion import Logits
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import checkpoints

# A model above this gets fewer images in measurements that predict each image 100 times or more.
LARGE_MODEL = 50e6  # FLOPs per image
FEWEST_IMAGES = 4  # of any measurement, however large the model


@dataclass(frozen=True)
class Subject:
    """A run, and what the chapters of its report are computed from."""

    run: Run
    recipe: Recipe
    model: keras.Model | None  # None: the run has only model.onnx
    logits: Logits  # of the Keras model without test-time augmentation; else as `tta_logits`
    tta_logits: Logits  # with the test-time augmentation that the run was scored with
    dataset: Dataset
    metrics: dict[str, Any]  # metrics.json of the scored split
    plots_folder: Path  # for figures
    scored: Split  # the split that is explained
    scored_logits: npt.NDArray[np.float32]  # (n, k), of predictions.npz
    temperatures: npt.NDArray[np.floating]  # (n,), of the same; each was fitted on other images
    display: TrainingDisplay

    @property
    def keras_model(self) -> keras.Model:
        """The Keras model, for chapters with `needs_keras`."""
        assert self.model is not None
        return self.model

    @property
    def probabilities(self) -> npt.NDArray[np.floating]:
        """The probabilities of the scored images, with their temperatures: (n, k)."""
        return confidence.softmax(self.scored_logits / self.temperatures[:, None])

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The predicted class of each scored image: (n,)."""
        return self.scored_logits.argmax(axis=1)

    def limit_images(self, count: int) -> int:
        """Returns `count`, or fewer if the model is large."""
        affordable = LARGE_MODEL / self.run.info()["forward_flops"]  # fraction of the images
        return max(FEWEST_IMAGES, round(count * min(1.0, affordable)))


def open_subject(
    run: Run,
    dataset: Dataset,
    display: TrainingDisplay,
    model: keras.Model | None = None,
    split: str = TEST,
) -> Subject:
    """Opens a scored run.

    Args:
        model: the run's model, if it is loaded already.
        split: whose scores and predictions are explained.

    Raises:
        RunError: the run has no metrics.json, or its files cannot be read.
    """
    metrics = run.metrics(split)  # first: says that the run has to be evaluated
    if model is None and run.keras_path.is_file():
        model = checkpoints.load_model(run)
    logits: Logits
    tta_logits: Logits
    if model is None:
        logits = tta_logits = Classifier.load(run).logits  # the file contains the views
    else:
        logits = scoring.make_logits_function(model)
        tta_logits = scoring.make_logits_function(model, metrics["tta_views"])
    scored = scoring.open_split(dataset, metrics["split"])
    folder = run.score_folder(split)
    path = folder / run.predictions_path.name
    scored_logits, temperatures = _load_predictions(run, path, scored, len(dataset.class_names))
    return Subject(
        run=run,
        recipe=run.recipe(),
        model=model,
        logits=logits,
        tta_logits=tta_logits,
        dataset=dataset,
        metrics=metrics,
        plots_folder=folder / run.plots_folder.name,
        scored=scored,
        scored_logits=scored_logits,
        temperatures=temperatures,
        display=display,
    )


def _load_predictions(
    run: Run, path: Path, scored: Split, classes: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.floating]]:
    """Returns the logits of predictions.npz, (n, classes), and the temperatures, (n,).

    They must belong to the images of `scored`.
    """
    again = f"write it again with: wardrobe evaluate {run.path}"
    try:
        with np.load(path) as stored:
            columns = "logits", "labels", "temperatures"
            logits, labels, temperatures = (stored[each] for each in columns)
    except Exception as error:  # NumPy and zipfile raise many types
        name = type(error).__name__
        raise RunError(f"{path} cannot be read ({name}); {again}") from error
    shape = len(scored), classes
    if logits.shape != shape or not np.array_equal(labels, scored.labels):
        raise RunError(
            f"{path} has logits {logits.shape} of other images, expected {shape} "
            f"of the split in metrics.json; {again}"
        )
    return logits, temperatures
