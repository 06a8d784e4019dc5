"""What a run trains: the recipe with its settings, and the command that repeats it."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wardrobe.errors import UsageError
from wardrobe.models import recipes, settings
from wardrobe.models.recipes import Recipe


def choose_recipe(
    recipe: str | Recipe, changes: Mapping[str, Any], epochs: int | None = None
) -> Recipe:
    """Returns the recipe to train.

    Args:
        recipe: a recipe or its name.
        changes: field → value or text, as in `models.settings.apply`.
        epochs: 1 or more; None: the recipe's, or that of `changes`.

    Raises:
        UsageError: the recipe, a field or a value is unknown, or they do not fit together.
    """
    if epochs is not None and "epochs" in changes:
        raise UsageError(
            f"--epochs {epochs} and --set epochs={changes['epochs']} are both given; give one"
        )
    chosen = recipes.get(recipe) if isinstance(recipe, str) else recipe
    return settings.apply(recipes.with_epochs(chosen, epochs), changes)


def format_command(
    recipe: Recipe, data: str, seed: int, limit: int | None, extra_photos: str | Path | None
) -> str:
    """Returns the shell command that repeats a run; Python if the recipe's name does not ship."""
    shipped = recipes.RECIPES.get(recipe.name)
    if shipped is None:
        photos = f", extra_photos={str(extra_photos)!r}" if extra_photos else ""
        return f"wardrobe.train({recipe!r}, data={data!r}, seed={seed}, limit={limit}{photos})"
    epochs = recipe.epochs if recipe.epochs != shipped.epochs else None
    options = {
        **{"--data": data, "--seed": seed, "--epochs": epochs, "--limit": limit},
        "--extra-photos": extra_photos,
    }
    words = ["wardrobe", "train", recipe.name]
    words += [str(each) for pair in options.items() if pair[1] is not None for each in pair]
    for change in settings.format_changes(recipe, replace(shipped, epochs=recipe.epochs)):
        words += ["--set", change]
    return shlex.join(words)
