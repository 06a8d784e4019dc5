"""A trained model for other engines. Every file is checked against Keras before it gets its final name."""

import contextlib
import json
import logging
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnx

from wardrobe.errors import ModelError, WardrobeError
from wardrobe.evaluation import metrics
from wardrobe.evaluation.scoring import ReferenceOutputs
from wardrobe.inference import confidence, engines
from wardrobe.models import architecture, recipes
from wardrobe.runs.files import atomic_write
from wardrobe.terminal import console

Images = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float32]

MAX_LOGIT_DIFFERENCE = 1e-3  # of a float32 file, between two logits of the same image
MAX_ACCURACY_LOSS = (
    0.003  # of an int8 file, of accuracy; one image may always be lost, for a small folder's sake
)
CALIBRATION_IMAGES = 512  # training images that show a quantiser how large activations are
CALIBRATION_BATCH = 64  # of them
ACCURACY, INTERVAL, SURE = (
    "accuracy",
    "accuracy_interval_95",
    "sure",
)  # in the metadata: of the file itself


@dataclass(frozen=True)
class Parity:
    """How a file's answers compare with Keras's, over `n` images."""

    n: int
    largest_logit_difference: float
    same_answers: float  # share, 0-1
    accuracy: float
    keras_accuracy: float


def export_model(
    model: keras.Model,
    path: Path,
    to: str,
    about: Mapping[str, Any],
    shown: ReferenceOutputs,
    samples: Images | None = None,
) -> Parity:
    """Writes `model` in a format: "pixels" (batch, 28, 28, 1) float32, 0-255, in; "logits" (batch, k) float32 out.

    Args:
        to: the format; `path` has its ending. Of "openvino" a .bin file comes beside it.
        about: goes into the file's metadata; accuracy and the like are those of the file, on `shown`.
        shown: what the file is checked by.
        samples: (n, 28, 28), 0-255, of the training split, as the recipe shows them: weights, a scale for each channel,
            and activations become 8-bit integers that hold what these excite. None: all stays float32.

    Raises:
        WardrobeError: a logit of a float32 file is further than `LARGEST_DIFFERENCE` from Keras's, or an int8 file
            loses more than `LARGEST_LOSS`, and more than one image; no file is left.
        ImportError: the format's package is not installed.
    """
    model(
        np.zeros((1, *model.input_shape[1:]), np.float32)
    )  # Keras exports only a model that has been called
    with _replacing(path) as temporary:
        with _quietly():
            WRITERS[to](model, temporary, samples)
        found = engines.compute_logits(engines.open_engine(temporary), shown.images)
        parity = _compared(found, shown)
        _check(parity, path.name, samples is not None)
        DESCRIBERS[to](temporary, _as_text({**about, **_own_scores(found, shown, about)}))
    return parity


def file_size(path: Path) -> int:
    """Returns the bytes of a model's file, and of the .bin beside an .xml."""
    weights = path.with_suffix(".bin")
    beside = (
        weights.stat().st_size
        if path.suffix == engines.FORMATS["openvino"] and weights.is_file()
        else 0
    )
    return path.stat().st_size + beside


def load_onnx_as_keras(path: Path) -> tuple[keras.Model, recipes.Recipe, dict[str, Any]]:
    """Returns the network of a float32 model.onnx, for one view, its recipe, and what the file says of itself.

    Raises:
        ModelError: it is of no recipe that ships.
    """
    loaded = onnx.load(path)
    graph, about = (
        loaded.graph,
        {each.key: engines.parse_metadata(each.value) for each in loaded.metadata_props},
    )
    recipe = recipes.RECIPES.get(about.get("recipe", ""))
    if recipe is None:
        raise ModelError(
            f"{path} is of the recipe {about.get('recipe')!r}, which does not ship; give its run"
        )
    model = architecture.build(recipe, len(about["class_names"]))
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv":
            kernel, bias = (weights[name] for name in node.input[1:])
            model.get_layer(_layer_of(node)).set_weights([kernel.transpose(2, 3, 1, 0), bias])
        elif node.op_type == "MatMul":
            (after,) = (each for each in graph.node if node.output[0] in each.input)
            bias = next(weights[name] for name in after.input if name in weights)
            model.get_layer(_layer_of(node)).set_weights([weights[node.input[1]], bias])
    return model, recipe, about


