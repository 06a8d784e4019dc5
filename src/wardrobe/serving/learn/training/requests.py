"""What to train: from the body of a request or from run.json, as a command and as Python."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wardrobe.data import AUTO, NAMES
from wardrobe.errors import RequestError
from wardrobe.inference.classifier import SHIPPED_FILES
from wardrobe.models import recipes, settings
from wardrobe.serving.learn.runs import find_named_run
from wardrobe.serving.learn.training.own_classes import parse_classes
from wardrobe.serving.protocols.arrays import parse_json_object
from wardrobe.workflows.planning import plan, sources

IMPORT = "import wardrobe\n"
SEED_LIMIT = 2**32  # of NumPy, and so of Keras
MAX_LIMIT = 10**9  # images
MAX_TEXT = 4_096  # characters; the longest path on Linux
MODEL_FILES = ".onnx", ".keras"
FIELDS = {"recipe", "data", "settings", "seed", "limit", "start_from", "classes"}


@dataclass(frozen=True)
class Training:
    """The options of `wardrobe train`.

    Attributes:
        recipe: None: that of `start_from`.
        settings: field of the recipe → text of its value.
    """

    recipe: str | None
    data: str = AUTO
    settings: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    limit: int | None = None
    start_from: str | None = None

    def list_arguments(self) -> list[str]:
        """Returns the arguments of the command `wardrobe`."""
        words = ["train"] + ([self.recipe] if self.recipe else [])
        words += ["--data", self.data, "--seed", str(self.seed)]
        words += ["--limit", str(self.limit)] if self.limit else []
        words += ["--from", self.start_from] if self.start_from else []
        for name, text in self.settings.items():
            words += ["--set", f"{name}={text}"]
        return words

    def format_command(self) -> str:
        return shlex.join(["wardrobe", *self.list_arguments()])

    def format_python(self) -> str:
        """Returns the same in Python, in two lines."""
        options = {key: value for key, value in asdict(self).items() if value and key != "recipe"}
        words = [repr(self.recipe)] if self.recipe else []
        words += [f"{key}={value!r}" for key, value in options.items()]
        return f"{IMPORT}wardrobe.train({', '.join(words)})"

    def count_epochs(self) -> int | None:
        """Returns the number of epochs; None if it depends on the number of one's own images.

        Raises:
            WardrobeError: the recipe is unknown, a setting is not possible, or training cannot
                start from that network.
        """
        source = sources.find(self.start_from) if self.start_from else None
        recipe = plan.choose_recipe(self.recipe, self.settings, None, source, self.data)
        if source is None and not plan.has_chosen_length(self.recipe, self.settings, None):
            if self.data not in NAMES:
                return None
            recipe = recipes.with_enough_steps(recipe, self.limit) if self.limit else recipe
        return recipe.epochs


def format_python(info: Mapping[str, Any], folder: Path) -> str:
    """Returns the call in Python that trains the run in `folder` again, from its run.json."""
    recipe = recipes.from_dict(info["recipe"])
    source = (info.get("start_from") or {}).get("source")
    if recipe.name not in recipes.RECIPES:
        options = {key: info.get(key) for key in ("data", "seed", "limit", "extra_photos")}
        given = {"start_from": source, **options}
        words = [f"pathlib.Path({str(folder)!r})"]  # no other place has the recipe
        words += [f"{key}={value!r}" for key, value in given.items() if value is not None]
        return f"import pathlib\n{IMPORT}wardrobe.train({', '.join(words)})"
    base, data = recipes.RECIPES[recipe.name], info["data"]
    base = sources.fine_tune(base, data) if source else base
    changes = settings.split_pairs(settings.format_changes(recipe, base))
    numbers = info["seed"], info["limit"]
    return Training(recipe.name, data, changes, *numbers, source).format_python()


def parse_training(body: bytes) -> tuple[Training, dict[str, list[bytes]]]:
    """Returns what to train, and the images of own classes: name → 784 bytes each.

    With own classes, `data` is still to be set: it is where their images are written.

    Raises:
        RequestError: the body is not a valid request. UsageError: the recipe or a setting is not.
    """
    asked = {key: value for key, value in parse_json_object(body).items() if value is not None}
    if unknown := asked.keys() - FIELDS:
        raise RequestError(f"unknown field {min(unknown)[:40]!r}; give {', '.join(sorted(FIELDS))}")
    classes = parse_classes(asked["classes"]) if "classes" in asked else {}
    start_from = _parse_text(asked, "start_from")
    training = Training(
        _parse_text(asked, "recipe"),
        AUTO if classes else _parse_data(asked),
        _parse_settings(asked.get("settings", {})),
        _parse_integer(asked, "seed", 0, SEED_LIMIT - 1) or 0,
        _parse_integer(asked, "limit", 1, MAX_LIMIT),
        _find_start(start_from) if start_from else None,
    )
    if training.recipe is None and training.start_from is None:
        raise RequestError("recipe and start_from are missing; give one of them")
    training.count_epochs()  # checks the recipe and its settings
    return training, classes


def _parse_text(asked: Mapping[str, Any], name: str) -> str | None:
    text = asked.get(name)
    if text is not None and not (isinstance(text, str) and 0 < len(text) <= MAX_TEXT):
        raise RequestError(f"{name} is not a string of 1 to {MAX_TEXT:,} characters; give one")
    return text


def _parse_integer(asked: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = asked.get(name)
    if value is not None and not (type(value) is int and least <= value <= most):
        raise RequestError(f"{name} is not an integer from {least:,} to {most:,}; give one")
    return value


def _parse_data(asked: Mapping[str, Any]) -> str:
    data = _parse_text(asked, "data") or AUTO
    if data in NAMES:
        return data
    # os.path, because a Path raises on a name that is too long or has a null character.
    folder = os.path.expanduser(data)  # noqa: PTH111
    if not os.path.isdir(folder):  # noqa: PTH112
        expected = f"give {', '.join(NAMES)} or a folder on the server's machine"
        raise RequestError(f"data is {data[:200]!r}, which is not a folder; {expected}")
    return str(Path(folder))


def _parse_settings(asked: Any) -> dict[str, str]:
    is_valid = isinstance(asked, dict) and len(asked) <= len(settings.FIELDS)
    if not is_valid or not all(isinstance(each, str) for each in asked.values()):
        raise RequestError('settings is not an object of strings; give it as {"epochs": "3"}')
    return asked


def _find_start(name: str) -> str:
    """Returns a shipped model's name, or the path of a run or a file of a model."""
    if name in SHIPPED_FILES:
        return name
    if Path(name).suffix in MODEL_FILES and os.path.isfile(name):  # noqa: PTH113
        return name
    return str(find_named_run(name).path)
