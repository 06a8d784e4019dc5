"""Keras → ONNX, LiteRT and OpenVINO, in float32 and int8, each file checked against Keras.

- `exporter`: writes, checks and keeps a file
- `onnx`, `litert`, `openvino`: one module a format, with `write` and `write_metadata`
- `calibration`: the images that calibrate int8
"""

from wardrobe.export.calibration import CALIBRATION_IMAGES
from wardrobe.export.exporter import (
    MAX_ACCURACY_LOSS,
    MAX_LOGIT_DIFFERENCE,
    Parity,
    export_model,
    file_size,
    suppress_output,
)
from wardrobe.export.onnx import load_as_keras
from wardrobe.export.onnx import read_layers as read_onnx_layers

__all__ = [
    "CALIBRATION_IMAGES", "MAX_ACCURACY_LOSS", "MAX_LOGIT_DIFFERENCE", "Parity", "export_model",
    "file_size", "load_as_keras", "read_onnx_layers", "suppress_output",
]  # fmt: skip
