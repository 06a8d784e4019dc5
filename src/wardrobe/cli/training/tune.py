"""`wardrobe tune`."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from wardrobe.cli import options
from wardrobe.cli.app import TRAINING, app, print_json, progress_stream
from wardrobe.errors import UsageError
from wardrobe.percent import format_percent

FIELDS = "learning_rate,batch_size,max_shift,erase_probability,dropout"


@app.command(rich_help_panel=TRAINING)
def tune(
    recipe: Annotated[
        str | None,
        Argument(metavar="RECIPE", help="Recipe to tune", autocompletion=options.complete_recipe),
    ] = None,
    recipe_file: options.RecipeFile = None,
    trials: Annotated[int, Option(help="Number of trials, earlier ones included")] = 20,
    fields: Annotated[str, Option(help="Hyperparameters to tune, separated by commas")] = FIELDS,
    data: Annotated[str, Option(help=options.DATA_HELP)] = "fashion-mnist",
    data_dir: options.DataDir = None,
    photos_dir: options.PhotosDir = None,
    epochs: options.Epochs = None,
    limit: options.Limit = None,
    out: Annotated[
        Path | None, Option(help="Folder for the trials", show_default="runs/tune-RECIPE")
    ] = None,
    storage: Annotated[
        str | None,
        Option(
            help="For a search on several hosts, each with the same command: a file NAME.journal "
            "on a shared disk, or a database URL"
        ),
    ] = None,
    range_test: Annotated[
        bool,
        Option(
            "--range-test",
            help="Only draw the training loss over a rising learning rate, and suggest a rate",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Tune a recipe's hyperparameters for the best validation accuracy; can be resumed."""
    from wardrobe.workflows.planning import recipe_files

    chosen = recipe_files.choose(recipe, recipe_file)
    if chosen is None:
        raise UsageError("no recipe is given; give RECIPE or --recipe FILE (see: wardrobe recipes)")
    places: dict[str, Any] = {"data": data, "data_dir": data_dir, "photos_dir": photos_dir}
    places |= {"limit": limit, "out": out}
    if range_test:
        return _run_range_test(chosen, places, as_json)
    from wardrobe.tuning import search  # needs Optuna

    best = search.tune(
        chosen,
        trials,
        fields.split(","),
        **places,
        epochs=epochs,
        storage=storage,
        stream=progress_stream(as_json),
    )
    if as_json:
        return print_json(best)
    unchanged = best["recipe_accuracy"]
    compared = "not known yet" if unchanged is None else format_percent(unchanged, 2)
    print(
        f"\nBest of {best['trials']} trials: {format_percent(best['accuracy'], 2)} accuracy on the "
        f"validation images that it was chosen on (unchanged recipe: {compared})\n"
        f"Written: {best['file']}; train it with:\n{best['command']}"
    )


def _run_range_test(recipe: str | Path, places: dict[str, Any], as_json: bool) -> None:
    from wardrobe.tuning import range_test

    found = range_test.run_range_test(recipe, **places)
    if as_json:
        return print_json(found)
    suggested, used = found["suggested"], found["learning_rate"]
    print(
        f"The loss falls fastest at the learning rate {suggested:g} (the recipe's: {used:g}); use "
        f"it with: --set learning_rate={suggested:g}\nWritten: {found['figure']}"
    )
