"""A recipe's fields as text: changed, checked, and described. It needs no Keras."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from wardrobe.errors import UsageError
from wardrobe.models import layers
from wardrobe.models.recipes import LAYER_FIELDS, RECIPES, SUMMARIES, Field, Recipe, with_network

MAX_PARAMETERS = 100_000_000  # 400 MB in float32, and as much again for each optimizer state
MAX_LAYERS = 64  # convolutions
CLASSES = 10  # for the number of parameters; more classes add only to the last layer
NONE = "none", "null"  # texts for no value: of a person, and of JSON
WORDS = {  # type → what a message calls it
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "text",
    tuple: "integers separated by commas",
}
NAMES = {int: "integer", float: "number", bool: "boolean", str: "text", tuple: "integers"}


def _read_fields() -> dict[str, tuple[type, bool, Field]]:
    """Returns name → (type, whether it may be None, meaning and limits) of each `Field`."""
    found = {}
    for name, hint in get_type_hints(Recipe, include_extras=True).items():
        if name in ("name", "network"):
            continue
        annotation, field = get_args(hint)
        options = get_args(annotation) if NoneType in get_args(annotation) else (annotation,)
        found[name] = get_origin(options[0]) or options[0], len(options) > 1, field
    return found


FIELDS = _read_fields()


def describe(shown: Iterable[Recipe] = RECIPES.values()) -> dict[str, list[dict[str, Any]]]:
    """Returns recipes with their values, and the fields with their limits, for JSON.

    Returns:
        {"recipes": [{"name", "summary", "parameters", "fields": {field: value}}],
        "fields": [{"name", "type", "optional", "minimum", "maximum", "choices", "meaning"}]}.
        "type" is "integer", "number", "boolean", "text" or "integers", a list. An optional field
        may be null. Minimum and maximum are inclusive, of each number of a list; null: none.
    """
    return {
        "recipes": [
            {
                "name": recipe.name,
                "summary": SUMMARIES.get(recipe.name, "A recipe from a file."),
                "parameters": None if recipe.network else layers.count_parameters(recipe, CLASSES),
                "fields": _to_json(recipe),
            }
            for recipe in shown
        ],
        "fields": [
            {
                "name": name,
                "type": NAMES[kind],
                "optional": optional,
                "minimum": field.minimum,
                "maximum": field.maximum,
                "choices": None if field.choices is None else list(field.choices),
                "meaning": field.meaning,
            }
            for name, (kind, optional, field) in FIELDS.items()
        ],
    }


def _to_json(recipe: Recipe) -> dict[str, Any]:
    values = asdict(recipe)
    del values["name"], values["network"]
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in values.items()
    }


def split_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """Returns {field: text} of `--set FIELD=VALUE`, given once for each field.

    Raises:
        UsageError: a text has no "=", or a field is given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair} has no value; give --set FIELD=VALUE: --set epochs=9")
        if name in found:
            raise UsageError(f"--set {name} is given twice, {found[name]} and {text}; give one")
        found[name] = text
    return found


