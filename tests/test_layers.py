"""The layers: imports flow one way, one module trains, one module opens the test split, Keras alone in the core."""

import ast
import re
from pathlib import Path

import pytest

import wardrobe

SOURCE = Path(wardrobe.__file__).parent

# A module imports only from rows above its own. docs/architecture.md says what each owns.
LEVELS = (
    {"labels", "errors", "confidence", "seeds"},
    {
        "recipes",
        "metrics",
        "trust",
        "console",
        "progress",
        "photo",
        "photo_augment",
        "batch_norm",
        "gradients",
        "feed",
        "membership",
    },
    {
        "augment",
        "fashion_mnist",
        "folder",
        "synthetic",
        "corruptions",
        "unknown",
        "attacks",
        "occlusion",
        "engines",
        "runs",
        "hosts",
    },
    {"data", "models", "objectives", "muon", "classifier", "protocols", "guard", "supervision", "store", "ray_cluster"},
    {
        "curriculum",
        "export",
        "predict",
        "hierarchy",
        "attribution",
        "network",
        "batching",
        "processes",
        "uploads",
        "api_docs",
    },
    {"training", "faithfulness", "studio", "manifest"},
    {"evaluation", "routes", "part_worker"},
    {"label_errors", "drawing", "report", "output", "server", "bulk"},
    {"plots", "layer_plots", "answer_plots", "trust_plots"},
    {"pipeline", "inspection", "image_sheet"},
    {"jobs", "ray_search"},
    {"results", "tuning", "kept_runs"},
    {
        "train_benchmark",
        "ablation_benchmark",
        "photo_benchmark",
        "corruption_benchmark",
        "speed_benchmark",
        "load",
        "engine_speed",
        "essay",
    },
    {"serve_benchmark", "export_benchmark", "scale_benchmark"},
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
            assert node.level == 0, f"a relative import in line {node.lineno}; write it out"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return names


def violations(module: str, source: str) -> list[str]:
    """Returns the imports of `source`, taken as that of `module`, that do not come from a row above."""
    lazy = {f"wardrobe.{name}": home for name, home in wardrobe._HOMES.items()}
    own = {lazy.get(name, name).split(".")[1] for name in imported(source) if name.startswith("wardrobe.")}
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
        "from wardrobe import train",
    ],
)
def test_an_import_from_below_is_found(line: str) -> None:
    assert violations("training", line) != []


def users(attribute: str) -> set[str]:
    """Returns the modules that use `something.attribute`, called or not."""
    return {
        module
        for module in MODULES
        for node in ast.walk(ast.parse((SOURCE / f"{module}.py").read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr == attribute
        and not (isinstance(node.value, ast.Name) and node.value.id in LEVEL)  # `training.fit` asks its owner
    }


def test_one_module_alone_opens_the_test_split() -> None:
    assert users("open_test") == {"evaluation"}


def test_one_module_alone_trains() -> None:
    # hierarchy fits scikit-learn's linear probes; what Ray Tune calls to fit is to run a search
    assert users("fit") == {"training", "hierarchy", "ray_search"}
    assert "sklearn" not in (SOURCE / "training.py").read_text()


def test_the_test_files_are_read_in_one_place() -> None:
    readers = {module for module in MODULES if "test_images" in (SOURCE / f"{module}.py").read_text()}
    tables = {"train_benchmark", "corruption_benchmark"}  # name the count of the test images
    assert readers <= {"fashion_mnist", "data"} | tables  # the list of files; open_test


def test_the_table_in_the_docs_is_this_one() -> None:
    table = (SOURCE.parents[1] / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| \d+ \| (.*?) \|", table, re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == list(LEVELS)


@pytest.mark.parametrize("module", ["models", "training"])
def test_the_core_knows_keras_alone(module: str) -> None:
    backends = {"tensorflow", "jax", "torch"}
    assert not backends & {name.split(".")[0] for name in imported((SOURCE / f"{module}.py").read_text())}


@pytest.mark.parametrize("module", ["plots", "layer_plots", "answer_plots", "trust_plots", "report"])
def test_drawing_never_shows_and_never_loads(module: str) -> None:
    names = imported((SOURCE / f"{module}.py").read_text())
    assert not {name for name in names if "pyplot" in name or name.startswith(("keras", "wardrobe.data"))}
