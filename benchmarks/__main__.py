"""The command line: `python -m benchmarks NAME` writes results/NAME.json and RESULTS.md.

By default, files are written to the repository of this file, whatever the current folder is.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from wardrobe.cli import DataDir, Epochs, Json, Limit, Model, PhotosDir, run_app
from wardrobe.errors import UsageError

REPOSITORY = Path(__file__).resolve().parents[1]

app = typer.Typer(
    name="benchmarks",
    help="Run Wardrobe's benchmarks and update RESULTS.md.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ResultsFolder = Annotated[
    Path,
    typer.Option(
        "--out",
        help="Folder for results/NAME.json and RESULTS.md.  (default: the repository)",
        show_default=False,
    ),
]
Data = Annotated[str, typer.Option(help="As in `wardrobe train`.")]
Seeds = Annotated[int, typer.Option(help="Number of runs of each, with seeds 0, 1, …")]
Rounds = Annotated[int, typer.Option(help="Repetitions, in turn; the medians are reported.")]
Seconds = Annotated[float, typer.Option(help="Duration of each measurement.")]


@app.command("train")
def benchmark_train(
    recipes: Annotated[str, typer.Option(help="Comma-separated recipes.")] = (
        "baseline,sprint,strong"
    ),
    seeds: Seeds = 5,
    epochs: Epochs = None,
    limit: Limit = None,
    data: Data = "fashion-mnist",
    data_dir: DataDir = None,
    folder: ResultsFolder = REPOSITORY,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers", help="Train baseline and the MNIST examples of Keras and PyTorch instead."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train recipes with several seeds: accuracy, calibration, time."""
    from benchmarks.accuracy import peers as others
    from benchmarks.accuracy import train

    names, stream = recipes.split(","), _choose_stream(as_json)
    options: dict[str, Any] = {"data": data, "data_dir": data_dir, "epochs": epochs, "limit": limit}
    options |= {"folder": folder, "stream": stream}
    measured = (
        others.measure_peers(seeds, **options)
        if peers
        else train.measure_training(names, seeds, **options)
    )
    _print_written(measured, folder, as_json)


