"""Writes a Keras model in another format, and keeps the file only if it agrees with Keras.

Validation images decide whether it agrees. A file that is kept is then scored on the test split.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from wardrobe.errors import WardrobeError
from wardrobe.evaluation import metrics
from wardrobe.evaluation.scoring import Evaluation, ReferenceOutputs
from wardrobe.export import litert, onnx, openvino
from wardrobe.export.calibration import Images
from wardrobe.inference import confidence, engines
from wardrobe.percent import format_percent
from wardrobe.runs.files import atomic_write
from wardrobe.terminal import console

MAX_LOGIT_DIFFERENCE = 1e-3  # from Keras, of a float32 file
MAX_ACCURACY_LOSS = 0.003  # of an int8 file; a loss of one image is always allowed (small splits)

# To add a format: a module with `write` and `write_metadata`, a row here, and an
# engine, an extension and a package in inference/engines.py.
WRITERS = {"onnx": onnx, "litert": litert, "openvino": openvino}


@dataclass(frozen=True)
class Parity:
    """How a file's outputs compare with those of Keras, over `n` images."""

    n: int
    largest_logit_difference: float
    default_logit_difference: float  # the same, with the engine's default precision
    same_answers: float  # fraction of equal classes
    accuracy: float
    keras_accuracy: float


def export_model(
    model: keras.Model,
    path: Path,
    to: str,
    metadata: Mapping[str, Any],
    evaluated: Evaluation,
    calibration: Images | None = None,
) -> Parity:
    """Writes a model with input "pixels" (batch, 28, 28, 1) float32, 0-255, and output "logits".

    Args:
        to: the format; `path` has its extension. For "openvino", a .bin file is written too.
        metadata: for the file; its scores are replaced by those of the file itself.
        evaluated: the scored split, with Keras's logits; it only scores the file. The images in
            `evaluated.validation` decide whether the file is kept.
        calibration: (n, 28, 28) training images, 0-255, that calibrate int8 weights, with one scale
            a channel, and activations. None: float32.

    Returns:
        The comparison with Keras over the scored split.

    Raises:
        WardrobeError: over the validation images, a float32 logit differs by more than
            `MAX_LOGIT_DIFFERENCE`, or an int8 file loses more accuracy than `MAX_ACCURACY_LOSS`.
            No file is kept.
        ImportError: the format's package is not installed.
    """
    model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports only a called model
    with _replace_model_file(path) as temporary:
        with suppress_output():
            WRITERS[to].write(model, temporary, calibration)
        engine = engines.open_engine(temporary)
        validation = evaluated.validation
        agreement = _compare(engines.compute_logits(engine, validation.images), validation)
        _check(agreement, path.name, is_int8=calibration is not None)
        logits = engines.compute_logits(engine, evaluated.images)  # the file is accepted by now
        parity = _compare(logits, evaluated)
        if to == "openvino":
            by_default = engines.OpenVinoEngine(temporary, engines.count_cores(), precision={})
            found = _compare(engines.compute_logits(by_default, evaluated.images), evaluated)
            parity = replace(parity, default_logit_difference=found.largest_logit_difference)
        scores = _score(parity, logits, metadata["familiarity_threshold"])
        WRITERS[to].write_metadata(temporary, {**metadata, **scores})
    return parity


def file_size(path: Path) -> int:
    """Returns the bytes of a model file, including the .bin file of an OpenVINO model."""
    weights = path.with_suffix(".bin")
    has_weights = path.suffix == engines.FORMATS["openvino"] and weights.is_file()
    return path.stat().st_size + (weights.stat().st_size if has_weights else 0)


@contextlib.contextmanager
def _replace_model_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path; at the end, its file and its .bin file replace those of `path`."""
    with atomic_write(path) as temporary:
        weights = temporary.with_suffix(".bin")
        try:
            yield temporary
            if weights.is_file():
                path.unlink(missing_ok=True)  # an .xml file must never have the .bin of another
                weights.replace(path.with_suffix(".bin"))
        finally:
            weights.unlink(missing_ok=True)


@contextlib.contextmanager
def suppress_output() -> Iterator[None]:
    """Suppresses the output of converters and quantizers. Their errors are raised."""
    for name in ("tf2onnx", "nncf", "root"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with (
        warnings.catch_warnings(),
        console.suppress_native_logs(),
        Path(os.devnull).open("w") as null,
    ):
        warnings.simplefilter("ignore")  # deprecations inside NumPy and TensorFlow
        with contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):
            yield


def _compare(logits: np.ndarray, reference: ReferenceOutputs) -> Parity:
    answers, expected = logits.argmax(axis=1), reference.logits.argmax(axis=1)
    difference = float(np.abs(logits - reference.logits).max())
    return Parity(
        n=len(logits),
        largest_logit_difference=difference,
        default_logit_difference=difference,
        same_answers=float((answers == expected).mean()),
        accuracy=float((answers == reference.labels).mean()),
        keras_accuracy=float((expected == reference.labels).mean()),
    )


def _check(parity: Parity, name: str, is_int8: bool) -> None:
    """Refuses a file that does not agree with Keras. The comparisons are false for NaN."""
    allowed = max(MAX_ACCURACY_LOSS, 1 / parity.n) + 1e-9
    if is_int8 and not parity.keras_accuracy - parity.accuracy <= allowed:
        accuracies = parity.accuracy, parity.keras_accuracy
        measured, of_keras = (format_percent(each, 2) for each in accuracies)
        raise WardrobeError(
            f"{name} has an accuracy of {measured} on {parity.n:,} validation images, Keras "
            f"{of_keras}; expected a loss of at most {format_percent(MAX_ACCURACY_LOSS)}; "
            "the file was not kept; export without --int8"
        )
    if not is_int8 and not parity.largest_logit_difference <= MAX_LOGIT_DIFFERENCE:
        raise WardrobeError(
            f"{name} differs from Keras by {parity.largest_logit_difference:.1e} in a logit of "
            f"{parity.n:,} validation images, expected at most {MAX_LOGIT_DIFFERENCE:.0e}; the "
            "file was not kept; report this with the versions in run.json"
        )


def _score(parity: Parity, logits: np.ndarray, threshold: float) -> dict[str, Any]:
    """Returns the scores of the file itself, for its metadata."""
    correct = round(parity.accuracy * parity.n)
    return {
        "accuracy": parity.accuracy,
        "accuracy_interval_95": list(metrics.accuracy_interval(correct, parity.n)),
        "sure": float((confidence.familiarity(logits) >= threshold).mean()),
    }
