"""`Classifier`: a trained model from a file of any format, without Keras or TensorFlow."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wardrobe.errors import ModelError
from wardrobe.inference import confidence, engines
from wardrobe.inference.engines import LOGITS, PIXELS, SIDE, Engine
from wardrobe.onnx_runtime import PRETRAINED
from wardrobe.percent import format_percent
from wardrobe.runs import LATEST, Run, find_run
from wardrobe.terminal.console import make_printable

Floats = npt.NDArray[np.floating]
Images = npt.NDArray[np.uint8] | Sequence[npt.NDArray[np.uint8]]

MAJORITY = 0.5  # probability below which an answer is uncertain between classes; see answer.js
HUB = "hf://"  # an address on the Hugging Face Hub
SHIPPED = "photo"  # the default model
# The faster file of each shipped model on a CPU, as measured in RESULTS.md.
SHIPPED_FILES = {SHIPPED: "photo-int8.onnx", "baseline": "baseline.onnx"}


@dataclass(frozen=True)
class Answer:
    """The prediction of a model for one image."""

    probabilities: dict[str, float]  # class → 0-1, the most probable first
    familiarity: float  # see confidence.familiarity
    reason: str | None  # why the image gets no class; None if it gets one

    @property
    def label(self) -> str:
        return next(iter(self.probabilities))

    @property
    def confidence(self) -> float:
        return self.probabilities[self.label]

    @property
    def not_sure(self) -> bool:
        return self.reason is not None

    @property
    def is_uncertain(self) -> bool:
        """Whether the image is like the classes, but none of them has the majority."""
        return not self.not_sure and self.confidence < MAJORITY

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """Returns the JSON object, with null for NaN and infinity, of `top` classes; None: all."""

        def finite_or_none(value: float) -> float | None:
            return value if math.isfinite(value) else None

        listed = islice(self.probabilities.items(), top)
        return {
            "label": self.label,
            "confidence": finite_or_none(self.confidence),
            "probabilities": {name: finite_or_none(each) for name, each in listed},
            "familiarity": finite_or_none(self.familiarity),
            "not_sure": self.not_sure,
            "reason": self.reason,
        }


@dataclass(frozen=True, repr=False)
class Predictions:
    """The predictions of a model for n images."""

    class_names: tuple[str, ...]
    probabilities: Floats  # (n, k), calibrated, rows sum to 1
    familiarity: Floats  # (n,), similarity to the training data; see confidence.familiarity
    threshold: float  # familiarity below which an image is unlike the classes
    empty: npt.NDArray[np.bool_]  # (n,): images of one tone

    def __len__(self) -> int:
        return len(self.probabilities)

    def __getitem__(self, i: int) -> Answer:
        return Answer(self.ranked(i), float(self.familiarity[i]), self.reason(i))

    def __repr__(self) -> str:
        return f"Predictions({len(self):,} images, {int(self.not_sure.sum()):,} without a class)"

    @property
    def labels(self) -> list[str]:
        """The most probable class of each image."""
        return [self.class_names[i] for i in self.probabilities.argmax(axis=1)]

    @property
    def confidences(self) -> Floats:
        """The probability of the most probable class: (n,), 0-1."""
        return self.probabilities.max(axis=1)

    @cached_property
    def not_sure(self) -> npt.NDArray[np.bool_]:
        """Whether each answer is rejected: (n,). NaN is rejected too."""
        return self.empty | ~(self.familiarity >= self.threshold)

    def ranked(self, i: int) -> dict[str, float]:
        """Returns class → probability of image `i`, the most probable first."""
        row = self.probabilities[i]
        order = np.argsort(-row, kind="stable")  # ties keep the order of the classes
        return {self.class_names[j]: float(row[j]) for j in order}

    def reason(self, i: int) -> str | None:
        """Returns why image `i` gets no class (blank, or unlike them); None if it gets one."""
        if self.empty[i]:
            return "the image is blank"
        if not self.not_sure[i]:
            return None
        found, least = float(self.familiarity[i]), float(self.threshold)
        # As many decimals as it takes for the two to differ.
        n = next((n for n in range(1, 4) if round(found, n) != round(least, n)), 4)
        score = f"familiarity {found:.{n}f}, expected {least:.{n}f} or more"
        return f"unlike the {len(self.class_names)} classes ({score})"

    def verdict(self, i: int) -> str:
        """Returns the answer to image `i` in words: one class, two classes, or why it gets none."""
        if reason := self.reason(i):
            return reason.partition(" (")[0]
        first, second = islice(self.ranked(i), 2)
        if self.confidences[i] < MAJORITY:
            return f"uncertain between {first} and {second}"
        return f"{first}, {format_percent(self.confidences[i], 0)}"


class Classifier:
    """A model with its metadata. Safe to share between threads.

    Attributes:
        name: what it was loaded from; see `name_model`.
        path: its file.
        class_names: its classes, in the order of the logits.
        metadata: recipe, data, scores and the rest of the file's metadata.
    """

    def __init__(self, name: str, path: Path, engine: Engine, threads: int = 0) -> None:
        self.name, self.path = name, path
        self._engine, self._threads = engine, threads
        self.metadata = _parse_metadata(name, engine)
        self.class_names: tuple[str, ...] = tuple(self.metadata["class_names"])
        _check_shapes(name, engine, len(self.class_names))  # now, not at the first image

    @classmethod
    def load(cls, source: str | Path | Run | None = None, threads: int = 0) -> "Classifier":
        """Loads a model.

        Args:
            source: a run, a run folder, "latest", a file from `wardrobe export`, "photo" or
                "baseline", "hf://OWNER/NAME[@REVISION]"; None: the default model.
            threads: for the computation; 0: one per core.

        Raises:
            ModelError: the file is not a model, or its shapes or metadata are wrong.
            RunError: the run does not exist.
        """
        path = resolve_model(source)
        name = make_printable(name_model(source, path))  # the server's JSON is UTF-8
        return cls(name, path.absolute(), engines.open_engine(path, threads), threads)

    def __repr__(self) -> str:
        return f"Classifier({self.name!r}, {len(self.class_names)} classes)"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the path of the model's file, from which the other process opens it again."""
        return _reopen, (type(self), self.name, self.path, self._threads)

    def logits(self, images: npt.NDArray[np.uint8]) -> Floats:
        """Returns the logits (n, k) float32 of images (n, 28, 28) uint8, 0-255, light on black.

        Raises:
            ModelError: `images` has another shape or dtype.
        """
        return engines.compute_logits(self._engine, _check_images(images))

    def classify(self, images: Images) -> Predictions:
        """Classifies images (n, 28, 28) uint8, 0-255, light on black; see `photo.prepare`.

        Raises:
            ModelError: `images` has another shape or dtype.
        """
        images = _check_images(images)
        return self.to_predictions(images, self.logits(images))

    def probabilities(self, logits: Floats) -> Floats:
        """Returns the calibrated probabilities (n, k) of logits (n, k)."""
        return confidence.softmax(logits, self.metadata["temperature"])

    def labels(self, logits: Floats) -> list[str]:
        """Returns the most probable class of each row of logits (n, k)."""
        return [self.class_names[i] for i in logits.argmax(axis=1)]

    def to_predictions(self, images: npt.NDArray[np.uint8], logits: Floats) -> Predictions:
        """Returns the predictions of images (n, 28, 28) from their logits (n, k)."""
        return Predictions(
            class_names=self.class_names,
            probabilities=self.probabilities(logits),
            familiarity=confidence.familiarity(logits),
            threshold=self.metadata["familiarity_threshold"],
            empty=np.ptp(images.reshape(-1, SIDE**2), axis=1) == 0,  # (n,)
        )


