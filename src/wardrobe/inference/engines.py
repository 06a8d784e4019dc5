"""A model's file at work, in any of the formats: ONNX Runtime, LiteRT and OpenVINO, behind one call.

ONNX Runtime comes with the package; the other two are loaded when a file asks for them.
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

# ONNX Runtime reads this when it is imported. Otherwise it writes a device id and a database into
# the cache and reports each session to its makers. disable_telemetry_events() is too late for that.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import numpy.typing as npt
import onnxruntime

from wardrobe.errors import ModelError, UsageError
from wardrobe.terminal import console

Floats = npt.NDArray[np.floating]
End = tuple[
    str, str, list[Any]
]  # name, type and shape of what goes into a model or comes out of it

SIDE = 28  # pixels
PIXELS, LOGITS = "pixels", "logits"  # what goes into a model's file and comes out of it
BATCH = 256  # images that an engine is given at once
METADATA_FILE = "wardrobe.json"  # in the archive that is appended to a .tflite file
RT_INFO = "wardrobe", "metadata"  # where an .xml file has the same text
FORMATS = {"onnx": ".onnx", "litert": ".tflite", "openvino": ".xml"}  # format → how its file ends
INT8 = "-int8"  # at the end of the stem of an int8 file
PACKAGES = {
    "onnx": ("onnx",),
    "litert": ("ai_edge_litert",),
    "openvino": ("openvino",),
}  # that write or run a format


def check_format(name: str, int8: bool) -> None:
    """Checks that a format can be written here.

    Raises:
        UsageError: there is no such format. ModuleNotFoundError: a package that it needs is not installed.
    """
    if name not in FORMATS:
        raise UsageError(f"unknown format {name!r}; the formats are: {', '.join(FORMATS)}")
    quantiser = ("nncf",) if int8 and name == "openvino" else ()
    for package in (*PACKAGES[name], *quantiser):
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"no package {package}", name=package)


def file_name(stem: str, to: str, int8: bool) -> str:
    """Returns how a model's file of a format is called: "model-int8.tflite"."""
    return f"{stem}{INT8 if int8 else ''}{FORMATS[to]}"


class Engine(Protocol):
    """A model that an engine has opened. Safe to share between threads.

    Attributes:
        inputs, outputs: what goes in and comes out.
        metadata: what the file says of itself: key → text, JSON where it is no text.
    """

    inputs: list[End]
    outputs: list[End]
    metadata: Mapping[str, str]

    def run(self, pixels: Floats) -> Floats:
        """Returns the logits (n, k) of pixels (n, 28, 28, 1) float32, 0-255."""


def open_engine(path: Path, threads: int = 0) -> Engine:
    """Opens a model's file by its ending, to calculate in so many threads; 0: one a core.

    Raises:
        ModelError: it has another ending, or its engine cannot read it.
    """
    if path.suffix not in ENGINES:
        raise ModelError(
            f"{path} is no model's file; expected one that ends in {', '.join(ENGINES)}"
        )
    kind, name = ENGINES[path.suffix]
    try:
        return kind(path, threads or count_cores())
    except ImportError:
        raise
    except Exception as error:  # each engine has classes of its own for each way to fail
        raise ModelError(
            f"{path} is not a model that {name} can read ({_first_line(error)}); give a run, or a file of wardrobe "
            f"export that ends in {path.suffix}"
        ) from error


def compute_logits(engine: Engine, images: npt.NDArray[np.uint8]) -> Floats:
    """Returns the logits (n, k) of images (n, 28, 28) uint8, 0-255, in batches of `BATCH`."""
    pixels = images[..., None].astype(np.float32)
    batches = [
        pixels[i : i + BATCH] for i in range(0, max(len(pixels), 1), BATCH)
    ]  # of no image, one empty batch
    return np.concatenate([engine.run(batch) for batch in batches])


