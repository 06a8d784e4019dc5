"""How large, right and quick a model is in each format and precision, beside Keras."""

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from benchmarks import cached_runs, plots, results
from benchmarks.speed import predict as predict_benchmark
from benchmarks.speed.engine_speed import CALL, FILE, PREDICT
from wardrobe import runs
from wardrobe.data import FASHION_MNIST
from wardrobe.errors import UsageError
from wardrobe.inference import engines
from wardrobe.inference.classifier import PRETRAINED, SHIPPED_FILES
from wardrobe.models import recipes
from wardrobe.plots import save_figure
from wardrobe.terminal import console
from wardrobe.workflows import api

KERAS = {PREDICT: "Keras, predict", CALL: "Keras, called"}  # engine → what the tables call it
FLOAT32, INT8 = "float32", "int8"
MEASURED = "load_seconds", "p50", "p99", "images_per_second", "peak_mib"


def export(
    models: Sequence[str],
    seconds: float,
    rounds: int,
    data_dir: Path | None,
    folder: Path,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Exports each model in every format and precision, and measures each file and Keras in turn; medians count.

    Args:
        models: recipes, trained with seed 0 or kept from `wardrobe benchmark train`, and models that ship.
        seconds: of each measurement.
        rounds: times that each is measured.
        folder: gets results/export.json, results/export.png, RESULTS.md and runs/benchmark-export.

    Raises:
        UsageError: a number is below 1, or there is no such model.
    """
    for name, value in (("seconds", seconds), ("rounds", rounds)):
        if value <= 0:
            raise UsageError(f"--{name} {value} measures nothing; give more than 0")
    for name in models:
        if name not in SHIPPED_FILES:
            recipes.get(name)
    stream = stream or sys.stdout
    rows = [row for name in models for row in _exported(name, data_dir, folder, stream)]
    for number in range(rounds):
        for row in rows:
            print(
                f"round {number + 1}: {row['model']}, {row['engine']}, {row['precision']}",
                file=stream,
                flush=True,
            )
            row["rounds"].append(_measured(row["kind"], row["path"], seconds))
    figures = {
        "benchmark": "export",
        "command": results.format_command(
            "export", models=",".join(models), seconds=seconds, rounds=rounds
        ),
        "data": FASHION_MNIST,
        **results.provenance(),
        "rounds": rounds,
        "seconds": seconds,
        "rows": [_row(row) for row in rows],
    }
    results.write_results(figures, folder)
    save_figure(
        plots.plot_latency(figures["rows"]), folder / "results" / "export.png", FASHION_MNIST, False
    )
    return figures


def _exported(
    name: str, data_dir: Path | None, folder: Path, stream: TextIO
) -> list[dict[str, Any]]:
    """Exports one model; returns what is to be measured: each file, and Keras both ways."""
    home = folder / "runs" / "benchmark-export" / name
    home.mkdir(parents=True, exist_ok=True)
    if name in SHIPPED_FILES:
        source = name
    else:
        kept = folder / "runs" / "benchmark-train" / f"{name}-0"
        trained = cached_runs.train_or_resume(
            kept, name, data=FASHION_MNIST, data_dir=data_dir, epochs=None, stream=stream
        )
        source = str(trained.path)
    rows: list[dict[str, Any]] = []
    for to in engines.FORMATS:
        for int8 in (False, True):
            found = api.export_model(source, to, int8, home, data_dir, stream)
            engine, precision = engines.ENGINES[engines.FORMATS[to]][1], INT8 if int8 else FLOAT32
            head = {"model": name, "engine": engine, "precision": precision, **_about(found)}
            rows.append({**head, "kind": FILE, "path": Path(found["file"]), "rounds": []})
    path, accuracy = _keras_file(source, home), rows[0]["keras_accuracy"]
    itself = {
        "bytes": path.stat().st_size,
        "accuracy": accuracy,
        "keras_accuracy": accuracy,
        "same_answers": 1.0,
    }
    for kind, engine in KERAS.items():
        head = {"model": name, "engine": engine, "precision": FLOAT32, **itself}
        rows.append({**head, "kind": kind, "path": path, "rounds": []})
    return rows


def _about(found: dict[str, Any]) -> dict[str, Any]:
    return {
        key: found[key]
        for key in (
            "bytes",
            "accuracy",
            "keras_accuracy",
            "same_answers",
            "largest_logit_difference",
        )
    }


def _keras_file(source: str, home: Path) -> Path:
    """Writes the network with the views that its recipe averages over, as .keras, for Keras to do the same work."""
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


def _measured(kind: str, path: Path, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.speed.engine_speed", kind, str(path), str(seconds)]
    found: dict[str, Any] = json.loads(predict_benchmark.run(command).splitlines()[-1])
    return found


def _row(row: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in row.items() if key not in ("rounds", "path", "kind")}
    medians = {key: statistics.median(each[key] for each in row["rounds"]) for key in MEASURED}
    return {
        **kept,
        **medians,
        "best_batch": statistics.mode(each["best_batch"] for each in row["rounds"]),
    }
