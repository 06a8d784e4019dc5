"""Writes results/NAME.json and makes RESULTS.md and the model card from those files: every published number."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardrobe import report, runs
from wardrobe.inference.classifier import SHIPPED


def write_results(figures: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Writes results/NAME.json, then RESULTS.md from every file in results/, and in a source tree the model card.

    Returns:
        What each results/NAME.json holds, by its name.
    """
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    runs.write_json(results / f"{figures['benchmark']}.json", figures)
    tables = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(results.glob("*.json"))
    }
    page = report.load_template("results.md", "benchmarks").render(tables=tables)
    with runs.atomic_write(folder / "RESULTS.md") as path:
        path.write_text(page, encoding="utf-8")
    card = folder / "src" / "wardrobe" / "pretrained" / "README.md"
    if "photos" in tables and tables["photos"]["model"] == SHIPPED and card.parent.is_dir():
        with runs.atomic_write(card) as path:
            path.write_text(
                report.load_template("model_card.md", "benchmarks").render(p=tables["photos"]),
                encoding="utf-8",
            )
    return tables


def format_command(name: str, **options: Any) -> str:
    """Returns the line that makes a benchmark's figures again; options that are None are left out."""
    words = [f"--{option} {value}" for option, value in options.items() if value is not None]
    return " ".join([f"python -m benchmarks {name}", *words])


def provenance() -> dict[str, Any]:
    """Returns the time, the machine, the versions and the source that figures measured now come from."""
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "finished": finished,
        "machine": runs.describe_machine(),
        "versions": runs.package_versions(),
        "git_commit": runs.git_commit(),
    }
