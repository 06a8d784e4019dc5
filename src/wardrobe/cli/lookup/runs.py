"""`wardrobe runs` and `wardrobe report`."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument

from wardrobe.cli.app import LOOKUP, Json, RunName, app, print_json, print_whole
from wardrobe.errors import RunError
from wardrobe.percent import format_percent

COLUMNS = (
    "run",
    "recipe",
    "data",
    "seed",
    "epochs",
    "status",
    "test",
    "test ECE",
    "validation",
    "seconds",
)
MAX_DATA = 32  # characters


@app.command("runs", rich_help_panel=LOOKUP)
def compare_runs(
    folder: Annotated[Path, Argument(help="Folder that holds the runs")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """Compare runs in a table."""
    from wardrobe import runs

    if folder != runs.ROOT and not folder.is_dir():
        raise RunError(
            f"{folder} is not a folder; give the one that holds the runs, or leave it out for "
            f"{runs.ROOT}"
        )
    rows = runs.tabulate_runs(folder)
    if as_json:
        print_json({"runs": rows})
    elif not rows:
        print(f"No runs in {folder}; create one with: wardrobe train")
    else:
        _print_runs(rows)


@app.command(rich_help_panel=LOOKUP)
def report(run: RunName = "latest") -> None:
    """Update a run's report.html, one file that needs no network."""
    from wardrobe.workflows import api

    print(api.write_report(run))


def _format_accuracy(score: dict[str, float] | None) -> str:
    if score is None:
        return ""
    return " ± ".join(format_percent(score[key], 2) for key in ("accuracy", "half_interval_95"))


def _print_runs(rows: list[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None)
    for column in COLUMNS:
        table.add_column(column, no_wrap=True)
    for row in rows:
        scores = row["scores"]
        cells = {
            **row,
            "data": row["data"]
            if len(row["data"]) <= MAX_DATA
            else f"…{row['data'][1 - MAX_DATA :]}",
            "epochs": f"{row['epochs_done']}/{row['epochs']}",
            **{split: _format_accuracy(scores.get(split)) for split in ("test", "validation")},
            "test ECE": format_percent(scores["test"]["ece"], 2) if "test" in scores else "",
            "seconds": f"{row['seconds']:.0f}",
        }
        table.add_row(*(escape(str(cells[column])) for column in COLUMNS))
    print_whole(table)