@app.command("ablation")
def benchmark_ablation(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe to take apart.")],
    seeds: Seeds = 5,
    rates: Annotated[
        int, typer.Option(help="Number of learning rates to try for each variant.")
    ] = 4,
    epochs: Epochs = None,
    limit: Limit = None,
    data: Data = "fashion-mnist",
    data_dir: DataDir = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Train a recipe without each of its techniques, and score it on the validation split."""
    from benchmarks.accuracy import ablation

    stream = _choose_stream(as_json)
    options: dict[str, Any] = {"data": data, "data_dir": data_dir, "epochs": epochs, "limit": limit}
    measured = ablation.run_ablation(recipe, seeds, rates, folder=folder, stream=stream, **options)
    _print_written(measured, folder, as_json)


@app.command("serve")
def benchmark_serve(
    seconds: Seconds = 10,
    rounds: Rounds = 3,
    connections: Annotated[
        str, typer.Option(help="Comma-separated numbers of connections.")
    ] = "1,16,256",
    mlserver: Annotated[
        Path | None,
        typer.Option(
            help="Virtual environment with mlserver and onnxruntime, to compare with.",
            show_default=False,
        ),
    ] = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Measure throughput and latency of `wardrobe serve`."""
    from benchmarks.speed import serve

    if not all(each.isdecimal() for each in connections.split(",")):
        raise UsageError(
            f"--connections {connections} is not a list of numbers; give numbers and commas: 1,16"
        )
    counts, stream = [int(each) for each in connections.split(",")], _choose_stream(as_json)
    measured = serve.measure_server(seconds, rounds, counts, mlserver, folder, stream)
    _print_written(measured, folder, as_json)


@app.command("soak")
def benchmark_soak(
    minutes: Annotated[float, typer.Option(help="Duration.")] = 10,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Send good and bad requests to `wardrobe serve` for a long time; compare its memory."""
    from benchmarks.speed import soak

    measured = soak.measure_soak(minutes, folder, _choose_stream(as_json))
    _print_written(measured, folder, as_json)


@app.command("export")
def benchmark_export(
    models: Annotated[str, typer.Option(help="Comma-separated recipes and shipped models.")] = (
        "baseline,strong,photo"
    ),
    seconds: Seconds = 1,
    rounds: Rounds = 3,
    data_dir: DataDir = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Measure size, accuracy, speed and memory of each export format, and of Keras."""
    from benchmarks.speed import export

    names, stream = models.split(","), _choose_stream(as_json)
    measured = export.measure_formats(names, seconds, rounds, data_dir, folder, stream)
    _print_written(measured, folder, as_json)


@app.command("corruptions")
def benchmark_corruptions(
    models: Annotated[
        str,
        typer.Option(help="Comma-separated runs and .onnx files; 'photo' is the model that ships."),
    ],
    data: Data = "fashion-mnist",
    data_dir: DataDir = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Score models on the test images under ten corruptions."""
    from benchmarks.accuracy import corruptions

    names, stream = models.split(","), _choose_stream(as_json)
    measured = corruptions.score_corruptions(
        names, data=data, data_dir=data_dir, folder=folder, stream=stream
    )
    _print_written(measured, folder, as_json)


@app.command("essay")
def benchmark_essay(
    data_dir: DataDir = None,
    epochs: Epochs = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Train and explain the baseline recipe, and write docs/how-a-cnn-sees.md with its figures."""
    from benchmarks import essay

    stream = _choose_stream(as_json)
    measured = essay.write_essay(folder, data_dir=data_dir, epochs=epochs, stream=stream)
    _print_written(measured, folder, as_json)


@app.command("photos")
def benchmark_photos(
    photos_dir: PhotosDir = None,
    model: Model = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Number of trainings of the recipe photo to score as well, with seeds 0, 1, …",
            show_default="5; with --model: 0",
        ),
    ] = None,
    epochs: Epochs = None,
    limit: Limit = None,
    data: Data = "fashion-mnist",
    data_dir: DataDir = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Score a model, and trainings of its recipe, on photos of clothing and on other inputs."""
    from benchmarks.accuracy import photo_seeds, photos

    if seeds is None:
        seeds = 5 if model is None else 0
    if seeds < 0:
        raise UsageError(f"--seeds {seeds} is too small; give 1 or more, or 0 for no training")
    opened = photos.open_photos(photos_dir)
    measured = photos.score_model(opened, model, folder)
    if seeds:
        options: dict[str, Any] = {"data": data, "data_dir": data_dir, "epochs": epochs}
        options |= {"photos_dir": photos_dir, "limit": limit, "stream": _choose_stream(as_json)}
        measured["seeds"] = photo_seeds.measure_seeds(opened, seeds, folder=folder, **options)
    _print_written(measured, folder, as_json)


@app.command("start-from")
def benchmark_start_from(
    photos_dir: PhotosDir = None,
    sizes: Annotated[
        str, typer.Option(help="Comma-separated numbers of training photos of each kind, or 'all'.")
    ] = "20,100,all",
    seeds: Seeds = 5,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Compare `train --from photo` with random weights, on few and all photos of each kind."""
    from benchmarks.accuracy.start_from import measure_start

    stream = _choose_stream(as_json)
    options: dict[str, Any] = {"photos_dir": photos_dir, "folder": folder, "stream": stream}
    measured = measure_start(sizes.split(","), seeds, **options)
    _print_written(measured, folder, as_json)


@app.command("prepare")
def benchmark_prepare(
    photos: Annotated[
        Path, typer.Option(help="Folder of a split, with one subfolder per category.")
    ],
    rounds: Rounds = 5,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Time the preparation of photos on one thread, beside GrabCut in place of the finder."""
    from benchmarks.speed.prepare import measure_preparation

    _print_written(measure_preparation(photos, rounds, folder), folder, as_json)


@app.command("scale")
def benchmark_scale(
    images: Annotated[int, typer.Option(help="Number of 28x28 images.")] = 200_000,
    photos: Annotated[int, typer.Option(help="Number of 1200x1600 photos.")] = 4_000,
    rounds: Rounds = 1,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Compare `predict --engine ray` with plain `predict`, on one core and on all cores."""
    from benchmarks.speed.scale import measure_ray

    measured = measure_ray(images, photos, rounds, folder, _choose_stream(as_json))
    _print_written(measured, folder, as_json)


@app.command("predict")
def benchmark_predict(
    rounds: Rounds = 5,
    images: Annotated[int, typer.Option(help="Number of 28x28 images in a folder.")] = 10_000,
    many: Annotated[int, typer.Option(help="Number of images for peak memory.")] = 100_000,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Compare `wardrobe predict` with Keras in time, and measure its memory."""
    from benchmarks.speed.predict import measure_predict

    _print_written(measure_predict(rounds, images, many, folder), folder, as_json)


def _choose_stream(as_json: bool) -> TextIO:
    """Returns where progress is printed: with --json, stdout is for the JSON object alone."""
    return sys.stderr if as_json else sys.stdout


def _print_written(measured: dict[str, Any], folder: Path, as_json: bool) -> None:
    if as_json:
        print(json.dumps(measured))
    else:
        path = folder / "results" / f"{measured['benchmark']}.json"
        print(f"Written: {path}, {folder / 'RESULTS.md'}")


if __name__ == "__main__":
    run_app(app, "python -m benchmarks")
