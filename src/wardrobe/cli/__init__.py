"""The command line: each command parses its options, makes one call and prints the result.

app: the Typer app, errors and exit status.
options: the options that several commands have.
training: `train`, `evaluate`, `tune` make and score models.
inference: `predict`, `explain`, `serve`, `export` use them.
lookup: `runs`, `report`, `data`, `recipes`, `doctor` show what there is.
"""

from wardrobe.cli.app import app, main, run_app
from wardrobe.cli.options import DataDir, Epochs, Json, Limit, Model, PhotosDir

# Importing a module registers its command. `wardrobe --help` lists them in this order.
from wardrobe.cli.training import train, evaluate, tune  # noqa: F401  # isort: skip
from wardrobe.cli.inference import predict, explain, serve, export  # noqa: F401  # isort: skip
from wardrobe.cli.lookup import runs, data, recipes, doctor  # noqa: F401  # isort: skip

__all__ = ["DataDir", "Epochs", "Json", "Limit", "Model", "PhotosDir", "app", "main", "run_app"]
