"""ONNX Runtime with its telemetry disabled, the operators of a model, and the models that ship.

Only this module imports ONNX Runtime's sessions. That takes a tenth of a second, so `photo`, which
may not need one, imports this module lazily.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# ONNX Runtime reads this when it is imported. Otherwise it writes a device id and a database into
# the cache and reports each session to its makers. disable_telemetry_events() is too late for that.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

PRETRAINED = Path(__file__).parent / "pretrained"  # the models that ship
# Operators on the path of the image from the pixels to the logits, and those of a dense layer.
DENSE = {"MatMul", "Gemm"}
FOLLOWED = DENSE | {"Conv", "MaxPool", "Relu", "Mul", "Add", "Sub", "Div"} | {
    *("Cast", "Reshape", "Transpose", "Flatten", "Identity")
}  # fmt: skip
# Numbers of fields in onnx.proto: of a model, a graph, a node and a tensor's description.
GRAPH, NODE, OUTPUT, NAME = 7, 1, 12, 1
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR = 1, 2, 4
FLOAT = b"\x12\x04\x0a\x02\x08\x01"  # the field "type" of a description: a tensor of float32


@dataclass(frozen=True)
class Node:
    """An operator of a model, and the names of the tensors that it reads and writes."""

    operator: str
    inputs: list[str]
    outputs: list[str]


def open_session(model: Path | bytes, threads: int = 0) -> onnxruntime.InferenceSession:
    """Opens an ONNX model in ONNX Runtime on the CPU; 0 threads: one per core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors are raised instead
    # Spinning threads would take the cores that decode photos.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # ONNX Runtime takes no path whose bytes are not UTF-8.
    content = model if isinstance(model, bytes) else model.read_bytes()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def read_nodes(model: bytes) -> list[Node]:
    """Returns the operators of an .onnx file in topological order, without the onnx package."""
    graph = b"".join(content for field, content in _read_fields(model) if field == GRAPH)
    nodes = []
    for field, content in _read_fields(graph):
        if field == NODE:
            texts: dict[int, list[str]] = {each: [] for each in range(1, 5)}
            for number, text in _read_fields(content):
                if number in texts:
                    texts[number].append(text.decode())
            nodes.append(Node(texts[NODE_OPERATOR][0], texts[NODE_INPUT], texts[NODE_OUTPUT]))
    return nodes


def get_layer_name(name: str) -> str:
    """Returns the layer of a tensor or node, "conv1" of "baseline_1/conv1_1/Relu:0"; "" if none."""
    return name.split("/")[-2].rpartition("_")[0] if "/" in name else ""


def add_outputs(model: bytes, names: Iterable[str]) -> bytes:
    """Returns an .onnx file that also outputs these float32 tensors.

    They are appended: protobuf merges a message that comes in two parts.
    """
    outputs = [_encode_field(NAME, name.encode()) + FLOAT for name in names]
    return model + _encode_field(GRAPH, b"".join(_encode_field(OUTPUT, each) for each in outputs))


def _read_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields number and content of the texts and messages in a protobuf message."""
    place = 0

    def read_number() -> int:  # 7 bits a byte, the lowest first; the last byte is below 128
        nonlocal place
        start = place
        while message[place] > 127:
            place += 1
        place += 1
        return sum((byte & 127) << (7 * i) for i, byte in enumerate(message[start:place]))

    while place < len(message):
        field, kind = divmod(read_number(), 8)
        size = {0: 0, 1: 8, 5: 4}[kind] if kind != 2 else read_number()
        if kind == 0:
            read_number()
        elif kind == 2:
            yield field, message[place : place + size]
        place += size


def _encode_field(field: int, content: bytes) -> bytes:
    return bytes([field * 8 + 2]) + _encode_number(len(content)) + content


def _encode_number(number: int) -> bytes:
    if number < 128:
        return bytes([number])
    return bytes([number & 127 | 128]) + _encode_number(number >> 7)
