"""Size, accuracy, speed and memory of a model in each export format, and in Keras."""

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from benchmarks import cached_runs, plots, results
from benchmarks.speed.engine_speed import CALL, FILE, PREDICT
from benchmarks.speed.predict import run_command
from wardrobe import runs
from wardrobe.data import FASHION_MNIST
from wardrobe.errors import UsageError
from wardrobe.inference import engines
from wardrobe.inference.classifier import SHIPPED_FILES
from wardrobe.models import recipes
from wardrobe.onnx_runtime import PRETRAINED
from wardrobe.plots import save_figure
from wardrobe.terminal import console
from wardrobe.workflows import api

KERAS = {PREDICT: "Keras, predict", CALL: "Keras, called"}  # engine → its name in the tables
FLOAT32, INT8 = "float32", "int8"
MEDIANS = "load_seconds", "p50", "p99", "images_per_second", "peak_mib"
PARITY = "bytes", "accuracy", "keras_accuracy", "same_answers", "largest_logit_difference"


def measure_formats(
    models: Sequence[str],
    seconds: float,
    rounds: int,
    data_dir: Path | None,
    folder: Path,
    stream: TextIO,
) -> dict[str, Any]:
    """Exports each model to every format and precision, then measures all files and Keras in turn.

    Args:
        models: recipes and shipped models. A recipe is trained with seed 0, unless
            `python -m benchmarks train` has done so.
        seconds: duration of each measurement.
        rounds: repetitions, in turn; medians are reported.
        folder: for results/export.json, results/export.png, RESULTS.md and runs/benchmark-export.

    Raises:
        UsageError: a number is not positive, or a model does not exist.
    """
    for name, value in (("seconds", seconds), ("rounds", rounds)):
        if value <= 0:
            raise UsageError(f"--{name} {value} is too small; give more than 0")
    for name in models:
        if name not in SHIPPED_FILES:
            recipes.get(name)
    candidates = [each for name in models for each in _export_all(name, data_dir, folder, stream)]
    for number in range(rounds):
        for each in candidates:
            text = f"{each['model']}, {each['engine']}, {each['precision']}"
            print(f"round {number + 1}: {text}", file=stream, flush=True)
            each["rounds"].append(_measure_file(each["call"], each["path"], seconds))
    options = {"models": ",".join(models), "seconds": seconds, "rounds": rounds}
    measured = {
        "benchmark": "export",
        "command": results.format_command("export", **options),
        "data": FASHION_MNIST,
        **results.provenance(),
        "rounds": rounds,
        "seconds": seconds,
        "rows": [_make_row(each) for each in candidates],
    }
    results.write_results(measured, folder)
    figure = plots.plot_latency(measured["rows"])
    save_figure(figure, folder / "results" / "export.png", FASHION_MNIST, False)
    return measured


def _export_all(
    name: str, data_dir: Path | None, folder: Path, stream: TextIO
) -> list[dict[str, Any]]:
    """Exports one model; returns each file, and the Keras file once for each way to call it."""
    home = folder / "runs" / "benchmark-export" / name
    home.mkdir(parents=True, exist_ok=True)
    source = name
    if name not in SHIPPED_FILES:
        path = folder / "runs" / "benchmark-train" / f"{name}-0"
        options: dict[str, Any] = {"data_dir": data_dir, "epochs": None, "stream": stream}
        run = cached_runs.train_or_resume(path, name, data=FASHION_MNIST, **options)
        source = str(run.path)
    candidates: list[dict[str, Any]] = []
    for to, extension in engines.FORMATS.items():
        for int8 in (False, True):
            exported = api.export_model(source, to, int8, home, data_dir, stream)
            candidates.append(
                {
                    "model": name,
                    "engine": engines.ENGINES[extension][1],
                    "precision": INT8 if int8 else FLOAT32,
                    **{key: exported[key] for key in PARITY},
                    "call": FILE,
                    "path": Path(exported["file"]),
                    "rounds": [],
                }
            )
    path, accuracy = _write_keras_file(source, home), candidates[0]["keras_accuracy"]
    parity = {"accuracy": accuracy, "keras_accuracy": accuracy, "same_answers": 1.0}
    for call, engine in KERAS.items():
        head = {"model": name, "engine": engine, "precision": FLOAT32}
        size = {"bytes": path.stat().st_size}
        candidates.append({**head, **size, **parity, "call": call, "path": path, "rounds": []})
    return candidates


def _write_keras_file(source: str, home: Path) -> Path:
    """Writes the network with test-time augmentation as .keras, which the exports also contain."""
    with console.suppress_native_logs():
        from wardrobe import export
        from wardrobe.models import tta
        from wardrobe.training import checkpoints
    if source in SHIPPED_FILES:
        model, recipe, _ = export.load_as_keras(PRETRAINED / f"{source}.onnx")
    else:
        run = runs.find_run(source)
        model, recipe = checkpoints.load_model(run), run.recipe()
    path = home / "model.keras"
    tta.with_tta(model, recipe.tta_views).save(path)
    return path


def _measure_file(call: str, path: Path, seconds: float) -> dict[str, Any]:
    module = "benchmarks.speed.engine_speed"
    printed = run_command([sys.executable, "-m", module, call, str(path), str(seconds)])
    measured: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return measured


def _make_row(candidate: dict[str, Any]) -> dict[str, Any]:
    rounds = candidate["rounds"]
    return {
        **{key: value for key, value in candidate.items() if key not in ("rounds", "path", "call")},
        **{key: statistics.median(each[key] for each in rounds) for key in MEDIANS},
        "best_batch": statistics.mode(each["best_batch"] for each in rounds),
    }
