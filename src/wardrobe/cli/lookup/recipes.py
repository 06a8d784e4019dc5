"""`wardrobe recipes`."""

import shlex
from collections.abc import Sequence
from typing import Annotated

from typer import Argument

from wardrobe.cli import options
from wardrobe.cli.app import LOOKUP, app, print_json


@app.command("recipes", rich_help_panel=LOOKUP)
def show_recipes(
    name: Annotated[
        str | None,
        Argument(
            metavar="RECIPE",
            help="Recipe to show",
            show_default="all",
            autocompletion=options.complete_recipe,
        ),
    ] = None,
    recipe_file: options.RecipeFile = None,
    as_json: options.Json = False,
) -> None:
    """List the recipes; of one, every field with its value, what it takes, and its meaning."""
    from wardrobe.labels import CLASS_NAMES
    from wardrobe.models import layers, recipes, settings
    from wardrobe.workflows.planning import plan, recipe_files

    chosen = recipe_files.choose(name, recipe_file)
    values = None if chosen is None else plan.choose_recipe(chosen, {})
    about = settings.describe(recipes.RECIPES.values() if values is None else [values])
    if as_json:
        print_json(about)
    elif values is None:
        rows = [
            (each["name"], each["fields"]["epochs"], f"{each['parameters']:,}", each["summary"])
            for each in about["recipes"]
        ]
        _print_table(("recipe", "epochs", "parameters", "what it is"), rows)
        print("\nEvery field of a recipe: wardrobe recipes baseline")
    else:
        rows = [
            (
                field,
                settings.format_value(getattr(values, field)) or "(empty)",
                settings.format_expected(field),
                each.meaning,
            )
            for field, (_, _, each) in settings.FIELDS.items()
        ]
        _print_table(("field", "value", "takes", "meaning"), rows)
        if values.network is None:
            shapes = layers.compute_kernel_shapes(values, len(CLASS_NAMES)).items()
            kernels = ", ".join(f"{name} {'x'.join(map(str, each))}" for name, each in shapes)
            print(f"\nWeights, height x width x inputs x outputs: {kernels}")
        words = ["--recipe", str(recipe_file)] if recipe_file else [values.name]
        command = shlex.join(["wardrobe", "train", *words])
        print(f"\nChange a field: {command} --set epochs={values.epochs + 1}")


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    Console(width=max(Console().width, 100)).print(table)
