"""ONNX Runtime with its telemetry disabled, and the folder of the models that ship.

Only this module imports ONNX Runtime's sessions. That takes a tenth of a second, so `photo`, which
may not need one, imports this module lazily.
"""

import os
from pathlib import Path

# ONNX Runtime reads this when it is imported. Otherwise it writes a device id and a database into
# the cache and reports each session to its makers. disable_telemetry_events() is too late for that.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

PRETRAINED = Path(__file__).parent / "pretrained"  # the models that ship


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
