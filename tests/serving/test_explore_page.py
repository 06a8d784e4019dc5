"""The views of a run's epochs in a real browser, and the arithmetic of a unit."""

import json
import operator
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import numpy.typing as npt
import pytest
from chromium import CHROMIUM, launched, watched
from conftest import Result, Server, serving, wait_until
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from wardrobe.runs import Run

RUN, OTHER = "drawn", "other"
READ_CANVAS = "(canvas) => canvas.toDataURL()"
READ_TILE = """(canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, 28, 28);
    return Array.from({ length: 784 }, (_, i) => data[4 * i]);
}"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed; with Debian: apt install chromium"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, drawn_training: tuple[Run, Result]) -> Path:
    """A folder with the finished run under two names."""
    cwd = tmp_path_factory.mktemp("explore")
    for name in (RUN, OTHER):
        shutil.copytree(drawn_training[0].path, cwd / "runs" / name)
    return cwd


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder, "--model", f"runs/{RUN}") as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page of the run at its last epoch, with image 3."""
    with watched(browser, f"{server.url}/learn#run={RUN}&image=3") as opened:
        expect(opened.locator(".explore-image .verdict")).not_to_have_text("…")
        yield opened


def get_predictions(server: Server, epoch: int) -> dict[str, Any]:
    with urlopen(f"{server.url}/api/runs/{RUN}/epochs/{epoch}/predictions") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def read_numbers(cells: Locator) -> npt.NDArray[np.float64]:
    """Returns the exact numbers of which the cells show three decimals."""
    return np.array(cells.evaluate_all("(cells) => cells.map((each) => +each.dataset.value)"))


def test_the_slider_and_the_film_change_everything(page: Page) -> None:
    def read_views() -> tuple[str, str, str]:
        filters, maps = (
            page.locator(each).first for each in (".explore-filters canvas", ".layers canvas")
        )
        return (
            filters.evaluate(READ_CANVAS),
            maps.evaluate(READ_CANVAS),
            page.locator(".matrix").inner_text(),
        )

    last = read_views()
    page.locator(".film input").focus()
    page.keyboard.press("Home")
    expect(page.locator(".scores")).to_have_text("Before training.")
    assert "epoch=0" in page.url
    wait_until(lambda: all(map(operator.ne, read_views(), last)))
    page.get_by_role("button", name="Play the film").click()
    expect(page.locator(".scores")).to_contain_text("After epoch 2: ")
    wait_until(lambda: read_views() == last)
    expect(page.get_by_role("button", name="Play the film")).to_be_visible()


def test_a_cell_of_the_confusion_matrix_shows_its_images(page: Page, server: Server) -> None:
    found = get_predictions(server, 2)
    pairs = list(zip(found["labels"], found["predictions"], strict=True))
    wrong = next(pair for pair in pairs if pair[0] != pair[1])
    names, cells = found["class_names"], page.locator(".matrix [role=gridcell]")
    cells.first.focus()
    for key, steps in (("ArrowDown", wrong[0]), ("ArrowRight", wrong[1])):
        for _ in range(steps):
            page.keyboard.press(key)
    page.keyboard.press("Enter")
    count = pairs.count(wrong)
    title = f"{names[wrong[0]]} taken for {names[wrong[1]]}: {count} image"
    expect(page.locator(".cell-title")).to_contain_text(title)
    assert cells.nth(len(names) * wrong[0] + wrong[1]).inner_text() == str(count)
    assert page.locator(".tiles button").count() == min(60, count)
    page.set_viewport_size({"width": 360, "height": 800})
    assert cells.first.evaluate("(cell) => cell.clientWidth") >= 24  # pixels, for a finger
    page.reload()  # the address has the cell
    expect(page.locator(".cell-title")).to_contain_text(title)
    page.locator(".tiles button").first.click()
    expect(page.locator(".explore-image h2")).to_be_in_viewport()
    expect(page.locator(".one-image figcaption")).to_contain_text(f"really: {names[wrong[0]]}")
    expect(page.locator(".one-image .verdict")).to_have_text(names[wrong[1]])
    expect(page.locator(".tiles button").first).to_be_focused()
    with page.expect_download() as saved:  # for the sheet that explains the mistake step by step
        page.get_by_role("link", name="save the image").click()
    command = f"wardrobe explain runs/{RUN} {saved.value.suggested_filename}"
    expect(page.locator(".sheet code")).to_have_text(command)
    shown = np.reshape(page.locator(".one-image canvas").evaluate(READ_TILE), (28, 28))
    with Image.open(saved.value.path()) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("L")), shown)


def test_the_map_shows_the_image_under_the_pointer(page: Page, server: Server) -> None:
    found = get_predictions(server, 2)
    points = np.array(found["points"])  # (n, 2), -1..1
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    image = int((distances + 9 * np.eye(len(points))).min(axis=1).argmax())  # the most alone
    canvas = page.locator(".map > canvas")
    side = canvas.evaluate("(canvas) => canvas.clientWidth")
    x, y = points[image] * (0.46, -0.46) + 0.5
    canvas.hover(position={"x": float(x) * side, "y": float(y) * side})
    text = page.locator(".pointed p")
    expect(text).to_contain_text(f"Image {image}: {found['class_names'][found['labels'][image]]}.")
    shown = page.locator(".pointed canvas").evaluate(READ_TILE)
    canvas.focus()
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    expect(text).not_to_contain_text(f"Image {image}: ")
    canvas.click(position={"x": float(x) * side, "y": float(y) * side})
    expect(page.locator(".one-image figcaption")).to_contain_text(f"Image {image}, ")
    assert page.locator(".one-image canvas").evaluate(READ_TILE) == shown


