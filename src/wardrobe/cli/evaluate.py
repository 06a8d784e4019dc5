"""`wardrobe evaluate`."""

from typing import Annotated

from typer import Option

from wardrobe.cli.app import TRAINING, DataDir, Json, RunName, app, progress_stream
from wardrobe.cli.train import print_scores


@app.command(rich_help_panel=TRAINING)
def evaluate(
    run: RunName = "latest",
    split: Annotated[str, Option(help="'test' or 'validation'")] = "test",
    tta_views: Annotated[
        int | None,
        Option(
            help="Test-time augmentation: average over 1 view (the image), 2 (and its mirror "
            "image) or 6 (and both shifted by a pixel)",
            show_default="as in the recipe",
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Score a run, and update its metrics, plots and report."""
    from wardrobe.workflows import api

    scored = api.evaluate(run, split, data_dir, tta_views, progress_stream(as_json))
    print_scores(api.summarize(scored), as_json)