def _layer_of(node: onnx.NodeProto) -> str:
    """Returns the layer that a node comes from: "conv1" of "seed_1/conv1_1/BiasAdd"."""
    return node.name.split("/")[-2].rpartition("_")[0]


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path with the same ending; its file, and a .bin beside it, get their names at the end."""
    with atomic_write(path) as temporary:
        beside = temporary.with_suffix(".bin")
        try:
            yield temporary
            if beside.is_file():
                path.unlink(missing_ok=True)  # so that there is never an .xml with another's .bin
                beside.replace(path.with_suffix(".bin"))
        finally:
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keeps back what converters and quantisers say while they work; what goes wrong is raised."""
    for name in ("tf2onnx", "nncf", "root"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with (
        warnings.catch_warnings(),
        console.suppress_native_logs(),
        Path(os.devnull).open("w") as nowhere,
    ):
        warnings.simplefilter("ignore")  # of names that NumPy and TensorFlow deprecate
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield


def _compared(found: Logits, shown: ReferenceOutputs) -> Parity:
    answers, expected = found.argmax(axis=1), shown.logits.argmax(axis=1)
    return Parity(
        n=len(found),
        largest_logit_difference=float(np.abs(found - shown.logits).max()),
        same_answers=float((answers == expected).mean()),
        accuracy=float((answers == shown.labels).mean()),
        keras_accuracy=float((expected == shown.labels).mean()),
    )


def _check(parity: Parity, name: str, int8: bool) -> None:
    """Refuses a file that is not what Keras is; a difference may not be NaN either."""
    allowed = max(MAX_ACCURACY_LOSS, 1 / parity.n) + 1e-9
    if int8 and not parity.keras_accuracy - parity.accuracy <= allowed:
        raise WardrobeError(
            f"{name} is right in {parity.accuracy:.2%} of {parity.n:,} images, Keras in {parity.keras_accuracy:.2%}; "
            f"expected a loss of at most {MAX_ACCURACY_LOSS:.1%}; it was not kept; export without --int8"
        )
    if not int8 and not parity.largest_logit_difference <= MAX_LOGIT_DIFFERENCE:
        raise WardrobeError(
            f"{name} differs from Keras by {parity.largest_logit_difference:.1e} in a logit, expected at most "
            f"{MAX_LOGIT_DIFFERENCE:.0e}; it was not kept; report this with the versions in run.json"
        )


def _own_scores(found: Logits, shown: ReferenceOutputs, about: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the scores that stand in the metadata, of the file itself."""
    correct, n = int((found.argmax(axis=1) == shown.labels).sum()), len(found)
    sure = float((confidence.familiarity(found) >= about["familiarity_threshold"]).mean())
    return {
        ACCURACY: correct / n,
        INTERVAL: list(metrics.accuracy_interval(correct, n)),
        SURE: sure,
    }


def _as_text(about: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()
    }


def _batches(samples: Images) -> Iterator[npt.NDArray[np.float32]]:
    """Yields the samples as they go in: (`AT_ONCE`, 28, 28, 1) float32, 0-255."""
    for start in range(0, len(samples), CALIBRATION_BATCH):
        yield samples[start : start + CALIBRATION_BATCH, ..., None].astype(np.float32)


def _write_onnx(model: keras.Model, path: Path, samples: Images | None) -> None:
    model.export(path, format="onnx", verbose=False)
    onnx.save(_named(onnx.load(path)), path)
    if samples is None:
        return
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    batches = _batches(samples)

    class Reader(quantization.CalibrationDataReader):
        def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
            pixels = next(batches, None)
            return None if pixels is None else {engines.PIXELS: pixels}

    prepared = path.with_suffix(".prepared.onnx")
    try:
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        # Weights of 7 bits: processors without VNNI add two products in 16 bits, which 8 bits overflow.
        quantization.quantize_static(
            str(prepared), str(path), Reader(), per_channel=True, reduce_range=True,
            nodes_to_exclude=_from_logits_on(onnx.load(prepared).graph),
        )  # fmt: skip
    finally:
        prepared.unlink(missing_ok=True)


def _from_logits_on(graph: onnx.GraphProto) -> list[str]:
    """Returns the nodes of the layer that gives the logits, and those after it, to be left in float32.

    They cost nothing there, and a photo's answer changes a fifth as often (docs/log.md).
    """
    reached: set[str] = set()
    found = []
    for node in graph.node:  # each after what it takes
        if re.search(r"/(member\d+_)?logits_\d+/", node.name) or reached.intersection(node.input):
            reached.update(node.output)
            found.append(node.name)
    return found


def _named(exported: onnx.ModelProto) -> onnx.ModelProto:
    """Names the output and the batch dimension, which tf2onnx calls "Identity:0" and "unk__1"."""
    graph = exported.graph
    old_name = graph.output[0].name
    for node in graph.node:
        node.output[:] = [engines.LOGITS if name == old_name else name for name in node.output]
        node.input[:] = [engines.LOGITS if name == old_name else name for name in node.input]
    graph.output[0].name = engines.LOGITS
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(exported)
    return exported


def _describe_onnx(path: Path, about: Mapping[str, str]) -> None:
    model = onnx.load(path)
    onnx.helper.set_model_props(model, about)
    onnx.save(model, path)


def _write_litert(model: keras.Model, path: Path, samples: Images | None) -> None:
    if samples is None:
        model.export(path, format="litert", verbose=False)
        return
    import tensorflow as tf

    def one_by_one() -> Iterator[list[npt.NDArray[np.float32]]]:
        for batch in _batches(samples):
            for image in batch:
                yield [image[None]]

    quantised = {"optimizations": [tf.lite.Optimize.DEFAULT], "representative_dataset": one_by_one}
    model.export(path, format="litert", verbose=False, **quantised)


def _describe_litert(path: Path, about: Mapping[str, str]) -> None:
    """Appends an archive, which the format allows: `unzip model.tflite` shows metadata and class names."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(engines.METADATA_FILE, json.dumps(about, indent=2, ensure_ascii=False))
        archive.writestr("labels.txt", "\n".join(json.loads(about["class_names"])) + "\n")


def _write_openvino(model: keras.Model, path: Path, samples: Images | None) -> None:
    openvino = engines.import_openvino()
    model.export(str(path), format="openvino", verbose=False)
    if samples is None:
        return
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    # NNCF's own choices, ranges of the mean image and corrected biases, cost up to 0.3 points (docs/log.md).
    choices = nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
        disable_bias_correction=True,
    )
    read = openvino.Core().read_model(path)
    one_by_one = [image[None] for batch in _batches(samples) for image in batch]
    shown = nncf.Dataset(one_by_one)
    quantised = nncf.quantize(read, shown, subset_size=len(one_by_one), advanced_parameters=choices)
    _save_openvino(quantised, path)


def _describe_openvino(path: Path, about: Mapping[str, str]) -> None:
    model = engines.import_openvino().Core().read_model(path)
    model.set_rt_info(json.dumps(about, ensure_ascii=False), list(engines.RT_INFO))
    _save_openvino(model, path)


def _save_openvino(model: Any, path: Path) -> None:
    """Writes a model in place of the one that it was read from, whose .bin is still mapped into memory."""
    new = path.with_stem(f"{path.stem}-new")
    engines.import_openvino().save_model(model, new, compress_to_fp16=False)
    for ending in (".bin", ".xml"):
        new.with_suffix(ending).replace(path.with_suffix(ending))


Writer = Callable[[keras.Model, Path, Images | None], None]
WRITERS: dict[str, Writer] = {
    "onnx": _write_onnx,
    "litert": _write_litert,
    "openvino": _write_openvino,
}
DESCRIBERS: dict[str, Callable[[Path, Mapping[str, str]], None]] = {
    "onnx": _describe_onnx,
    "litert": _describe_litert,
    "openvino": _describe_openvino,
}