def apply(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """Returns the recipe with other values of some fields.

    Args:
        settings: field → value, or its text: "16,32" for a list, "none", "true" or "false".

    Raises:
        UsageError: a field is unknown, a value is not of its type or range, or the recipe cannot be
            built.
    """
    values = {name: _parse(name, value) for name, value in settings.items()}
    changed = replace(recipe, **values)
    check(changed)
    return changed


def format_changes(recipe: Recipe, base: Recipe) -> list[str]:
    """Returns FIELD=VALUE for each field that differs from `base`, as `split_pairs` reads it."""
    return [
        f"{name}={format_value(value)}"
        for name in FIELDS
        if (value := getattr(recipe, name)) != getattr(base, name)
    ]


def format_value(value: Any) -> str:
    """Returns the text of a field's value, which `apply` reads again."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def check(recipe: Recipe) -> None:
    """Checks every field of a recipe, and that its network can be built.

    Raises:
        UsageError: it cannot; the message says which field to change.
    """
    for name in FIELDS:
        _check_value(name, getattr(recipe, name), getattr(recipe, name))
    if recipe.network is not None:
        _check_layer_fields(recipe, recipe.network)
    found = _list_layer_problems(recipe) + _list_photo_problems(recipe)
    problems = [text for is_wrong, text in found if is_wrong]
    if problems:
        raise UsageError(f"the recipe {recipe.name} cannot be trained: {problems[0]}")
    parameters = layers.count_parameters(recipe, CLASSES)
    if parameters > MAX_PARAMETERS:
        raise UsageError(
            f"the recipe {recipe.name} has {parameters:,} parameters, expected at most "
            f"{MAX_PARAMETERS:,}; give fewer filters or dense_units, or more pooling"
        )


def _check_layer_fields(recipe: Recipe, network: str) -> None:
    """Raises a UsageError if a field describes layers that a file has."""
    bare = with_network(recipe, network)
    for name in LAYER_FIELDS:
        if (value := getattr(recipe, name)) != getattr(bare, name):
            raise UsageError(
                f"{name}={format_value(value)} cannot be given with a network of one's own, whose "
                f"layers are in {network}; leave it out"
            )


def _list_layer_problems(recipe: Recipe) -> list[tuple[bool, str]]:
    """Returns (whether it is so, what is wrong and what to do) of fields that make the layers."""
    filters = [*recipe.stem_filters, *recipe.conv_filters]
    count, pools, strides = len(recipe.conv_filters), recipe.pool_after, recipe.conv_strides
    # Half of the filters are components of a patch, the others the same negated.
    first_size = 4 if recipe.stem_filters else recipe.kernel_size
    first, most = (filters or [0])[0], 2 * first_size**2
    return [
        (
            not filters and not recipe.network,
            "it has no convolution; give conv_filters=16,32 or stem_filters=16,32",
        ),
        (len(filters) > MAX_LAYERS, f"{len(filters)} convolutions; give {MAX_LAYERS} at most"),
        (
            max(pools, default=0) > count,
            f"pool_after={format_value(pools)}, but conv_filters has length {count}; give "
            "numbers up to it, or an empty list: pool_after=",
        ),
        (
            list(pools) != sorted({*pools}),
            f"pool_after={format_value(pools)}; give each convolution once, in ascending order",
        ),
        (
            strides is not None and len(strides) != count,
            f"conv_strides={format_value(strides)}, but conv_filters has length {count}; give one "
            "number for each, or conv_strides=none for 1 everywhere",
        ),
        (
            recipe.whitened_stem and bool(first % 2 or first > most),
            f"whitened_stem with {first} filters in the first convolution; give an even number, "
            f"at most {most}, or whitened_stem=false",
        ),
    ]


def _list_photo_problems(recipe: Recipe) -> list[tuple[bool, str]]:
    """Returns the same of the fields about photos."""
    return [
        (
            not recipe.photo_fraction and bool(recipe.warp_fraction or recipe.unknown_fraction),
            "warp_fraction and unknown_fraction need photos; give photo_fraction above 0, or set "
            "both to 0",
        ),
        (
            bool(recipe.photo_fraction) and recipe.class_weights != "none",
            f"class_weights={recipe.class_weights} with photos, which can have several "
            "classes or none; give class_weights=none, or photo_fraction=0",
        ),
        (
            recipe.photo_fraction + recipe.warp_fraction > 1,
            f"photo_fraction={recipe.photo_fraction} and warp_fraction={recipe.warp_fraction} are "
            "more than all images; give 1 at most together",
        ),
    ]


def format_expected(name: str) -> str:
    """Returns what a field takes, in words: "an integer from 1 to 28, or none"."""
    kind, optional, field = FIELDS[name]
    words = WORDS[kind]
    if field.choices is not None:
        *others, last = map(str, field.choices)
        words = f"{', '.join(others)} or {last}"
    elif field.minimum is not None and field.maximum is not None:
        words += f", each from {field.minimum} to {field.maximum}" if kind is tuple else ""
        words += "" if kind is tuple else f" from {field.minimum} to {field.maximum}"
    return words + (", or none" if optional else "")


def _parse(name: str, value: Any) -> Any:
    """Returns the value of a field, from its text or from a value in Python."""
    if name not in FIELDS:
        nearest = difflib.get_close_matches(name.lower(), FIELDS, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else "see: wardrobe recipes baseline"
        raise UsageError(f"{name}: a recipe has no such field; {hint}")
    kind, optional, _ = FIELDS[name]
    found = value
    if isinstance(value, str) and optional and value.lower() in NONE:
        found = None
    elif isinstance(value, str):
        found = _parse_text(kind, value)
    elif isinstance(value, list):
        found = tuple(value)
    elif kind is float and type(value) is int:
        found = float(value) if abs(value) < 2**53 else value
    _check_value(name, found, value)
    return found


def _parse_text(kind: type, text: str) -> Any:
    """Returns the value of a text, or the text itself if it is no such value."""
    try:
        if kind is bool:
            return {"true": True, "false": False}.get(text.lower(), text)
        if kind is tuple:
            numbers = text.strip("()[] ").removesuffix(",")
            return tuple(int(each) for each in numbers.split(",")) if numbers else ()
        return kind(text)
    except ValueError:
        return text


def _check_value(name: str, value: Any, given: Any) -> None:
    """Raises a UsageError, with the text as it was given, if a field cannot have a value."""
    kind, optional, field = FIELDS[name]
    if value is None and optional:
        return
    each = value if isinstance(value, tuple) else (value,)
    is_valid = type(value) is kind and all(type(one) is int for one in each if kind is tuple)
    if is_valid and field.choices is not None:
        is_valid = value in field.choices
    if is_valid and field.minimum is not None and field.maximum is not None:
        is_valid = all(field.minimum <= one <= field.maximum for one in each)  # false for NaN
    if not is_valid:
        text = given if isinstance(given, str) else format_value(given)
        raise UsageError(
            f"{name}={text[:40]} is not possible; give {format_expected(name)}; "
            f"{name}: {field.meaning}"
        )