def _check_images(images: Any) -> npt.NDArray[np.uint8]:
    """Returns images, or a list of them, as an array (n, 28, 28) uint8.

    Raises:
        ModelError: they have another shape or dtype.
    """
    try:
        array = np.asarray(images)
        found = f"shape {array.shape} and dtype {array.dtype}"
    except ValueError:  # a list of images of different shapes
        array, found = np.empty(0), "different shapes"
    if array.ndim != 3 or array.shape[1:] != (SIDE, SIDE) or array.dtype != np.uint8:
        raise ModelError(
            f"images of {found} cannot be classified; give (n, {SIDE}, {SIDE}) uint8, or a list of "
            "what photo.prepare returns for a photo"
        )
    return array


def _reopen(cls: type[Classifier], name: str, path: Path, threads: int) -> Classifier:
    if path.parent.name == PRETRAINED.name and not path.is_file():
        path = PRETRAINED / path.name  # a model that ships, in another installation
    if not path.is_file():
        raise ModelError(f"{path} of the pickled model does not exist here; load the model again")
    return cls(name, path, engines.open_engine(path, threads), threads)


def is_shipped(name: str | Path | Run) -> bool:
    """Returns whether a model that ships has this name, and nothing in the working directory."""
    return name in SHIPPED_FILES and not Path(str(name)).exists()


