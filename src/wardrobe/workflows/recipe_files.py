"""A recipe in a file: read from TOML or a run, written as TOML. It needs no Keras."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wardrobe import runs
from wardrobe.errors import UsageError
from wardrobe.models import recipes, settings
from wardrobe.models.recipes import BASELINE, RECIPES, Recipe
from wardrobe.runs import atomic_write

EXPECTED = "give a .toml file, a run folder or its run.json"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # it becomes a folder's name and a part of a URL


def choose(name: str | None, file: Path | None) -> str | Path | None:
    """Returns what a command was given, the name of a recipe or its file.

    Raises:
        UsageError: it was given both.
    """
    if name is not None and file is not None:
        raise UsageError(f"RECIPE {name} and --recipe {file} are both given; give one")
    return name if file is None else file


def read(file: Path) -> Recipe:
    """Returns the recipe of a file.

    Args:
        file: TOML with fields of `Recipe`, and optionally `base`, a recipe that ships, for all
            others, and `name`; a run folder or its run.json.

    Raises:
        UsageError, RunError: it cannot be read or trained; the message names file and field.
    """
    if file.suffix == ".toml":
        return _read_fields(file, _load_toml(file))
    folder = file.parent if file.name == "run.json" else file
    if not (folder / "run.json").is_file() and str(file) != runs.LATEST:
        raise UsageError(f"--recipe {file} is not a recipe's file; {EXPECTED}")
    recipe = runs.find_run(folder).recipe()
    settings.check(recipe)
    return recipe


def write(recipe: Recipe, file: Path) -> None:
    """Writes a recipe as TOML that `read` reads: its base, and the fields that differ."""
    base = RECIPES.get(recipe.name, BASELINE)
    values = {"base": base.name, "name": recipe.name} | {
        name: value
        for name in settings.FIELDS
        if (value := getattr(recipe, name)) != getattr(base, name)
    }
    lines = [f"{name} = {_format_toml(value)}\n" for name, value in values.items()]
    with atomic_write(file) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def _format_toml(value: Any) -> str:
    """Returns a value as TOML, which has no null: None is the text that `settings` reads."""
    value = "none" if value is None else value
    return json.dumps(value)  # TOML writes these numbers, texts, lists and booleans as JSON does


def _load_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--recipe {file} cannot be read ({error.strerror}); {EXPECTED}") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise UsageError(f"{file} is not TOML: {error}; write lines such as: epochs = 9") from None


def _read_fields(file: Path, fields: Mapping[str, Any]) -> Recipe:
    """Returns the recipe `base` with the other fields of a file."""
    changes = dict(fields)
    try:
        base = recipes.get(str(changes.pop("base", BASELINE.name)))
        name = changes.pop("name", base.name)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise UsageError(f"name {name!r} is not possible; give 1 to 64 letters, digits, _ or -")
        return settings.apply(replace(base, name=name), changes, option="")
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None