def count_cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def import_openvino() -> Any:
    """Returns the package openvino, loaded without what tells its makers over the network that it is used."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if not installed
    import openvino

    return openvino


def open_session(model: Path | bytes, threads: int = 0) -> onnxruntime.InferenceSession:
    """Opens an ONNX model in ONNX Runtime, on the CPU, to calculate in so many threads; 0: one a core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised, and told in one line
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # leaves the cores to the decoding
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Onnx:
    """A .onnx file in ONNX Runtime."""

    def __init__(self, path: Path, threads: int) -> None:
        self._session = open_session(path, threads)
        self.inputs = [(end.name, end.type, end.shape) for end in self._session.get_inputs()]
        self.outputs = [(end.name, end.type, end.shape) for end in self._session.get_outputs()]
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map

    def run(self, pixels: Floats) -> Floats:
        found: Floats = self._session.run([LOGITS], {PIXELS: pixels})[0]
        return found


class LiteRt:
    """A .tflite file in LiteRT; its metadata is in an archive appended to it, as the format's convention has it."""

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.metadata: Mapping[str, str] = {}
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                self.metadata = json.loads(archive.read(METADATA_FILE))
        with console.loading_quietly():
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        (given,), found = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        self._input, self._output = given["index"], found[0]["index"]
        self.inputs = [(PIXELS, _tensor(given["dtype"]), _free(given["shape_signature"]))]
        self.outputs = [
            (LOGITS, _tensor(end["dtype"]), _free(end["shape_signature"])) for end in found
        ]
        self._allocated, self._lock = 1, threading.Lock()

    def run(self, pixels: Floats) -> Floats:
        if not len(pixels):
            return np.empty((0, self.outputs[0][2][1]), np.float32)
        with self._lock:
            if len(pixels) != self._allocated:
                self._interpreter.resize_tensor_input(self._input, pixels.shape)
                self._interpreter.allocate_tensors()
                self._allocated = len(pixels)
            self._interpreter.set_tensor(self._input, pixels)
            self._interpreter.invoke()
            found: Floats = self._interpreter.get_tensor(self._output)
        return found


class OpenVino:
    """A .xml file, and the .bin beside it, in OpenVINO."""

    def __init__(self, path: Path, threads: int) -> None:
        core = import_openvino().Core()
        model = core.read_model(path)
        self.metadata = (
            json.loads(model.get_rt_info(list(RT_INFO)).astype(str))
            if model.has_rt_info(list(RT_INFO))
            else {}
        )
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = core.compile_model(model, "CPU", options)
        self.inputs = [
            (PIXELS, _tensor(end.element_type.to_dtype()), _free(end.partial_shape))
            for end in model.inputs
        ]
        self.outputs = [
            (LOGITS, _tensor(end.element_type.to_dtype()), _free(end.partial_shape))
            for end in model.outputs
        ]
        self._request, self._lock = compiled.create_infer_request(), threading.Lock()

    def run(self, pixels: Floats) -> Floats:
        if not len(pixels):
            return np.empty((0, self.outputs[0][2][1]), np.float32)
        with self._lock:
            found: Floats = self._request.infer([pixels])[0].copy()
        return found


Opener = Callable[[Path, int], Engine]
ENGINES: dict[str, tuple[Opener, str]] = {
    ".onnx": (Onnx, "ONNX Runtime"),
    ".tflite": (LiteRt, "LiteRT"),
    ".xml": (OpenVino, "OpenVINO"),
}  # ending → what opens the file, and its name


def _tensor(dtype: Any) -> str:
    """Returns a type by ONNX Runtime's name for it."""
    name = np.dtype(dtype).name
    return f"tensor({ {'float32': 'float', 'float64': 'double'}.get(name, name) })"


def _free(shape: Any) -> list[Any]:
    """Returns a shape whose first dimension is "batch" where it is free."""
    sizes = [str(each) for each in shape]
    rest = [int(each) for each in sizes[1:]]
    return [int(sizes[0]) if sizes[0].isdecimal() else "batch", *rest]


def parse_metadata(text: str) -> Any:
    """Returns what a file says of itself under one key: what is JSON as its value, else the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _first_line(error: Exception) -> str:
    """Returns what an engine says, less its codes: "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : …"."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition(" : ")[2][:200]
