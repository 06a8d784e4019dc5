"""ONNX Runtime with its telemetry disabled, the operators of a model, and the models that ship.

Only this module imports ONNX Runtime's sessions. That takes a tenth of a second, so `photo`, which
may not need one, imports this module lazily.
"""

import os
from pathlib import Path
from typing import Any

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
FLOAT = b"\x0a\x02\x08\x01"  # a TypeProto: a tensor of float32
# The messages and fields of onnx.proto that are read here.
ONNX_PROTO = """
name: "wardrobe_onnx.proto"
message_type {
  name: "Model"
  field { name: "graph" number: 7 label: LABEL_OPTIONAL type_name: "Graph" }
}
message_type {
  name: "Graph"
  field { name: "node" number: 1 label: LABEL_REPEATED type_name: "Node" }
  field { name: "output" number: 12 label: LABEL_REPEATED type_name: "Value" }
}
message_type {
  name: "Node"
  field { name: "input" number: 1 label: LABEL_REPEATED type: TYPE_STRING }
  field { name: "output" number: 2 label: LABEL_REPEATED type: TYPE_STRING }
  field { name: "op_type" number: 4 label: LABEL_OPTIONAL type: TYPE_STRING }
}
message_type {
  name: "Value"
  field { name: "name" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "type" number: 2 label: LABEL_OPTIONAL type: TYPE_BYTES }
}
"""


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


def parse_model(content: bytes) -> Any:
    """Returns an .onnx file as a message: its nodes, and its outputs, which can be added to.

    ONNX Runtime does not say which nodes a model has, and the onnx package is no dependency of
    Wardrobe alone. protobuf keeps the fields that ONNX_PROTO does not name.
    """
    from google.protobuf import descriptor_pb2, message_factory, text_format

    file = text_format.Parse(ONNX_PROTO, descriptor_pb2.FileDescriptorProto())
    return message_factory.GetMessages([file])["Model"].FromString(content)


def get_layer_name(name: str) -> str:
    """Returns the layer of a tensor or node, "conv1" of "baseline_1/conv1_1/Relu:0"; "" if none."""
    return name.split("/")[-2].rpartition("_")[0] if "/" in name else ""