def test_the_arithmetic_of_a_unit_is_that_of_numpy(page: Page, folder: Path) -> None:
    with np.load(folder / "runs" / RUN / "snapshots" / "epoch-0002.npz") as snapshot:
        kernel, bias = (snapshot[f"arr_{i}"].astype(np.float32) for i in range(2))
    image = np.reshape(page.locator(".one-image canvas").evaluate(READ_TILE), (28, 28)) / 255
    page.locator(".explore-maps .layers canvas").first.focus()
    page.keyboard.press("ArrowRight")  # to filter 1
    page.keyboard.press("Enter")
    walk, values = page.locator(".walk [role=application]"), page.locator(".unit .ledger td")
    expect(walk).to_be_focused()
    box = walk.bounding_box()
    assert box
    unit = box["width"] / 26  # its side; the map has 26x26
    walk.hover(position={"x": 12.5 * unit, "y": 14.5 * unit})
    for key, row, column in ((None, 14, 12), ("ArrowDown", 15, 12), ("ArrowRight", 15, 13)):
        if key:
            page.keyboard.press(key)
        expect(page.locator(".walk figcaption").last).to_contain_text(
            f"conv1, filter 1, row {row}, column {column}"
        )
        patch = image[row : row + 3, column : column + 3]
        total = (patch * kernel[:, :, 0, 1]).sum() + bias[1]
        grids = [read_numbers(page.locator(".unit .grid").nth(i).locator("span")) for i in range(3)]
        expected = [patch, kernel[:, :, 0, 1], patch * kernel[:, :, 0, 1]]
        np.testing.assert_allclose(grids, np.reshape(expected, (3, 9)), atol=1e-5)
        products, *_ = shown = read_numbers(values)
        assert products == pytest.approx(total - bias[1], abs=1e-5)
        np.testing.assert_allclose(shown[1:], [bias[1], total, max(0, total)], atol=1e-5)
    page.locator(".unit select").select_option("pool1")
    expect(page.locator(".grid .chosen")).to_be_visible()
    largest = read_numbers(page.locator(".grid .chosen"))
    assert largest == read_numbers(page.locator(".grid span")).max() == read_numbers(values)
    page.locator(".unit select").select_option("logits")
    page.locator(".sum input").focus()
    page.keyboard.press("Home")  # a low temperature: the network is surer
    expect(page.locator(".sum label")).to_contain_text("T = 0.20")
    assert read_numbers(page.locator(".unit .ledger td:last-child")).sum() == pytest.approx(1)


def test_the_newest_epoch_of_a_training_is_followed(page: Page) -> None:
    follow = """async (run) => {
        const { createExplorer } = await import("/explore/epochs.js");
        const details = await (await fetch(`api/runs/${run}`)).json();
        const address = { epoch: null, image: null, compare: null };
        const state = { read: () => address, write() {}, subscribe() {} };
        const parent = document.createElement("div"), first = { ...details, epochs: [0, 1] };
        parent.id = "place"; // beside the page, which may still be loading
        document.body.append(parent);
        const explorer = createExplorer(parent, { details: first, runs: [], state });
        window.grow = () => explorer.update(details);
    }"""
    page.evaluate(follow, RUN)
    expect(page.locator("#place .scores")).to_contain_text("After epoch 1: ")
    page.evaluate("grow()")
    expect(page.locator("#place .scores")).to_contain_text("After epoch 2: ")


def test_two_runs_are_shown_side_by_side(page: Page) -> None:
    page.get_by_label("Compare with").select_option(OTHER)
    expect(page.locator(".explore-confusion .run-name")).to_have_text([RUN, OTHER])
    page.locator(".matrix [role=gridcell]").first.click()
    expect(page.locator(".cell-title")).to_have_count(2)
    assert f"compare={OTHER}" in page.url
    page.get_by_role("button", name="Next image").click()
    expect(page.locator(".one-image figcaption").last).to_contain_text("Image 4, ")
    for width in (1440, 768, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("() => document.documentElement.scrollWidth") == width
    page.get_by_label("Compare with").select_option("no other run")
    expect(page.locator(".explore-confusion .run-name")).to_be_hidden()


def test_the_studio_opens_a_unit_of_an_enlarged_map(browser: Browser, server: Server) -> None:
    with watched(browser, server.url) as studio:
        expect(studio.locator(".verdict")).not_to_have_text("…")  # an example is shown at once
        studio.get_by_role("tab", name="Examples").click()
        expect(studio.locator("#validation-text")).to_contain_text(f"images of {RUN}.")
        assert studio.locator("#validation button").count() == 10
        studio.get_by_role("button", name="Trouser").first.click()
        shares = studio.locator("#layers .ledger td:last-child")
        assert read_numbers(shares).sum() == pytest.approx(
            1
        )  # logits and softmax, after the layers
        last = studio.locator("#layers canvas").last
        last.focus()
        expect(last).to_have_attribute("aria-label", "dense: 128 units, unit 0 selected")
        assert studio.locator("#detail .weights canvas").count() == 8, "four maps, their weights"
        last.press("Enter")
        expect(studio.locator("#unit .soft").first).to_contain_text("A dense unit")
        studio.locator("#layers canvas").nth(2).hover(position={"x": 40, "y": 10})
        enlarged = studio.locator("#detail canvas").first
        enlarged.click(position={"x": 100, "y": 100})
        expect(studio.locator("#unit .ledger .result")).to_be_visible()
        *terms, total, output = read_numbers(studio.locator("#unit .ledger td"))
        assert sum(terms) == pytest.approx(total, abs=1e-4)
        assert output == max(0, total)
