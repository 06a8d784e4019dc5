"""Run folders as a training writes them, without training."""

from pathlib import Path
from typing import Any

from wardrobe import runs
from wardrobe.models import recipes
from wardrobe.runs import Run


def make_run(root: Path, name: str, **fields: Any) -> Run:
    """Makes the run folder `root/runs/name`."""
    splits = {"train": 64, "validation": 8, "test": 8}
    facts: dict[str, Any] = {
        "data": "synthetic",
        "dataset": {"class_names": ["a", "b"], "splits": splits},
        "seed": 0,
        "limit": None,
        "reproduce": "wardrobe train baseline",
        "status": runs.RUNNING,
        **fields,
    }
    return runs.create_run(recipes.get("baseline"), root / "runs" / name, **facts)


def append(run: Run, *rows: tuple[int, int, float, float, float]) -> None:
    with run.steps_path.open("a") as stream:
        stream.writelines(",".join(map(str, row)) + "\n" for row in rows)
