"""`wardrobe runs` and `wardrobe report`."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument

from wardrobe.cli import options
from wardrobe.cli.app import LOOKUP, app, print_json, print_whole
from wardrobe.errors import RunError
from wardrobe.percent import format_percent

MAX_DATA = 32  # characters


@app.command("runs", rich_help_panel=LOOKUP)
def compare_runs(
    folder: Annotated[Path, Argument(help="Folder that holds the runs")] = Path("runs"),
    as_json: options.Json = False,
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
def report(run: options.RunName = "latest") -> None:
    """Update a run's report.html, one file that needs no network."""
    from wardrobe.workflows import api

    print(api.write_report(run))


def _format_accuracy(score: dict[str, float] | None) -> str:
    if score is None:
        return ""
    return " ± ".join(format_percent(score[key], 2) for key in ("accuracy", "half_interval_95"))


def _print_runs(rows: list[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Column, Table

    cells = [_format_row(row) for row in rows]
    table = Table(*(Column(name, no_wrap=True) for name in cells[0]), box=None)
    for each in cells:
        table.add_row(*map(escape, each.values()))
    print_whole(table)


def _format_row(row: dict[str, Any]) -> dict[str, str]:
    """Returns column → text."""
    scores, data = row["scores"], row["data"]
    return {
        "run": row["run"],
        "recipe": row["recipe_title"],
        "data": data if len(data) <= MAX_DATA else f"…{data[1 - MAX_DATA :]}",
        "seed": str(row["seed"]),
        "epochs": f"{row['epochs_done']}/{row['epochs']}",
        "status": row["status"],
        "test": _format_accuracy(scores.get("test")),
        "test ECE": format_percent(scores["test"]["ece"], 2) if "test" in scores else "",
        "validation": _format_accuracy(scores.get("validation")),
        "seconds": f"{row['seconds']:.0f}",
    }
