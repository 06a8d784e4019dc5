"""A trained model at work: its file, in any of the formats, judges images; no TensorFlow, no Keras."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wardrobe.errors import ModelError
from wardrobe.inference import confidence, engines
from wardrobe.inference.engines import LOGITS, PIXELS, SIDE, Engine
from wardrobe.runs import LATEST, Run, find_run

Floats = npt.NDArray[np.floating]

PRETRAINED = Path(__file__).parents[1] / "pretrained"
SHIPPED = "photo"  # the model that is taken where none is named
SHIPPED_FILES = {
    SHIPPED: "photo-int8.onnx",
    "baseline": "baseline.onnx",
}  # the quickest of each (RESULTS.md)


@dataclass(frozen=True)
class Predictions:
    """What a model says of n images."""

    class_names: tuple[str, ...]
    probabilities: Floats  # (n, k), calibrated, rows that sum to 1
    familiarity: (
        Floats  # (n,): how like the known clothing each image is, see confidence.familiarity
    )
    threshold: float  # below this familiarity the answer is "not sure"
    empty: npt.NDArray[np.bool_]  # (n,): one tone all over

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def labels(self) -> list[str]:
        """The likeliest class of each image."""
        return [self.class_names[i] for i in self.probabilities.argmax(axis=1)]

    @property
    def confidences(self) -> Floats:
        """The likeliest class's probability: (n,), 0-1."""
        return self.probabilities.max(axis=1)

    @cached_property
    def not_sure(self) -> npt.NDArray[np.bool_]:
        """Whether each answer should be doubted: (n,)."""
        return self.empty | ~(
            self.familiarity >= self.threshold
        )  # so that what is no number is doubted

    def ranked(self, i: int) -> dict[str, float]:
        """Returns the probability of each class for image `i`, the likeliest first."""
        chances = self.probabilities[i]
        return {
            self.class_names[each]: float(chances[each])
            for each in np.argsort(-chances, kind="stable")
        }

    def reason(self, i: int) -> str | None:
        """Returns why the answer to image `i` should be doubted; None where it should not."""
        if self.empty[i]:
            return "the picture is empty"
        if not self.not_sure[i]:
            return None
        given, expected = self.familiarity[i], self.threshold
        return f"unlike the clothing it learnt (familiarity {given:.1f}, expected {expected:.1f} or more)"


class Classifier:
    """A model and what its file says of it. Safe to share between threads.

    Attributes:
        name: the file or run that it was loaded from, or "photo" or "baseline" for those that ship.
        path: its file.
        class_names: its classes, in the order of its logits.
        metadata: all that its file says: recipe, data, scores and the like.
    """

    def __init__(self, name: str, path: Path, engine: Engine) -> None:
        self.name, self.path = name, path
        self._engine = engine
        self.metadata = _metadata(name, engine)
        self.class_names: tuple[str, ...] = tuple(self.metadata["class_names"])
        _check_shapes(name, engine, len(self.class_names))

    @classmethod
    def load(cls, source: str | Path | Run | None = None, threads: int = 0) -> "Classifier":
        """Loads a model.

        Args:
            source: a run, a run folder, "latest", a file of `wardrobe export`, or None for the model that ships.
            threads: that calculate; 0: one a core.

        Raises:
            ModelError: it is no model's file, has the wrong shapes, or lacks its metadata.
            RunError: there is no such run.
        """
        path = resolve_model(source)
        name = path.stem.removesuffix(engines.INT8) if path.parent == PRETRAINED else str(path)
        return cls(name, path, engines.open_engine(path, threads))

    def logits(self, images: npt.NDArray[np.uint8]) -> Floats:
        """Returns the logits (n, k) float32 of images (n, 28, 28) uint8, 0-255, as `photo.prepare` makes them.

        Raises:
            ModelError: `images` has another shape or type.
        """
        images = np.asarray(images)
        if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8:
            raise ModelError(
                f"images of shape {images.shape} and type {images.dtype} cannot be classified; "
                f"give (n, {SIDE}, {SIDE}) uint8, as photo.prepare makes them"
            )
        return engines.compute_logits(self._engine, images)

    def classify(self, images: npt.NDArray[np.uint8]) -> Predictions:
        """Classifies images (n, 28, 28) uint8, 0-255, as `photo.prepare` makes them."""
        return self.judged(images, self.logits(images))

    def probabilities(self, logits: Floats) -> Floats:
        """Returns the calibrated probabilities of logits (n, k): rows that sum to 1."""
        return confidence.softmax(logits, self.metadata["temperature"])

    def labels(self, logits: Floats) -> list[str]:
        """Returns the likeliest class of each row of logits (n, k)."""
        return [self.class_names[i] for i in logits.argmax(axis=1)]

    def judged(self, images: npt.NDArray[np.uint8], logits: Floats) -> Predictions:
        """Returns what the logits (n, k) of images (n, 28, 28) mean."""
        return Predictions(
            class_names=self.class_names,
            probabilities=self.probabilities(logits),
            familiarity=confidence.familiarity(logits),
            threshold=self.metadata["familiarity_threshold"],
            empty=np.ptp(images.reshape(-1, SIDE**2), axis=1) == 0,
        )


