"""The command line: each command parses its options, makes one call and prints the result.

app: the Typer app, the options that commands share, errors and exit status.
train, evaluate, tune: make and score models.
predict, explain, serve, export: use them.
runs, data, doctor: show what there is. `report` is in `runs`, `recipes` in `data`.
"""

from wardrobe.cli.app import DataDir, Epochs, Json, Limit, Model, PhotosDir, app, main, run_app

# Importing a module registers its command. `wardrobe --help` lists them in this order.
from wardrobe.cli import train, evaluate, tune, predict, explain, serve, export, runs, data, doctor  # noqa: F401  # isort: skip

__all__ = ["DataDir", "Epochs", "Json", "Limit", "Model", "PhotosDir", "app", "main", "run_app"]
