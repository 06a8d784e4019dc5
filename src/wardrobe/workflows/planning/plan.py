"""What a run trains: the recipe with its settings, and the command that repeats it."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wardrobe.data import AUTO
from wardrobe.errors import UsageError
from wardrobe.models import recipes, settings
from wardrobe.models.recipes import BASELINE, Recipe
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.workflows.planning import recipe_files, sources
from wardrobe.workflows.planning.sources import Source

LENGTH = "epochs", "batch_size", "minutes"  # the fields that set the number of steps


def choose_recipe(
    recipe: str | Path | Recipe | None,
    changes: Mapping[str, Any],
    epochs: int | None = None,
    source: Source | None = None,
    data: str = AUTO,
) -> Recipe:
    """Returns the recipe to train.

    Args:
        recipe: a recipe, its name, its file, or None: that of the source, or the baseline. If
            there is a source, it is adapted to it, unless it is given as a `Recipe` or a file.
        changes: field → value or text, as in `models.settings.apply`.
        epochs: 1 or more; None: the recipe's, or that of `changes`.
        source: the network that training starts from; None: random weights.
        data: as in `wardrobe.load_data`.

    Raises:
        UsageError: the recipe, a field or a value is unknown, or they do not fit together.
    """
    if epochs is not None and "epochs" in changes:
        raise UsageError(
            f"--epochs {epochs} and --set epochs={changes['epochs']} are both given; give one"
        )
    if isinstance(recipe, Path):
        recipe = recipe_files.read(recipe)
    if not isinstance(recipe, Recipe):
        own = BASELINE if source is None else source.recipe
        recipe = _adapt(own if recipe is None else recipes.get(recipe), source, data)
    if epochs is not None:
        changes = {**changes, "epochs": epochs}
    chosen = settings.apply(recipe, changes)
    if chosen.minutes is not None and "epochs" in changes:
        raise UsageError(
            f"epochs={chosen.epochs} and minutes={chosen.minutes:g} are both given; give one "
            "(--set minutes=none trains by epochs)"
        )
    if source is not None:
        refuse_network(source.recipe, f"--from {source.name}")
        refuse_network(chosen, f"--from {source.name}")
    if source is not None and chosen.batch_norm:
        raise UsageError(
            "batch_norm=true cannot be given with --from: in a trained network, batch "
            "normalization is part of the convolutions; leave it out"
        )
    return chosen


def ensure_steps(recipe: Recipe, is_fixed: bool, count: int, display: TrainingDisplay) -> Recipe:
    """Returns the recipe with enough steps for `count` images; says so if it changes or cannot.

    Args:
        is_fixed: the recipe must not change, because a person chose its length.
    """
    longer = recipes.with_enough_steps(recipe, count)
    if longer == recipe:
        return recipe
    steps = recipes.count_steps(recipe, count)
    few = f"{count:,} images, epochs={recipe.epochs}, batch_size={recipe.batch_size}"
    if is_fixed:
        display.stage(
            f"Training has only {steps} steps, {few}; {recipes.MIN_STEPS} or more are recommended, "
            f"as with --epochs {longer.epochs} --set batch_size={longer.batch_size}"
        )
        return recipe
    display.stage(
        f"Training has {longer.epochs} epochs with batches of {longer.batch_size}, because "
        f"{recipe.name} would have only {steps} steps, {few}; --epochs N fixes the number"
    )
    return longer


def has_chosen_length(
    recipe: str | Path | Recipe | None, changes: Mapping[str, Any], epochs: int | None
) -> bool:
    """Returns whether the length of training was chosen, in a recipe of one's own or as a field.

    Args: as in `choose_recipe`.
    """
    is_own = isinstance(recipe, Path | Recipe)
    return is_own or epochs is not None or not changes.keys().isdisjoint(LENGTH)


def refuse_network(recipe: Recipe, what: str) -> None:
    """Raises a UsageError for a network of one's own."""
    if recipe.network is not None:
        raise UsageError(
            f"{what} is not possible with a network of one's own, {recipe.network}; "
            "leave it out, or give a recipe"
        )


def _adapt(recipe: Recipe, source: Source | None, data: str) -> Recipe:
    return recipe if source is None else sources.fine_tune(recipe, data)


def format_command(
    recipe: Recipe,
    source: Source | None,
    data: str,
    count: int,
    seed: int,
    limit: int | None,
    extra_photos: str | Path | None,
    folder: Path,
) -> str:
    """Returns the shell command that repeats the run in `folder`.

    It takes the recipe from there if none of its name ships. `count`: training images.
    """
    is_shipped = recipe.name in recipes.RECIPES
    shipped = _adapt(recipes.RECIPES[recipe.name], source, data) if is_shipped else recipe
    needs_epochs = False
    if is_shipped and source is None and recipe.minutes is None:
        longer = recipes.with_enough_steps(shipped, count)
        if (recipe.epochs, recipe.batch_size) == (longer.epochs, longer.batch_size):
            shipped = longer  # as `ensure_steps` makes it, if no length is given
        else:
            needs_epochs = longer != shipped  # otherwise `ensure_steps` would change the length
    by_epochs = recipe.minutes is None and recipe.epochs != shipped.epochs
    epochs = recipe.epochs if by_epochs or needs_epochs else None
    options = {
        "--from": source and source.name,
        **{"--data": data, "--seed": seed, "--epochs": epochs, "--limit": limit},
        "--extra-photos": extra_photos,
    }
    words = ["wardrobe", "train", *([recipe.name] if is_shipped else ["--recipe", str(folder)])]
    words += [str(each) for pair in options.items() if pair[1] is not None for each in pair]
    for change in settings.format_changes(recipe, replace(shipped, epochs=recipe.epochs)):
        words += ["--set", change]
    return shlex.join(words)
