"""Files for releases and containers: names that exist, and installation hints that work."""

import re
import subprocess
import tomllib

from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


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