def resolve_model(source: str | Path | Run | None) -> Path:
    """Returns the file of a model; `source` as in `Classifier.load`.

    Raises:
        ModelError: the file does not exist. RunError: the run does not exist.
    """
    if source is None or is_shipped(source):
        return PRETRAINED / SHIPPED_FILES[str(source or SHIPPED)]
    if str(source).startswith(HUB):
        from wardrobe.inference import hub

        return hub.download(str(source))
    if not isinstance(source, Run) and source != LATEST:
        path = Path(source)
        if not path.exists():
            shipped = ", ".join(map(repr, SHIPPED_FILES))
            raise ModelError(
                f"the model {path} does not exist; give {shipped}, a run folder, 'latest', or a "
                "file"
            )
        if path.suffix and not path.is_dir():
            return path
    run = source if isinstance(source, Run) else find_run(source)
    if not run.onnx_path.is_file():
        raise ModelError(
            f"{run.path} has no model.onnx: its training is not finished; resume it with: "
            f"{run.resume_line}"
        )
    return run.onnx_path


def name_model(source: str | Path | Run | None, file: Path) -> str:
    """Returns a model's name in outputs: "photo", its run's folder, its address, or its file.

    Args:
        source: as in `Classifier.load`. file: that of the model, from `resolve_model`.
    """
    if file.parent == PRETRAINED:
        return file.stem.removesuffix(engines.INT8)
    if str(source).startswith(HUB):
        return str(source)
    is_file = not isinstance(source, Run) and Path(str(source)) == file
    return str(file if is_file else file.parent)


def _parse_metadata(name: str, engine: Engine) -> dict[str, Any]:
    """Returns the metadata with JSON parsed, after checking the required entries."""
    metadata = engines.parse_metadata(engine.metadata)
    missing = [key for key in REQUIRED_METADATA if key not in metadata]
    if missing:
        raise ModelError(
            f"{name} lacks the metadata {', '.join(missing)}; train it again with this version"
        )
    for key, (is_valid, expected) in REQUIRED_METADATA.items():
        if not is_valid(metadata[key]):
            raise ModelError(
                f"{name} has the {key} {metadata[key]!r}, expected {expected}; train it again"
            )
    return metadata


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


REQUIRED_METADATA: dict[str, tuple[Callable[[Any], bool], str]] = {  # key → check, expectation
    "class_names": (_is_names, "a list of names"),
    "temperature": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "familiarity_threshold": (_is_number, "a number"),
}


def _check_shapes(name: str, engine: Engine, classes: int) -> None:
    """Checks name, type and shape of input and output; the batch size must be free."""
    for which, tensors, wanted, shape in (
        ("input", engine.inputs, PIXELS, [SIDE, SIDE, 1]),
        ("output", engine.outputs, LOGITS, [classes]),
    ):
        expected = [(wanted, "tensor(float)", ["batch", *shape])]
        # The name of a free size differs between files: any text counts as "batch".
        sizes = tensors[0][2] if len(tensors) == 1 else []
        is_free = len(sizes) > 0 and not isinstance(sizes[0], int)
        if not is_free or [(*tensors[0][:2], ["batch", *sizes[1:]])] != expected:
            raise ModelError(
                f"{name} has the {which} {tensors}, expected {expected}; give a model.onnx of "
                "wardrobe train"
            )
