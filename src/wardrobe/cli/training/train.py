"""`wardrobe train`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from wardrobe.cli import options
from wardrobe.cli.app import TRAINING, app, print_json, print_whole, progress_stream
from wardrobe.models.recipes import RECIPES
from wardrobe.percent import format_percent

if TYPE_CHECKING:
    from wardrobe.training.distributed.launch import Process

SEVERAL = "Train in several processes"  # the panel of the options for it


@app.command(rich_help_panel=TRAINING)
def train(
    recipe: Annotated[
        str | None,
        Argument(
            metavar="RECIPE",
            help=f"Recipe to train: {', '.join(RECIPES)}",
            show_default="baseline, or that of --from",
            autocompletion=options.complete_recipe,
        ),
    ] = None,
    recipe_file: options.RecipeFile = None,
    data: Annotated[str | None, Option(help=options.AUTO_HELP, show_default="auto")] = None,
    data_dir: options.DataDir = None,
    photos_dir: options.PhotosDir = None,
    extra_photos: options.ExtraPhotos = None,
    epochs: options.Epochs = None,
    changes: Annotated[
        list[str] | None,
        Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Change a field of the recipe; see: wardrobe recipes RECIPE",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        Option(
            help="Stop after this many epochs without a lower val_loss, and keep the best epoch"
        ),
    ] = None,
    minutes: Annotated[
        float | None, Option(help="Train as many epochs as fit into this time, not --epochs")
    ] = None,
    class_weights: Annotated[
        str | None,
        Option(help="'balanced': classes with few images count as much", show_default="none"),
    ] = None,
    start_from: Annotated[
        str | None,
        Option(
            "--from",
            metavar="MODEL",
            help="Start from a trained network, all but its last layer: 'photo', a run folder, "
            "or a .keras or .onnx file",
            show_default="'photo' for an own folder of fewer than 5,000 files if there is no "
            "RECIPE; otherwise 'nothing', random weights",
        ),
    ] = None,
    seed: Annotated[
        int | None, Option(help="Seed of initial weights and image order", show_default="0")
    ] = None,
    limit: options.Limit = None,
    out: Annotated[
        Path | None, Option(help="Run folder to create", show_default="runs/RECIPE-DATE-TIME")
    ] = None,
    resume: Annotated[
        str | None,
        Option(help="Resume this run: a folder, or 'latest'", autocompletion=options.complete_run),
    ] = None,
    log_to: Annotated[
        list[str] | None,
        Option(metavar="TRACKER", help="Also log to 'tensorboard' or 'mlflow'; repeatable"),
    ] = None,
    coordinator: Annotated[
        str | None,
        Option(
            help="HOST:PORT of process 0",
            show_default="as Slurm, Ray, Kubeflow or Keras set it",
            rich_help_panel=SEVERAL,
        ),
    ] = None,
    num_processes: Annotated[
        int | None, Option(help="Number of processes", rich_help_panel=SEVERAL)
    ] = None,
    process_id: Annotated[
        int | None,
        Option(help="Id of this process; process 0 writes the run", rich_help_panel=SEVERAL),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Train a model: data, training, test evaluation, plots, ONNX, report.

    On two cores and Fashion-MNIST, baseline and strong take about 3 minutes, sprint half a minute,
    champion an hour.
    """
    fields = {"patience": patience, "minutes": minutes, "class_weights": class_weights}
    if resume is not None:
        kept: dict[str, object] = {"epochs": epochs, "set": changes, "from": start_from, **fields}
        kept |= {"recipe": recipe_file, "seed": seed, "limit": limit, "out": out}
        again = shlex.join(["wardrobe", "train", "--from", resume])
        remedy = "leave it out, or start a new run from the network"
        options.refuse(kept, f"--resume, which keeps the run's own; {remedy}: {again}")

    from wardrobe.models import settings
    from wardrobe.training.distributed import launch

    process = launch.detect_process(coordinator, num_processes, process_id)
    if process is not None:
        _supervise(process, resume, out)
    from wardrobe.workflows import api
    from wardrobe.workflows.planning import recipe_files

    places: dict[str, Any] = {"data_dir": data_dir, "stream": progress_stream(as_json)}
    places |= {"photos_dir": photos_dir, "extra_photos": extra_photos}
    if process is not None and not process.is_first:
        api.train_worker(process, **places)
        if as_json:
            numbers = {"process_id": process.process_id, "num_processes": process.num_processes}
            print_json({**numbers, "status": "done"})
        return
    places |= {"process": process, "log_to": log_to or ()}
    if resume is not None:
        run = api.resume(resume, recipe, data=data, **places)
    else:
        pairs = [f"{name}={value}" for name, value in fields.items() if value is not None]
        run = api.train(
            recipe_files.choose(recipe, recipe_file),
            data=options.choose_data(data, as_json),
            epochs=epochs,
            settings=settings.split_pairs([*(changes or []), *pairs]),
            start_from=start_from,
            seed=seed or 0,
            limit=limit,
            out=out,
            **places,
        )
    print_scores(api.summarize(run), as_json)