def resolve_model(source: str | Path | Run | None) -> Path:
    """Returns the ONNX file that `source` stands for; see `Classifier.load`.

    Raises:
        ModelError: there is none. RunError: there is no such run.
    """
    if source is None or (source in SHIPPED_FILES and not Path(str(source)).exists()):
        return PRETRAINED / SHIPPED_FILES[str(source or SHIPPED)]
    if isinstance(source, Run):
        return _of_run(source)
    path = Path(source)
    if source == LATEST or path.is_dir() or not path.suffix:
        return _of_run(find_run(source))
    if not path.is_file():
        raise ModelError(f"{path} does not exist; give a run folder, 'latest', or a model.onnx")
    return path


def _of_run(run: Run) -> Path:
    if not run.onnx_path.is_file():
        raise ModelError(
            f"{run.path} has no model.onnx: its training did not end; go on with: {run.resume_line}"
        )
    return run.onnx_path


def _metadata(name: str, engine: Engine) -> dict[str, Any]:
    """Returns the file's metadata, what is JSON in it parsed, and what is needed of it checked."""
    found = {key: engines.parse_metadata(value) for key, value in engine.metadata.items()}
    missing = [key for key in METADATA if key not in found]
    if missing:
        raise ModelError(
            f"{name} lacks the metadata {', '.join(missing)}; train it again with this version"
        )
    for key, (is_right, expected) in METADATA.items():
        if not is_right(found[key]):
            raise ModelError(
                f"{name} has the {key} {found[key]!r}, expected {expected}; train it again"
            )
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) > 0 and all(isinstance(name, str) for name in value)
    )


METADATA: dict[str, tuple[Callable[[Any], bool], str]] = {
    "class_names": (_are_names, "a list of names"),
    "temperature": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "familiarity_threshold": (_is_number, "a number"),
}


def _check_shapes(name: str, engine: Engine, classes: int) -> None:
    """Checks names, types and shapes of what goes in and out; the number of images must be free."""
    ends = {
        "input": (engine.inputs, PIXELS, [SIDE, SIDE, 1]),
        "output": (engine.outputs, LOGITS, [classes]),
    }
    for which, (found, wanted, shape) in ends.items():
        batch_is_free = (
            len(found) == 1 and len(found[0][2]) > 0 and not isinstance(found[0][2][0], int)
        )
        if not (
            batch_is_free
            and (found[0][0], found[0][1], found[0][2][1:]) == (wanted, "tensor(float)", shape)
        ):
            expected = [(wanted, "tensor(float)", ["batch", *shape])]
            raise ModelError(
                f"{name} has the {which} {found}, expected {expected}; give a model.onnx of wardrobe train"
            )
