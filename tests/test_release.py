"""Files for releases and containers: names that exist, and installation hints that work."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT

from wardrobe import __version__

yaml = pytest.importorskip("yaml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_is_the_newest_of_the_changelog() -> None:
    """The release workflow publishes `__version__`; between releases it ends in .dev0."""
    newest = re.findall(r"^## (.*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert newest == re.sub(r"\.dev0$", " (unreleased)", __version__)


def test_every_line_that_installs_names_the_distribution_and_its_extras() -> None:
    """`wardrobe` on the package index is another project."""
    listed = subprocess.run(
        ["git", "grep", "-hIE", r"\[|pip install"], cwd=ROOT, capture_output=True
    )
    text = listed.stdout.decode()
    assert not re.findall(r".*pip install '?wardrobe(?!-cnn).*", text)
    assert not re.findall(r".*['\"`]wardrobe\[[a-z].*", text)
    named = re.findall(rf"{PROJECT['name']}\[([a-z,]+)\]", text)
    assert len(named) > 10
    assert {extra for names in named for extra in names.split(",")} <= {
        *PROJECT["optional-dependencies"]
    }


def test_the_images_are_built_from_files_that_exist_and_named_alike_everywhere() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    targets = {line.split()[-1] for line in lines if line.startswith("FROM")}
    locks = {word for line in lines for word in line.split() if word.endswith(".txt")}
    assert locks == {"requirements/serve.txt", "requirements/scale.txt"}
    assert all((ROOT / lock).is_file() for lock in locks)
    assert "tensorflow" not in (ROOT / "requirements/serve.txt").read_text()
    examples = [ROOT / "compose.yaml", *(ROOT / "examples/kubernetes").glob("*.yaml")]
    images = {name for path in examples for name in re.findall(r"image: (.*)", path.read_text())}
    assert images == {"wardrobe:serve", "wardrobe:scale"}
    assert {name.partition(":")[2] for name in images} <= targets


def find_containers(value: Any) -> Iterator[dict[str, Any]]:
    """Yields every dict with an image in a parsed YAML file."""
    if isinstance(value, dict):
        if "image" in value:
            yield value
        value = [*value.values()]
    for each in value if isinstance(value, list) else ():
        yield from find_containers(each)


def test_yaml_files_parse_and_containers_have_no_more_rights_than_they_need() -> None:
    listed = subprocess.run(["git", "ls-files", "*.yaml", "*.yml"], cwd=ROOT, capture_output=True)
    names = listed.stdout.decode().split()
    assert "compose.yaml" in names
    for name in names:
        assert all(isinstance(each, dict) for each in yaml.safe_load_all((ROOT / name).read_text()))
    for path in (ROOT / "examples/kubernetes").glob("*.yaml"):
        for container in find_containers([*yaml.safe_load_all(path.read_text())]):
            context = container["securityContext"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["allowPrivilegeEscalation"] is False
