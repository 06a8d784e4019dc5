"""ONNX Runtime, LiteRT and OpenVINO behind one interface.

ONNX Runtime is a dependency of the package. The other two are imported when a file needs them.
"""

import json
import os
import sys
import threading
import zipfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wardrobe.errors import ModelError, UsageError
from wardrobe.onnx_runtime import open_session
from wardrobe.terminal import console

Floats = npt.NDArray[np.floating]
TensorInfo = tuple[str, str, list[Any]]  # name, type, shape

SIDE = 28  # pixels
PIXELS, LOGITS = "pixels", "logits"  # names of a model's input and output
BATCH = 256  # images an engine gets at once
METADATA_FILE = "wardrobe.json"  # in the zip archive at the end of a .tflite file
RT_INFO = "wardrobe", "metadata"  # path of the metadata in an OpenVINO model
# OpenVINO computes in bfloat16 otherwise, where the processor has it. A model file cannot ask for
# this itself: of its rt_info "runtime_options", the CPU plugin does not read the precision.
PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}
FORMATS = {"onnx": ".onnx", "litert": ".tflite", "openvino": ".xml"}  # format → file extension
INT8 = "-int8"  # suffix of the stem of an int8 file
PACKAGES = {"onnx": "onnx", "litert": "ai_edge_litert", "openvino": "openvino"}  # of each format


def check_format(name: str, int8: bool) -> None:
    """Checks that a format can be written here.

    Raises:
        UsageError: the format is unknown. ModuleNotFoundError: its package is not installed.
    """
    if name not in FORMATS:
        raise UsageError(f"unknown format {name!r}; the formats are: {', '.join(FORMATS)}")
    quantizer = ("nncf",) if int8 and name == "openvino" else ()
    for package in (PACKAGES[name], *quantizer):
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"no package {package}", name=package)


def file_name(stem: str, to: str, int8: bool) -> str:
    """Returns the name of an exported file, such as "model-int8.tflite"."""
    return f"{stem}{INT8 if int8 else ''}{FORMATS[to]}"


class Engine(Protocol):
    """A model opened by an engine. Safe to share between threads.

    Attributes:
        inputs, outputs: name, type and shape of each.
        metadata: for `parse_metadata`.
    """

    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    metadata: Mapping[str, Any]

    def run(self, pixels: Floats) -> Floats:
        """Returns the logits (n, k) of pixels (n, 28, 28, 1) float32, 0-255, n at least 1."""


def open_engine(path: Path, threads: int = 0) -> Engine:
    """Opens a model file with the engine of its extension.

    Args:
        threads: for the computation; 0: one per core.

    Raises:
        ModelError: the extension is unknown, or the engine cannot read the file.
    """
    if path.suffix not in ENGINES:
        raise ModelError(f"{path} is not a model file; expected {', '.join(ENGINES)}")
    engine, name = ENGINES[path.suffix]
    try:
        return engine(path, threads or count_cores())
    except ImportError:
        raise
    except Exception as error:  # each engine raises its own classes
        raise ModelError(
            f"{path} is not a model that {name} can read ({_shorten_message(error)}); "
            f"give a run, or a {path.suffix} file from wardrobe export"
        ) from error


def compute_logits(engine: Engine, images: npt.NDArray[np.uint8]) -> Floats:
    """Returns the logits (n, k) of images (n, 28, 28) uint8, 0-255, in batches of `BATCH`."""
    if not len(images):  # engines refuse an empty batch, or crash
        return np.empty((0, engine.outputs[0][2][1]), np.float32)
    pixels = images[..., None].astype(np.float32)  # (n, 28, 28, 1)
    starts = range(0, len(pixels), BATCH)
    return np.concatenate([engine.run(pixels[start : start + BATCH]) for start in starts])


