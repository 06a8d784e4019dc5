"""The command line: parse, one call, print. Heavy imports stand inside the commands, so that --help is instant."""

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from wardrobe import __version__
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.terminal import console

INTERRUPTED = 130  # what typer returns on Ctrl-C
EXTRAS = {
    "optuna": "tune",
    "jax": "jax",
    "starlette": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "orjson": "serve",
    "ai_edge_litert": "export",
    "openvino": "export",
    "nncf": "export",
    "ray": "scale",
    "pyarrow": "scale",
    "fsspec": "scale",
}  # package → the extra that has it; the others are in "train"

app = typer.Typer(
    name="wardrobe",
    help="Train, see into and use convolutional networks that classify clothing.",
    epilog="With --debug, an error shows where it arose.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or 'latest'.")]
Epochs = Annotated[
    int | None, typer.Option(help="In place of the recipe's own.", show_default=False)
]
Limit = Annotated[
    int | None, typer.Option(help="Train on so many images at most.", show_default=False)
]
DataDir = Annotated[
    Path | None, typer.Option(help="Folder with the four Fashion-MNIST files.", show_default=False)
]
Model = Annotated[
    str | None,
    typer.Option(
        help="A run folder, 'latest', or a file of `wardrobe export`.  (default: the model that ships)"
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")
]


def main() -> NoReturn:
    """Runs the command `wardrobe` and exits."""
    run_app(app, "wardrobe")


def run_app(app: typer.Typer, name: str) -> NoReturn:
    """Runs a command line and exits: 0 done, 1 failed, 2 wrong usage. An error is one line on stderr."""
    _make_streams_robust()
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    if not debug:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read by TensorFlow when it starts
    warnings.filterwarnings(
        "ignore", module="PIL"
    )  # of odd metadata and the like; what cannot be read is said
    # What stops a job from outside ends it as tidily as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if app(arguments, prog_name=name, standalone_mode=False) != INTERRUPTED:
            sys.exit(0)
        text, status = "interrupted", 1
    except Exception as error:
        _drop_unread_output()
        if debug:
            raise
        text, status = _explained(error)
    console.warn(f"error: {' '.join(text.splitlines())}")
    from wardrobe.training.distributed import launch

    launch.exit_process(status)


@app.command()
def train(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="What to train.  (default: baseline)")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="'auto', 'fashion-mnist', 'synthetic', or a folder with one sub-folder a class.  (default: auto)",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    epochs: Epochs = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of initial weights and image order.  (default: 0)", show_default=False),
    ] = None,
    limit: Limit = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder to make.  (default: runs/RECIPE-DATE-TIME)")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with this run (a folder, or 'latest').")
    ] = None,
    coordinator: Annotated[
        str | None,
        typer.Option(
            help="Train in several processes: HOST:PORT of process 0.  (default: as Slurm, Ray, Kubeflow or Keras say)",
            show_default=False,
        ),
    ] = None,
    num_processes: Annotated[
        int | None, typer.Option(help="How many there are.", show_default=False)
    ] = None,
    process_id: Annotated[
        int | None,
        typer.Option(help="Which this is, 0 the first, which keeps the run.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """The whole job: data, training, test evaluation, plots, ONNX, report."""
    fixed = {"--data": data, "--epochs": epochs, "--seed": seed, "--limit": limit, "--out": out}
    clash = [name for name, value in fixed.items() if value is not None]
    if resume is not None and clash:
        raise UsageError(
            f"{', '.join(clash)} cannot be given with --resume: a run goes on as it began; leave it out"
        )

    from wardrobe.training.distributed import launch

    member = launch.detect_process(coordinator, num_processes, process_id)
    if member is not None and not launch.is_supervised():
        from wardrobe import runs
        from wardrobe.training.distributed import supervisor

        resumed = runs.find_run(resume).path if resume is not None and member.is_first else None
        sys.exit(supervisor.supervise(member, resumed or out))
    if member is not None:
        launch.exit_with_supervisor()
    from wardrobe.workflows import api

    stream = sys.stderr if as_json else sys.stdout
    if member is not None and not member.is_first:
        api.train_worker(member, data_dir, stream)
        if as_json:
            _print_json(
                {
                    "process_id": member.process_id,
                    "num_processes": member.num_processes,
                    "status": "done",
                }
            )
        return
    if resume is not None:
        made = api.resume(resume, recipe, data_dir, stream, member)
    else:
        made = api.train(
            recipe or "baseline", data="auto" if data is None else data, data_dir=data_dir, epochs=epochs, seed=seed or 0,
            limit=limit, out=out, stream=stream, member=member,
        )  # fmt: skip
    _print_scores(api.summarize(made), as_json)


@app.command()
def evaluate(
    run: RunName = "latest",
    split: Annotated[str, typer.Option(help="'test' or 'validation'.")] = "test",
    tta_views: Annotated[
        int | None,
        typer.Option(
            help="Views of an image to take the mean over: 1, itself; 2, with its mirror image; 6, both also moved by "
            "a pixel.  (default: the recipe's)",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Score a run; write its metrics, plots and report again."""
    from wardrobe.workflows import api

    scored = api.evaluate(run, split, data_dir, tta_views, sys.stderr if as_json else sys.stdout)
    _print_scores(api.summarize(scored), as_json)


@app.command()
def tune(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="What to vary.")],
    trials: Annotated[int, typer.Option(help="Trials in all, those done before included.")] = 20,
    fields: Annotated[
        str, typer.Option(help="Fields to vary, with commas between.")
    ] = "learning_rate,batch_size,max_shift,erase_probability,dropout",
    data: Annotated[str, typer.Option(help="As in train.")] = "fashion-mnist",
    data_dir: DataDir = None,
    epochs: Epochs = None,
    limit: Limit = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the trials are kept.  (default: runs/tune-RECIPE)", show_default=False
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Search on several hosts: a file NAME.journal that all see, or a database's URL; start the same "
            "command on each.",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="Search with Ray Tune on the cores of this Ray cluster.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Search a recipe's fields for the best validation accuracy; goes on where it was stopped."""
    from wardrobe.tuning import search

    best = search.tune(
        recipe, trials, fields.split(","), data=data, data_dir=data_dir, epochs=epochs, limit=limit,
        out=out or Path("runs") / f"tune-{recipe}", storage=storage, address=address,
        stream=sys.stderr if as_json else sys.stdout,
    )  # fmt: skip
    if as_json:
        _print_json(best)
    else:
        print(
            f"\nBest of {best['trials']}: {best['accuracy']:.2%} of the validation images right; the recipe as it is: "
            f"{_percent_or(best['accuracy_as_it_is'], 'not known yet')}\n{best['python']}"
        )


@app.command()
def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Pictures, folders, patterns, or '-' for standard input."
        ),
    ],
    model: Model = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Classes to list.  (default: 2 in a line; all in JSON and CSV)",
            show_default=False,
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write a .csv file in place of lines.", show_default=False)
    ] = None,
    save_input: Annotated[
        Path | None, typer.Option(help="Folder for PNGs of what the model saw.", show_default=False)
    ] = None,
    engine: Annotated[
        str, typer.Option(help="'local', or 'ray' for millions: see --out.")
    ] = "local",
    out: Annotated[
        str | None,
        typer.Option(
            help="With ray: the folder for the answers as Parquet, here or such as s3://bucket/answers; the same call "
            "again goes on where it was. PATH may be such an address too, a .txt list, or Parquet with 'bytes'.",
            show_default=False,
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="With ray: the cluster.  (default: $RAY_ADDRESS, or this machine)",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="With ray: processes.  (default: one a core)", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Classify photos: class, confidence, runner-up, and "not sure" where it is none of the classes."""
    if engine == "ray":
        _refuse("--engine ray", {"--top": top, "--csv": csv, "--save-input": save_input})
        return _predict_in_bulk(paths, model, out, ray_address, workers, as_json)
    if engine != "local":
        raise UsageError(f"--engine {engine} is unknown; give 'local' or 'ray'")
    _refuse("--engine local", {"--out": out, "--ray-address": ray_address, "--workers": workers})
    if csv is not None and as_json:
        raise UsageError("--csv and --json were both given; choose one")
    from wardrobe.inference import output

    done, failed = output.predict(
        paths, model, top=top, csv_path=csv, save_input=save_input, as_json=as_json
    )
    if failed:
        raise WardrobeError(
            f"{failed:,} of {done + failed:,} could not be used; each is named above with the reason"
        )


@app.command()
def explain(
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]",
            help="A run folder, or 'latest'; with IMAGE an .onnx file or 'photo' too.",
        ),
    ] = "latest",
    image: Annotated[
        str | None,
        typer.Argument(metavar="[IMAGE]", help="Explain this picture alone.", show_default=False),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Draw what this layer looks for, and nothing else.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """See how a model sees: what each layer learnt, why it answers, how far to trust it.

    Given a picture in place of RUN, the model that ships explains it.
    """
    from wardrobe.workflows import api

    is_picture = Path(run).is_file() and Path(run).suffix != ".onnx"
    if image is not None and is_picture:
        raise UsageError(
            f"{run} is no model; give a run folder, 'latest' or an .onnx file, and then one picture"
        )
    if image is None and Path(run).suffix and not Path(run).exists():
        raise UsageError(f"{run} does not exist; give a run folder, 'latest', or a picture")
    picture_alone = image is None and is_picture
    if image is None and not picture_alone:
        api.explain(run, layer, data_dir)
    elif layer is not None:
        raise UsageError("--layer and IMAGE were both given; choose one")
    else:
        print(api.explain_image(image or run, None if picture_alone else run, data_dir))


@app.command()
def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run folder, 'latest', or a model that ships: 'photo', 'baseline'.",
        ),
    ] = "latest",
    to: Annotated[str, typer.Option("--format", help="'onnx', 'litert' or 'openvino'.")] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="Weights and activations as 8-bit integers.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder to write into.  (default: the run; here, for what ships)",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write a model for other engines, checked against Keras on every test image."""
    from wardrobe.workflows import api

    found = api.export_model(run, to, int8, out, data_dir, sys.stderr if as_json else sys.stdout)
    if as_json:
        _print_json(found)
        return
    print(
        f"Written: {found['file']}, {found['bytes'] / 1000:,.0f} kB\n{found['accuracy']:.2%} of {found['n']:,} test "
        f"images right, {found['keras_accuracy']:.2%} with Keras; the same answer to {found['same_answers']:.2%}, "
        f"logits at most {found['largest_logit_difference']:.1e} apart"
    )


@app.command()
def serve(
    model: Model = None,
    compare_with: Annotated[
        str | None,
        typer.Option(
            help="A second model for the page to show, as --model, or 'none'.  (default: baseline beside the shipped)",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 for all of this machine's.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="WARDROBE_TOKEN",
            help="Ask it of everyone, as 'Authorization: Bearer TOKEN'.",
            show_default=False,
        ),
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Let other machines ask without a token.")
    ] = False,
    cors: Annotated[
        list[str] | None,
        typer.Option(help="An origin whose pages may ask; can be given again.", show_default=False),
    ] = None,
    body_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds in which a picture must have been sent.")
    ] = 20,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Write a line of JSON on stderr for each request.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that answer; for many requests one a core.")
    ] = 1,
) -> None:
    """Open the studio, a page that shows the network decide, and the API beside it."""
    from wardrobe.serving import server

    server.run(
        model, compare_with, host=host, port=port, token=token, no_auth=no_auth, cors=cors or (), access_log=access_log,
        body_timeout=body_timeout, workers=workers,
    )  # fmt: skip


