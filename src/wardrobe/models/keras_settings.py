"""Keras's own settings: a person chooses the backend, Wardrobe fixes everything else.

keras.json may be left over from another project. Its data format or float type would give another
network than the recipe describes.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wardrobe.errors import UsageError
from wardrobe.models.recipes import FLOAT32
from wardrobe.terminal import console

EXTRAS = {"tensorflow": "train", "jax": "jax"}  # backend → the extra that installs it
# What Keras reads from the environment, and what makes it inactive.
INACTIVE = {"KERAS_MAX_EPOCHS": "", "KERAS_MAX_STEPS_PER_EPOCH": "", "KERAS_NNX_ENABLED": "false"}


@contextmanager
def loading_keras() -> Iterator[None]:
    """Imports Keras in its block with the settings that Wardrobe needs, without native messages.

    Settings of keras.json, the environment and `keras.config` that are not used are named in one
    line on stderr.

    Raises:
        UsageError: keras.json cannot be used, or the backend is not TensorFlow or JAX, or is not
            installed.
    """
    path, config = _find_config()
    _check_backend(path, config)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it when it is loaded
    unused = [name for name, value in INACTIVE.items() if os.environ.get(name, value) != value]
    for name in unused:  # Keras reads them when it is imported
        del os.environ[name]
    if config.get("nnx_enabled"):
        unused.append("nnx_enabled")
        os.environ["KERAS_NNX_ENABLED"] = INACTIVE["KERAS_NNX_ENABLED"]
    with console.suppress_native_logs():
        yield
        import keras
    settings = keras.config
    fixed = {"image_data_format": "channels_last", "floatx": FLOAT32, "epsilon": 1e-7}
    for name, needed in fixed.items():
        value = getattr(settings, name)()
        if value != needed:
            unused.append(f"{name} {value}")
            getattr(settings, f"set_{name}")(needed)
    policy = settings.dtype_policy().name
    if policy != FLOAT32:
        unused.append(f"dtype_policy {policy}")
        settings.set_dtype_policy(FLOAT32)
    settings.set_max_epochs(None)
    settings.set_max_steps_per_epoch(None)
    if unused:
        console.warn(f"of Keras's settings ({path}, KERAS_*), not used: {', '.join(unused)}")


def find_backend() -> str:
    """Returns "tensorflow" or "jax": the backend that the environment, or else keras.json, sets.

    Raises:
        UsageError: it is another one, or is not installed, or keras.json cannot be used.
    """
    return _check_backend(*_find_config())


def _check_backend(path: Path, config: dict[str, Any]) -> str:
    source, backend = f"{path} sets", config.get("backend", "tensorflow")
    if os.environ.get("KERAS_BACKEND"):
        source, backend = "KERAS_BACKEND sets", os.environ["KERAS_BACKEND"]
    if "keras" in sys.modules:
        source, backend = "Keras was imported with", sys.modules["keras"].config.backend()
    other = "jax" if backend == "tensorflow" else "tensorflow"
    if backend not in EXTRAS:
        raise UsageError(
            f"{source} the backend {backend!r}, expected tensorflow or jax; "
            f"set the environment variable KERAS_BACKEND={other}"
        )
    if importlib.util.find_spec(backend) is None:
        raise UsageError(
            f"{source} the backend {backend!r}, which is not installed; run: "
            f"pip install 'wardrobe-cnn[{EXTRAS[backend]}]', or set KERAS_BACKEND={other}"
        )
    return backend


def _find_config() -> tuple[Path, dict[str, Any]]:
    path = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras.json"
    return path, _read_config(path)


def _read_config(path: Path) -> dict[str, Any]:
    """Returns keras.json, or nothing if it is missing or not JSON, which Keras ignores.

    Raises:
        UsageError: Keras could not be imported with this file.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}); make it readable, remove it, or set "
            "KERAS_HOME to another folder"
        ) from error
    except ValueError as error:
        console.warn(f"{path} is not valid JSON ({error}); it is not used")
        return {}
    if not isinstance(config, dict):
        raise UsageError(f"{path} is not a JSON object; repair or remove it")
    is_valid = {
        "floatx": config.get("floatx", FLOAT32) in ("float16", FLOAT32, "float64"),
        "epsilon": isinstance(config.get("epsilon", 0.0), float),
        "image_data_format": config.get("image_data_format", "channels_last")
        in ("channels_last", "channels_first"),
    }
    for name in (name for name, valid in is_valid.items() if not valid):
        raise UsageError(
            f"{path} has {name} {config[name]!r}, which Keras refuses; repair or remove it"
        )
    return config
