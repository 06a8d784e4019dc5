"""The layers: imports flow one way, one module trains, one module opens the test split, Keras alone in the core."""

import ast
from pathlib import Path

import pytest

import wardrobe

SOURCE = Path(wardrobe.__file__).parent

# A module imports only from rows above its own. docs/architecture.md says what each owns.
LEVELS = (
    {"labels", "errors"},
    {"recipes", "metrics", "console"},
    {"fashion_mnist", "folder", "synthetic", "runs"},
    {"data", "models"},
    {"training", "export"},
    {"evaluation", "explain"},
    {"plots", "report"},
    {"pipeline"},
    {"jobs"},
    {"benchmark"},
    {"cli"},
)
LEVEL = {module: level for level, modules in enumerate(LEVELS) for module in modules}
MODULES = sorted(path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__")


def imported(source: str) -> set[str]:
    """Returns the names of every module that `source` imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return names


def violations(module: str, source: str) -> list[str]:
    """Returns the imports of `source`, taken as that of `module`, that do not come from a row above."""
    own = {name.split(".")[1] for name in imported(source) if name.startswith("wardrobe.")}
    return sorted(name for name in own & LEVEL.keys() if LEVEL[name] >= LEVEL[module])


def test_every_module_has_its_row() -> None:
    assert set(MODULES) == set(LEVEL)


@pytest.mark.parametrize("module", MODULES)
def test_imports_come_from_rows_above(module: str) -> None:
    assert violations(module, (SOURCE / f"{module}.py").read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "import wardrobe.jobs",
        "from wardrobe import jobs",
        "from wardrobe.cli import app",
        "def f():\n    from wardrobe import plots",
    ],
)
def test_an_import_from_below_is_found(line: str) -> None:
    assert violations("training", line) != []


@pytest.mark.parametrize(
    ("attribute", "owner"), [("open_test", "evaluation"), ("fit", "training")], ids=["test split", "training"]
)
def test_one_module_alone_calls_it(attribute: str, owner: str) -> None:
    calls = {
        module
        for module in MODULES
        for node in ast.walk(ast.parse((SOURCE / f"{module}.py").read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == attribute
        and not (
            isinstance(node.func.value, ast.Name) and node.func.value.id == "training"
        )  # pipeline asks training to
    }
    assert calls == {owner}


@pytest.mark.parametrize("module", ["models", "training"])
def test_the_core_knows_keras_alone(module: str) -> None:
    backends = {"tensorflow", "jax", "torch"}
    assert not backends & {name.split(".")[0] for name in imported((SOURCE / f"{module}.py").read_text())}


@pytest.mark.parametrize("module", ["plots", "report"])
def test_drawing_never_shows_and_never_loads(module: str) -> None:
    names = imported((SOURCE / f"{module}.py").read_text())
    assert not {name for name in names if "pyplot" in name or name.startswith(("keras", "wardrobe.data"))}
