"""bfloat16 is used only where hardware supports it: Ampere GPUs and later, TPUs, some CPUs."""

from pathlib import Path
from types import SimpleNamespace

import jax
import keras
import pytest
import tensorflow as tf

from wardrobe.training.precision import choose_precision

AMPERE = {"device_name": "NVIDIA A100", "compute_capability": (8, 0)}
TURING = {"device_name": "Tesla T4", "compute_capability": (7, 5)}
APPLE = {"device_name": "METAL"}


def set_devices(monkeypatch: pytest.MonkeyPatch, backend: str, *devices: str) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: list(devices))


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ([AMPERE], "bfloat16"),
        ([TURING], "float32"),
        ([AMPERE, TURING], "float32"),
        ([APPLE], "float32"),
    ],
)
def test_tensorflow_uses_bfloat16_from_ampere_on(
    monkeypatch: pytest.MonkeyPatch, gpus: list[dict[str, object]], expected: str
) -> None:
    set_devices(monkeypatch, "tensorflow", *(f"gpu:{number}" for number in range(len(gpus))))
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda _: range(len(gpus)))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", gpus.__getitem__)
    assert choose_precision("bfloat16") == expected
    assert choose_precision("float32") == "float32"


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ([SimpleNamespace(compute_capability="8.6")], "bfloat16"),
        ([SimpleNamespace(compute_capability="10.0")], "bfloat16"),
        ([SimpleNamespace(compute_capability="7.5")], "float32"),
        ([SimpleNamespace(compute_capability="gfx90a")], "float32"),
        ([SimpleNamespace()], "float32"),
    ],
)
def test_jax_uses_bfloat16_from_ampere_on(
    monkeypatch: pytest.MonkeyPatch, gpus: list[SimpleNamespace], expected: str
) -> None:
    set_devices(monkeypatch, "jax", "gpu:0")
    monkeypatch.setattr(jax, "local_devices", lambda: gpus)
    assert choose_precision("bfloat16") == expected


@pytest.mark.parametrize(
    ("device", "expected"), [("tpu:0", "bfloat16"), ("METAL:0", "float32"), ("npu:0", "float32")]
)
def test_tpus_have_bfloat16_and_unknown_devices_do_not(
    monkeypatch: pytest.MonkeyPatch, device: str, expected: str
) -> None:
    set_devices(monkeypatch, "jax", device)
    assert choose_precision("bfloat16") == expected


@pytest.mark.parametrize(
    ("flags", "expected"), [("avx2 avx512_bf16", "bfloat16"), ("avx2 avx512f", "float32")]
)
def test_a_processor_needs_instructions_for_bfloat16(
    monkeypatch: pytest.MonkeyPatch, flags: str, expected: str
) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: True)
    monkeypatch.setattr(Path, "read_text", lambda _, encoding: f"flags : {flags}")
    set_devices(monkeypatch, "tensorflow", "cpu:0")
    assert choose_precision("bfloat16") == expected
    set_devices(monkeypatch, "jax", "cpu:0")
    assert choose_precision("bfloat16") == "float32"
