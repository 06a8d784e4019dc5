"""The project's measurements: `python -m benchmarks NAME` writes results/NAME.json and RESULTS.md.

They write into the repository that this file is in, wherever they are called from, unless --out names another folder.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from wardrobe.cli import DataDir, Epochs, Json, Limit, Model, run_app
from wardrobe.errors import UsageError

REPOSITORY = Path(__file__).resolve().parents[1]

app = typer.Typer(
    name="benchmarks",
    help="Measure Wardrobe, and make the tables of RESULTS.md again.",
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


@app.command("train")
def benchmark_train(
    recipes: Annotated[
        str, typer.Option(help="Recipes, with commas between.")
    ] = "baseline,sprint,strong",
    seeds: Annotated[int, typer.Option(help="Runs of each recipe, seeds 0, 1, …")] = 5,
    epochs: Epochs = None,
    limit: Limit = None,
    data: Annotated[str, typer.Option(help="As in train.")] = "fashion-mnist",
    data_dir: DataDir = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Train recipes with several seeds: accuracy, calibration, time."""
    from benchmarks.accuracy import train as train_benchmark

    figures = train_benchmark.train(
        recipes.split(","), seeds, data=data, data_dir=data_dir, epochs=epochs, limit=limit, folder=folder,
        stream=sys.stderr if as_json else sys.stdout,
    )  # fmt: skip
    _print_written(figures, folder, as_json)


@app.command("ablation")
def benchmark_ablation(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Whose tricks are taken out, one at a time.")
    ],
    seeds: Annotated[int, typer.Option(help="Runs of each, seeds 0, 1, …")] = 3,
    epochs: Epochs = None,
    limit: Limit = None,
    data: Annotated[str, typer.Option(help="As in train.")] = "fashion-mnist",
    data_dir: DataDir = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """What each trick of a recipe is worth, on the validation images."""
    from benchmarks.accuracy import ablation as ablation_benchmark

    figures = ablation_benchmark.ablation(
        recipe, seeds, data=data, data_dir=data_dir, epochs=epochs, limit=limit, folder=folder,
        stream=sys.stderr if as_json else sys.stdout,
    )  # fmt: skip
    _print_written(figures, folder, as_json)


@app.command("serve")
def benchmark_serve(
    seconds: Annotated[float, typer.Option(help="Of each measurement.")] = 10,
    rounds: Annotated[
        int, typer.Option(help="Times that each is measured, the servers in turn; medians count.")
    ] = 3,
    connections: Annotated[
        str, typer.Option(help="Numbers of connections, with commas between.")
    ] = "1,16,256",
    mlserver: Annotated[
        Path | None,
        typer.Option(
            help="A virtual environment with mlserver and onnxruntime, to measure beside.",
            show_default=False,
        ),
    ] = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Measure how many requests the server answers, and how quickly."""
    from benchmarks.speed import serve as serve_benchmark

    if not all(each.isdecimal() for each in connections.split(",")):
        raise UsageError(
            f"--connections {connections} is no list of numbers; give some with commas between"
        )
    stream = sys.stderr if as_json else sys.stdout
    figures = serve_benchmark.serve(
        seconds, rounds, [int(each) for each in connections.split(",")], mlserver, folder,
        lambda text: print(text, file=stream, flush=True),
    )  # fmt: skip
    _print_written(figures, folder, as_json)


@app.command("export")
def benchmark_export(
    models: Annotated[
        str, typer.Option(help="Recipes, and models that ship, with commas between.")
    ] = "baseline,strong,photo",
    seconds: Annotated[float, typer.Option(help="Of each measurement.")] = 1,
    rounds: Annotated[
        int, typer.Option(help="Times that each is measured, all in turn; medians count.")
    ] = 3,
    data_dir: DataDir = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Measure size, accuracy, speed and memory of a model in each format, beside Keras."""
    from benchmarks.speed import export as export_benchmark

    stream = sys.stderr if as_json else sys.stdout
    figures = export_benchmark.export(models.split(","), seconds, rounds, data_dir, folder, stream)
    _print_written(figures, folder, as_json)


@app.command("corruptions")
def benchmark_corruptions(
    models: Annotated[
        str,
        typer.Option(
            help="Runs and .onnx files, with commas between; 'photo': the one that ships."
        ),
    ],
    data: Annotated[str, typer.Option(help="As in train.")] = "fashion-mnist",
    data_dir: DataDir = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Score models on the test images in bad light, behind bad lenses and badly aimed."""
    from benchmarks.accuracy import corruptions as corruption_benchmark

    figures = corruption_benchmark.corrupted(
        models.split(","),
        data=data,
        data_dir=data_dir,
        folder=folder,
        stream=sys.stderr if as_json else sys.stdout,
    )
    _print_written(figures, folder, as_json)


@app.command("essay")
def benchmark_essay(
    data_dir: DataDir = None,
    epochs: Epochs = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Train the baseline recipe, look into it, and write docs/how-a-cnn-sees.md with its figures."""
    from benchmarks import essay

    figures = essay.write(
        folder, data_dir=data_dir, epochs=epochs, stream=sys.stderr if as_json else sys.stdout
    )
    _print_written(figures, folder, as_json)


@app.command("photos")
def benchmark_photos(
    photos: Annotated[
        Path, typer.Option(help="Folder of photos, one subfolder per kind of clothing.")
    ],
    model: Model = None,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Score a model on people's photos, and on what is none of its classes."""
    from benchmarks.accuracy import photos as photo_benchmark

    _print_written(photo_benchmark.photos(photos, model, folder), folder, as_json)


@app.command("scale")
def benchmark_scale(
    images: Annotated[int, typer.Option(help="Small images.")] = 200_000,
    photos: Annotated[int, typer.Option(help="Photos of 1200x1600.")] = 4_000,
    rounds: Annotated[int, typer.Option(help="Times that each is run, in turn.")] = 1,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Measure what Ray costs, on one core and on all."""
    from benchmarks.speed import scale as scale_benchmark

    figures = scale_benchmark.scale(
        images, photos, rounds, folder, sys.stderr if as_json else sys.stdout
    )
    _print_written(figures, folder, as_json)


@app.command("predict")
def benchmark_predict(
    rounds: Annotated[int, typer.Option(help="Times that each is run, in turn.")] = 5,
    images: Annotated[int, typer.Option(help="Small images in a folder.")] = 10_000,
    many: Annotated[int, typer.Option(help="Images over which memory is measured.")] = 100_000,
    folder: ResultsFolder = REPOSITORY,
    as_json: Json = False,
) -> None:
    """Time `wardrobe predict` against Keras, and measure its memory."""
    from benchmarks.speed import predict as predict_benchmark

    _print_written(predict_benchmark.predict(rounds, images, many, folder), folder, as_json)


def _print_written(figures: dict[str, Any], folder: Path, as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures))
    else:
        print(f"Written: {folder / 'results' / figures['benchmark']}.json, {folder / 'RESULTS.md'}")


if __name__ == "__main__":
    run_app(app, "python -m benchmarks")