@app.command()
def report(run: RunName = "latest") -> None:
    """Write a run's page again: report.html, one file, no network needed."""
    from wardrobe import report as page
    from wardrobe import runs

    print(page.write_report(runs.find_run(run)))


@app.command("runs")
def runs_command(
    folder: Annotated[Path, typer.Argument(help="Where the runs lie.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """The runs, compared in a table."""
    from wardrobe import runs

    if folder != runs.ROOT and not folder.is_dir():
        raise UsageError(
            f"{folder} is no folder; give the one that holds the runs, or leave it out for {runs.ROOT}"
        )
    rows = runs.tabulate_runs(folder)
    if as_json:
        _print_json({"runs": rows})
    elif not rows:
        print(f"No run in {folder}; make one with: wardrobe train")
    else:
        _print_runs(rows)


@app.command()
def data(
    name: Annotated[
        str, typer.Option("--data", help="'auto', 'fashion-mnist', 'synthetic', or a folder.")
    ] = "auto",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Where the data is, its sums, class counts, and a sheet of samples."""
    from wardrobe.data import load_data
    from wardrobe.plots import layout, overview

    dataset = load_data(name, data_dir)
    sheet = Path("runs") / f"samples-{Path(dataset.name).name}.png"
    sheet.parent.mkdir(exist_ok=True)
    figure = overview.samples(dataset.train.images, dataset.train.labels, dataset.class_names)
    layout.save_figure(figure, sheet, dataset.name, dataset.is_synthetic)
    about = {
        "data": dataset.name,
        **dataset.describe(),
        "class_counts": dataset.class_counts(),
        "sheet": str(sheet),
    }
    if as_json:
        _print_json(about)
    else:
        _print_data(about)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"wardrobe {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def _refuse(engine: str, options: dict[str, Any]) -> None:
    """Refuses options of another engine."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UsageError(
            f"{', '.join(given)} cannot be given with {engine}; leave it out, or choose the other engine"
        )


def _predict_in_bulk(
    paths: list[str],
    model: str | None,
    out: str | None,
    ray_address: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    if out is None:
        raise UsageError(
            "--engine ray was given without --out; give the folder for the answers: --out DIR"
        )
    if "-" in paths:
        raise UsageError(
            "'-' cannot be given with --engine ray; give files, folders, lists or Parquet"
        )
    from wardrobe.bulk import job

    done = job.classify(paths, model, out=out, ray_address=ray_address, workers=workers)
    if as_json:
        return _print_json(done)
    here, failed = done["images"] - done["images_before"], done["failed"]
    before = f", {done['images_before']:,} before" if done["images_before"] else ""
    print(
        f"{here:,} images in {done['seconds']:.1f} s, {done['images_per_second']:,.1f} a second{before}"
    )
    why = "; the column 'error' says why" if failed else ""
    print(f"Written: {done['out']}; {failed:,} of {done['images']:,} images failed{why}")


def _make_streams_robust() -> None:
    """Lets output go nowhere where a stream is closed, and escapes what a terminal's encoding does not have."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        getattr(sys, name).reconfigure(errors="backslashreplace")


def _drop_unread_output() -> None:
    """Lets Python end in peace where whoever read stdout has gone, as in `wardrobe runs | head -1`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explained(error: Exception) -> tuple[str, int]:
    """Returns an exception as one line, and the exit status."""
    if isinstance(error, WardrobeError):
        return str(error), error.exit_status
    if hasattr(error, "format_message"):  # typer's own, of wrong usage; its classes are not public
        return f"{error.format_message().rstrip('.')}; see wardrobe --help", 2
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        extra = EXTRAS.get(package, "train")
        return (
            f"the package {package} is missing; install what is needed: pip install 'wardrobe[{extra}]'",
            1,
        )
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return (
            f"{where}{error.strerror or error}; make room, or choose a place that can be read and written",
            1,
        )
    return f"{type(error).__name__}: {error}; see where with --debug", 1


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value))  # ASCII: right in whatever encoding stdout has


def _percent_or(share: float | None, otherwise: str) -> str:
    return otherwise if share is None else f"{share:.2%}"


def _print_scores(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        return _print_json(summary)
    from rich.console import Console
    from rich.markup import escape
    from rich.panel import Panel

    low, high = summary["accuracy_interval_95"]
    text = (
        f"[bold]{summary['accuracy']:.2%}[/bold] of {summary['n']:,} {summary['split']} images right "
        f"(95 % interval {low:.2%} to {high:.2%})\n"
        f"calibration error {summary['ece']['before']:.2%}, with temperature {summary['ece']['after']:.2%}\n"
        f"run     {escape(summary['run'])}\nreport  {escape(str(Path(summary['run']) / 'report.html'))}"
    )
    made_up = summary["data"] == "synthetic"
    title = (
        "SYNTHETIC WARDROBE, NOT FASHION-MNIST"
        if made_up
        else escape(f"{summary['recipe']} on {summary['data']}")
    )
    style = "bold yellow" if made_up else "#4da3d8"
    Console(soft_wrap=True).print(
        Panel(text, title=title, border_style=style, padding=(1, 2), expand=False)
    )


def _print_runs(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        "run",
        "recipe",
        "data",
        "seed",
        "epochs",
        "status",
        "split",
        "accuracy",
        "ECE",
        "seconds",
        box=None,
    )
    for row in rows:
        accuracy = (
            ""
            if row["accuracy"] is None
            else f"{row['accuracy']:.2%} ± {row['half_interval_95']:.2%}"
        )
        ece = "" if row["ece"] is None else f"{row['ece']:.2%}"
        cells = (row["run"], row["recipe"], row["data"], row["seed"], f"{row['epochs_done']}/{row['epochs']}",
                 row["status"], row["split"] or "", accuracy, ece, f"{row['seconds']:.0f}")  # fmt: skip
        table.add_row(*(escape(str(cell)) for cell in cells))
    Console(width=max(Console().width, 140)).print(table)  # a name that is cut cannot be copied


def _print_data(about: dict[str, Any]) -> None:
    print(f"data    {about['data']}\nsource  {about['source']}")
    for name, checksum in about["checksums"].items():
        print(f"sum     {name}  {checksum}")
    sizes = ", ".join(f"{count:,} {split}" for split, count in about["splits"].items())
    print(f"splits  {sizes}\n")
    print(f"{'class':<16}{'train':>8}{'validation':>12}")
    for label, counts in about["class_counts"].items():
        print(f"{label:<16}{counts['train']:>8,}{counts['validation']:>12,}")
    print(f"\nsheet   {about['sheet']}")