def _supervise(process: "Process", resume: str | None, out: Path | None) -> None:
    """Runs this command again in a child process and exits with its status. The child returns."""
    from wardrobe import runs
    from wardrobe.training.distributed import launch, supervisor

    if launch.is_supervised():
        return launch.exit_with_supervisor()
    resumed = runs.find_run(resume).path if resume is not None and process.is_first else None
    sys.exit(supervisor.supervise(process, resumed or out))


def print_scores(summary: dict[str, Any], as_json: bool) -> None:
    """Prints what `api.summarize` returns, as JSON or in a panel."""
    if as_json:
        return print_json(summary)
    from rich.markup import escape
    from rich.panel import Panel

    ece, run = summary["ece"], summary["run"]
    fractions = summary["accuracy"], *summary["accuracy_interval_95"], ece["before"], ece["after"]
    accuracy, low, high, before, after = (format_percent(each, 2) for each in fractions)
    text = (
        f"[bold]{accuracy}[/bold] accuracy on {summary['n']:,} {summary['split']} images\n"
        f"{low} to {high} is its 95 % interval\n{_format_answers(summary)}"
        f"{before} expected calibration error, {after} with temperature scaling\n"
        f"{_format_photos(summary)}"
        f"run     {escape(run)}\nreport  {escape(str(Path(run) / 'report.html'))}"
    )
    title, style = escape(f"{summary['recipe_title']} on {summary['data']}"), "#4da3d8"
    if summary["data"] == "synthetic":
        title, style = "SYNTHETIC WARDROBE, NOT FASHION-MNIST", "bold yellow"
    print_whole(Panel(text, title=title, border_style=style, padding=(1, 2), expand=False))


def _format_answers(summary: dict[str, Any]) -> str:
    """Returns what the accuracy is compared with, and how far "sure" answers can be trusted."""
    from rich.markup import escape

    majority = format_percent(summary["majority_accuracy"], 2)
    largest = escape(summary["majority_class"])
    text = f"{majority} would be correct if every answer was '{largest}'\n"
    if summary["sure_accuracy"] is not None:
        sure, correct = (format_percent(summary[key], 2) for key in ("sure", "sure_accuracy"))
        text += f"{sure} of the answers are sure; {correct} of these are correct\n"
    if summary["fitted_on_few"]:
        count = summary["fitted_on"]
        text += f"rough: confidences and 'sure' were fitted on {count} validation images, too few\n"
    return text


def _format_photos(summary: dict[str, Any]) -> str:
    """Returns a line on the photos that a run was scored on, or nothing."""
    if "photos" not in summary:
        return ""
    scores = summary["photos"]
    balanced = format_percent(scores["balanced_accuracy"], 2)
    return f"{balanced} balanced accuracy on {scores['n']:,} {scores['split']} photos\n"
