"""A recipe in a file: read from TOML, Python or a run, written as TOML. It needs no Keras."""

import ast
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

EXPECTED = "give a .toml or .py file, a run folder or its run.json"
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
            others, and `name`; Python with a function `build` (`models.own_network`), and
            optionally the same fields as a dict RECIPE; a run folder or its run.json.

    Raises:
        UsageError, RunError: it cannot be read or trained; the message names file and field.
    """
    if file.suffix == ".toml":
        return _read_fields(file, _load_toml(file))
    if file.suffix == ".py":
        return _read_fields(file, _parse_python(file), network=str(file))
    folder = file.parent if file.name == "run.json" else file
    if not runs.Run(folder).exists() and str(file) != runs.LATEST:
        problem = "is not a recipe's file" if file.exists() else "does not exist"
        raise UsageError(f"--recipe {file} {problem}; {EXPECTED}")
    recipe = runs.find_run(folder).recipe()
    try:
        settings.check(recipe)
    except UsageError as error:  # a version of wardrobe that had other values
        raise UsageError(f"{folder / 'run.json'}: {error}") from None
    return recipe


def write(recipe: Recipe, file: Path) -> None:
    """Writes a recipe as TOML that `read` reads: its base, and the fields that differ."""
    base = RECIPES.get(recipe.name, BASELINE)
    values = {"base": base.name, "name": recipe.name} | {
        name: value
        for name in settings.FIELDS
        if (value := getattr(recipe, name)) != getattr(base, name)
    }
    # TOML writes numbers, texts, lists and booleans as JSON does. It has no null: None is the text
    # that `settings` reads.
    texts = {name: json.dumps("none" if each is None else each) for name, each in values.items()}
    lines = [f"{name} = {text}\n" for name, text in texts.items()]
    with atomic_write(file) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def _load_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--recipe {file} cannot be read ({error.strerror}); {EXPECTED}") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise UsageError(f"{file} is not TOML: {error}; write lines such as: epochs = 9") from None


def _parse_python(file: Path) -> dict[str, Any]:
    """Returns RECIPE of a Python file with a function `build`. Its code is not run."""
    try:
        body = ast.parse(file.read_bytes(), file.name).body
    except OSError as error:
        raise UsageError(f"--recipe {file} cannot be read ({error.strerror}); {EXPECTED}") from None
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{file} is not Python: {error}; correct it") from None
    if not any(isinstance(each, ast.FunctionDef) and each.name == "build" for each in body):
        raise UsageError(
            f"{file} has no function build; write: def build(class_count: int) -> keras.Model"
        )
    fields: Any = {}
    for each in body:
        targets = each.targets if isinstance(each, ast.Assign) else [getattr(each, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "RECIPE" for target in targets):
            try:
                fields = ast.literal_eval(each.value)  # type: ignore[attr-defined]
            except (ValueError, TypeError, SyntaxError):
                fields = None
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise UsageError(
            f"{file}: RECIPE is not a dict of plain values; write such as: "
            'RECIPE = {"base": "baseline", "epochs": 9}'
        )
    return fields


def _read_fields(file: Path, fields: Mapping[str, Any], network: str | None = None) -> Recipe:
    """Returns the recipe `base` with the other fields of a file, and perhaps its network."""
    changes = dict(fields)
    try:
        base = recipes.get(str(changes.pop("base", BASELINE.name)))
        if network is not None:
            base = replace(recipes.with_network(base, network), name=file.stem)
        name = changes.pop("name", base.name)
        if network is not None and name in RECIPES:
            raise UsageError(f"name {name!r} is that of a recipe that ships; give another name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise UsageError(f"name {name!r} is not possible; give 1 to 64 letters, digits, _ or -")
        return settings.apply(replace(base, name=name), changes)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None
