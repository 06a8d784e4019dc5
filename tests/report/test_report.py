"""The report: one file that needs no network, with the run's metrics and every figure."""

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, wardrobe

from wardrobe import report, runs
from wardrobe.cli.training.train import print_scores
from wardrobe.explain.chapters import CHAPTERS
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.report.page import GROUPS
from wardrobe.runs import Run
from wardrobe.workflows import api

HEADING = re.compile("h[1-6]")


class Page(HTMLParser):
    """Collects the addresses a browser would fetch, the images, the ids and the link targets.

    Checks that each heading is closed by its own tag.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.ids: set[str] = set()
        self.targets: list[str] = []
        self.heading = ""  # the tag of the open one
        self.feed(source)
        assert not self.heading

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        if HEADING.fullmatch(tag):
            assert not self.heading
            self.heading = tag
        if tag == "img":
            self.images.append(found)
        if tag == "a":
            self.targets.append(str(found["href"]))
        elif found.get("href") or found.get("src"):
            self.fetched.append(str(found.get("href") or found.get("src")))
        if found.get("id"):
            self.ids.add(str(found["id"]))

    def handle_endtag(self, tag: str) -> None:
        if HEADING.fullmatch(tag):
            assert tag == self.heading
            self.heading = ""


def test_the_page_loads_nothing_else(real_run: tuple[Run, dict[str, Any]]) -> None:
    source = real_run[0].report_path.read_text()
    page = Page(source)
    assert all(address.startswith("data:image/png;base64,") for address in page.fetched)
    assert "@import" not in source
    assert "url(" not in source
    scripts = [found for found in re.findall(r"<script([^>]*)>", source) if found]
    assert scripts == [' type="application/json"']  # the images of the confusion matrix
    assert {target.removeprefix("#") for target in page.targets} <= page.ids


def test_the_page_has_every_figure_with_its_text(real_run: tuple[Run, dict[str, Any]]) -> None:
    page = Page(real_run[0].report_path.read_text())
    drawn = {path.stem for path in real_run[0].plots_folder.glob("*.png")}
    assert len(page.images) == len(drawn) == 10
    known = [name for chapter in CHAPTERS for name in chapter.figures]
    assert drawn <= set(known)
    assert sorted(known) == sorted(name for names in GROUPS.values() for name in names)
    assert all(image["alt"] for image in page.images)
    assert drawn <= page.ids


def test_the_page_has_the_metrics_and_the_command_that_reproduces_them(
    real_run: tuple[Run, dict[str, Any]],
) -> None:
    run, printed = real_run
    text = re.sub(r"<[^>]+>", " ", run.report_path.read_text())
    assert f"{100 * printed['accuracy']:.2f} %" in text
    assert f"{printed['nll']['before']:.4f}" in text
    assert f"{100 * printed['per_class']['Shirt']['f1']:.2f} %" in text
    assert "wardrobe train baseline --data fashion-mnist --seed 0 --epochs 2 --limit 2000" in text
    assert "225,034" in text
    assert re.search(r"Recipe +baseline \(changed: epochs\) +on ", text)
    assert re.search(r"conv2 +11×11×64 +18,496 +3×3×32×64 \+ 64 +Convolution 2: 64 filters", text)
    assert "wardrobe train baseline --set conv_filters=16,32" in text
    assert "not Fashion-MNIST" not in text


def test_scores_on_photos_are_said_to_be_of_the_validation_photos(
    real_run: tuple[Run, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(shutil.copytree(real_run[0].path, tmp_path / "run"))
    photos = {"split": "validation", "n": 290, "balanced_accuracy": 0.8312}
    few = {"fitted_on": 36, "fitted_on_few": True, "majority_accuracy": 0.1234}
    run.write_metrics({**run.metrics(), "photos": photos, **few})
    text = re.sub(r"<[^>]+>", " ", report.write_report(run, CHAPTERS).read_text())
    assert re.search(r"83\.12 % +balanced accuracy on 290 validation photos +choices were", text)
    majority = run.metrics()["majority_class"]
    assert re.search(rf"12\.34 % if every answer was +{majority}", text)
    assert "fitted on 36 validation images, too few" in text
    print_scores(api.summarize(run), as_json=False)
    printed = capsys.readouterr().out
    assert "83.12 % balanced accuracy on 290 validation photos" in printed
    assert f"12.34 % would be correct if every answer was '{majority}'" in printed
    assert "fitted on 36 validation images, too few" in printed


def test_the_texts_follow_the_recipe(tmp_path: Path) -> None:
    def read(recipe: Recipe) -> dict[str, str]:
        """Returns the text of each figure of a run without scores."""
        run = runs.create_run(recipe, tmp_path / recipe.name)
        run.update(dataset={"class_names": list("abc")})
        run.keras_path.touch()
        texts = {name: text for each in CHAPTERS for name, (_, text) in each.figures.items()}
        return {name: text if isinstance(text, str) else text(run) for name, text in texts.items()}

    baseline, sprint, champion, photo = (
        read(recipes.get(name)) for name in ("baseline", "sprint", "champion", "photo")
    )
    dropout = read(replace(recipes.BASELINE, name="dropout", dropout=0.5))
    own = read(
        replace(
            recipes.with_network(recipes.BASELINE, str(ROOT / "examples/network.py")), name="own"
        )
    )
    for name, word, has, lacks in (
        ("filters", "not learnt", sprint, baseline),
        ("feature_maps", "coarser", baseline, own),
        ("feature_maps", "its first member", champion, baseline),
        ("probes", "random dense layer", baseline, champion),
        ("probes", "is fixed", sprint, baseline),
        ("curves", "hard-example mining", champion, baseline),
        ("curves", "Random changes", champion, sprint),
        ("curves", "Dropout", dropout, champion),
        ("heat_maps", "HiResCAM", baseline, own),
        ("out_of_distribution", "images of no class", photo, baseline),
        ("corruptions", "was not trained on", baseline, photo),
    ):
        assert word in has[name], name
        assert word not in lacks[name], name


def test_the_report_command_writes_the_same_page_again(
    real_run: tuple[Run, dict[str, Any]],
) -> None:
    run = real_run[0]
    before = run.report_path.read_text()
    run.report_path.unlink()
    result = wardrobe("report", "latest", cwd=run.path.parents[1])
    assert Path(result.stdout.strip()).name == "report.html"
    assert run.report_path.read_text() == before


def test_class_names_are_escaped(tmp_path: Path, real_run: tuple[Run, dict[str, Any]]) -> None:
    run = Run(tmp_path)
    for name in ("run.json", "history.csv"):
        (tmp_path / name).write_bytes((real_run[0].path / name).read_bytes())
    metrics = real_run[0].metrics()
    metrics["per_class"] = {"<script>alert(1)</script>": metrics["per_class"]["Bag"]}
    run.write_metrics(metrics)
    assert "<script>alert" not in report.write_report(run, CHAPTERS).read_text()