def count_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def import_openvino() -> Any:
    """Imports openvino with its telemetry disabled, as if openvino_telemetry were not installed."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


class OnnxEngine:
    """A .onnx file in ONNX Runtime."""

    def __init__(self, path: Path, threads: int) -> None:
        self._session = open_session(path, threads)
        self.inputs = [(each.name, each.type, each.shape) for each in self._session.get_inputs()]
        self.outputs = [(each.name, each.type, each.shape) for each in self._session.get_outputs()]
        self.metadata: Mapping[str, Any] = self._session.get_modelmeta().custom_metadata_map

    def run(self, pixels: Floats) -> Floats:
        logits: Floats = self._session.run([LOGITS], {PIXELS: pixels})[0]
        return logits


class LiteRtEngine:
    """A .tflite file in LiteRT. Its metadata is in a zip archive at its end, by convention."""

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.metadata: Mapping[str, Any] = {}
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                self.metadata = json.loads(archive.read(METADATA_FILE))
        with console.suppress_native_logs():
            self._interpreter = Interpreter(model_content=path.read_bytes(), num_threads=threads)
            self._interpreter.allocate_tensors()
        (pixels,) = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        self._input, self._output = pixels["index"], outputs[0]["index"]
        self.inputs = [_describe(PIXELS, pixels["dtype"], pixels["shape_signature"])]
        self.outputs = [
            _describe(LOGITS, each["dtype"], each["shape_signature"]) for each in outputs
        ]
        self._batch_size, self._lock = 1, threading.Lock()  # an interpreter is not thread-safe

    def run(self, pixels: Floats) -> Floats:
        with self._lock:
            if len(pixels) != self._batch_size:  # resizing is slow; batches are mostly equal
                self._interpreter.resize_tensor_input(self._input, pixels.shape)
                self._interpreter.allocate_tensors()
                self._batch_size = len(pixels)
            self._interpreter.set_tensor(self._input, pixels)
            self._interpreter.invoke()
            logits: Floats = self._interpreter.get_tensor(self._output)
        return logits


class OpenVinoEngine:
    """A .xml file, and the .bin file of the same stem, in OpenVINO."""

    def __init__(self, path: Path, threads: int, precision: Mapping[str, str] = PRECISION) -> None:
        core = import_openvino().Core()
        model, key = core.read_model(path), list(RT_INFO)
        has_metadata = model.has_rt_info(key)
        self.metadata = json.loads(model.get_rt_info(key).astype(str)) if has_metadata else {}
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",  # one request at a time, on all threads
            **precision,
        }
        compiled = core.compile_model(model, "CPU", options)
        self.inputs, self.outputs = (
            [_describe(name, each.element_type.to_dtype(), each.partial_shape) for each in ports]
            for name, ports in ((PIXELS, model.inputs), (LOGITS, model.outputs))
        )
        self._request, self._lock = compiled.create_infer_request(), threading.Lock()

    def run(self, pixels: Floats) -> Floats:
        with self._lock:
            logits: Floats = self._request.infer([pixels])[0].copy()  # the next call overwrites it
        return logits


ENGINES: dict[str, tuple[Callable[[Path, int], Engine], str]] = {  # extension → class and name
    ".onnx": (OnnxEngine, "ONNX Runtime"),
    ".tflite": (LiteRtEngine, "LiteRT"),
    ".xml": (OpenVinoEngine, "OpenVINO"),
}


def _describe(name: str, dtype: Any, shape: Any) -> TensorInfo:
    """Returns name, type and shape in ONNX Runtime's notation, a free size as "batch"."""
    numpy_name = np.dtype(dtype).name
    onnx_name = {"float32": "float", "float64": "double"}.get(numpy_name, numpy_name)
    first, *rest = (str(each) for each in shape)
    batch = int(first) if first.isdecimal() else "batch"
    return name, f"tensor({onnx_name})", [batch, *(int(each) for each in rest)]


def format_metadata(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Returns metadata for an .onnx file, which has only texts; `parse_metadata` reads it.

    Text is written unchanged, unless it would be parsed as another value: "2024" is quoted.
    """
    return {
        key: value if isinstance(value, str) and _parse_json(value) is value else json.dumps(value)
        for key, value in metadata.items()
    }


def parse_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the metadata of a file. Where all entries are texts, they are those of an .onnx file.

    Other formats had only texts too, before version 0.8.
    """
    if all(isinstance(value, str) for value in metadata.values()):
        return {key: _parse_json(value) for key, value in metadata.items()}
    return dict(metadata)


def _parse_json(text: str) -> Any:
    """Returns the value of a text of JSON, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shorten_message(error: Exception) -> str:
    """Returns the first line without codes such as "[ONNXRuntimeError] : 7 : NO_MODEL : "."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition(" : ")[2][:200]
