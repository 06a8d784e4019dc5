"""Learn in a real browser: a training is followed, steered and found again; own classes; a run."""

import json
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.request import urlopen

import axe_playwright_python
import pytest
from chromium import CHROMIUM, launched, watched
from conftest import Result, Server, serving
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Locator, Page, expect

from wardrobe.runs import Run

# axe-core, which checks a page's accessibility.
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed; with Debian: apt install chromium"
)

CREATE_DROP = """(bytes) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(bytes)], "photo.png", { type: "image/png" }));
    return data;
}"""
ADVISE = """async (row) => {
    const { advise } = await import("/learn/live.js");
    const details = { summary: { class_names: Array(10).fill("name") } };
    return advise({ history: [{ epoch: 1, learning_rate: 5, ...row }], details });
}"""

Points = Sequence[tuple[float, float]]  # of a stroke, as fractions of the drawing board


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, drawn_training: tuple[Run, Result]
) -> Iterator[Server]:
    """A server in whose folder one finished run is."""
    cwd = tmp_path_factory.mktemp("learn")
    shutil.copytree(drawn_training[0].path, cwd / "runs" / "finished")
    with serving(cwd, "--compare-with", "none") as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with launched(*camera) as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with watched(browser, server.url + "/learn") as opened:
        yield opened


def expect_status(page: Page, status: str) -> None:
    """Waits for a status, and fails at once if the training fails."""
    badge, awaited = page.locator("#badge"), re.compile(f"^({status}|failed)$")
    expect(badge).to_have_attribute("data-status", awaited)
    shown = badge.get_attribute("data-status")
    assert shown == status, page.locator("#run-message").inner_text()


def open_finished(page: Page) -> None:
    page.locator("#run-list a[title=finished]").click()
    expect(page.locator("#images li")).to_have_count(12)
    expect(page.locator("#explorer .layers canvas").first).to_be_visible()


def show_views(page: Page) -> Iterator[None]:
    """Shows the form and a run, one after the other."""
    page.get_by_label("My own classes").check()
    yield
    open_finished(page)
    yield


def stroke(page: Page, board: str, points: Points) -> None:
    """Draws a line with the mouse."""
    page.locator(board).scroll_into_view_if_needed()
    box = page.locator(board).bounding_box()
    assert box
    for number, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def make_ring(height: float) -> Points:
    """Returns an ellipse, which the board fills."""
    angles = [each * math.tau / 12 for each in range(13)]
    return [(0.5 + 0.4 * math.cos(each), 0.5 + height * math.sin(each)) for each in angles]


def make_stick(width: float) -> Points:
    return [(0.5 - width, 0.1), (0.5 + width, 0.9)]


def test_a_training_is_started_steered_and_found_again(page: Page, server: Server) -> None:
    page.get_by_label("Training images").fill("1000")
    page.get_by_label("Epochs").fill("200")
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("#run-title")).to_be_in_viewport()
    expect_status(page, "running")
    name = page.evaluate("() => new URLSearchParams(location.hash.slice(1)).get('run')")
    # Curves grow, and the network is watched.
    expect(page.locator("#history tr").nth(1)).to_be_attached()
    expect(page.locator("path.training").first).to_have_attribute("d", re.compile("(L.*){3}"))
    expect(page.locator("#images li")).to_have_count(12)
    expect(page.locator("#images .columns > .right")).to_have_count(12)
    expect(page.locator("#progress-text")).to_contain_text(" left")
    page.get_by_role("spinbutton", name="Learning rate").fill("0.0005")
    page.get_by_role("button", name="Change").click()
    expect(page.locator("#run-message")).to_contain_text("0.0005")
    page.get_by_role("button", name="Pause").click()
    expect_status(page, "paused")
    expect(page.get_by_role("button", name="Continue")).to_be_focused()
    page.get_by_role("button", name="Continue").click()
    expect_status(page, "running")
    # The page is closed; another one finds the training.
    page.goto("about:blank")
    page.goto(server.url + "/learn")
    expect_status(page, "running")
    page.get_by_role("button", name="Stop").click()
    expect_status(page, "interrupted")
    with urlopen(f"{server.url}/api/runs/{name}") as answer:
        info = json.load(answer)["info"]
    assert [each["learning_rate"] for each in info["learning_rate_changes"]] == [0.0005]
    expect(page.get_by_role("button", name="Resume")).to_be_focused()


def test_own_classes_are_drawn_trained_and_used(page: Page, tmp_path: Path) -> None:
    page.get_by_label("My own classes").check()
    expect(page.locator("#own-classes")).to_contain_text("and nowhere else")
    start, note = page.get_by_role("button", name="Start training"), page.locator("#start-note")
    expect(note).to_have_text("Give each class a name.")
    page.get_by_label("Name of class 1").fill("ball")
    page.get_by_label("Name of class 2").fill("stick")
    for number in range(6):
        stroke(page, "#own-source canvas", make_ring(0.15 + 0.05 * number))
        page.get_by_role("button", name="Add the drawing: ball").click()
        stroke(page, "#own-source canvas", make_stick(0.04 + 0.06 * number))
        page.get_by_role("button", name="Add the drawing: stick").click()
    # A file and the camera: each photo becomes the tile that the network sees.
    image = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(image).ellipse((20, 40, 180, 160), "black")
    image.save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("no picture")
    page.get_by_role("tab", name="Photos").first.click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add photos: ball").click()
    chooser.value.set_files([tmp_path / "photo.png", tmp_path / "text.png"])
    expect(page.locator("#own-source .status")).to_contain_text("text.png: ")
    page.get_by_role("tab", name="Camera").first.click()
    expect(page.locator("#own-source video")).to_be_visible()
    page.get_by_role("button", name="Take a picture: stick").click()
    page.get_by_role("button", name="Remove picture 7 of stick").click()
    dropped = page.evaluate_handle(CREATE_DROP, list((tmp_path / "photo.png").read_bytes()))
    page.locator(".class").nth(1).dispatch_event("drop", {"dataTransfer": dropped})
    expect(page.locator(".class .tile")).to_have_count(14)
    expect(page.locator(".class").nth(1).locator(".tile")).to_have_count(7)
    page.get_by_role("tab", name="Draw").first.click()

    start.click()
    expect_status(page, "done")
    expect(page.locator("#run-title")).to_have_text("photo on ball, stick")
    page.get_by_role("button", name="Try it").click()
    for points, name in ((make_ring(0.32), "ball"), (make_stick(0.1), "stick")):
        page.locator("#try-source").get_by_role("button", name="Clear").click()
        stroke(page, "#try-source canvas", points)
        expect(page.locator("#try .bars .first span").first).to_have_text(name)


def test_a_finished_run_is_shown_and_taken_along(page: Page, server: Server) -> None:
    open_finished(page)
    expect(page.locator("#badge")).to_have_text("done")
    expect(page.locator("#history tr")).to_have_count(2)
    expect(page.locator("svg").first).to_have_attribute(
        "aria-label", re.compile("Loss.*Validation.*after epoch 2")
    )
    with urlopen(server.url + "/api/runs/finished") as answer:
        details = json.load(answer)
    page.evaluate("() => { navigator.clipboard.writeText = async (text) => { copied = text; }; }")
    for kind, title in (("command", "command"), ("python", "Python")):
        page.get_by_role("button", name=f"Copy the {title}").click()
        expect(page.locator("#take-status")).to_have_text("Copied.")
        assert page.evaluate("() => copied") == details[kind]
    for title, file in (("the run", "finished.zip"), ("the filters", "finished-filters.webp")):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {title}").click()
        assert download.value.suggested_filename == file
    page.go_back()
    expect(page.get_by_role("heading", name="Train a network")).to_be_visible()


def test_the_page_works_with_the_keyboard_alone(page: Page) -> None:
    def tab_to(locator: Locator) -> None:
        for _ in range(60):
            if locator.evaluate("(element) => element === document.activeElement"):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {locator}")

    tab_to(page.get_by_label("Drawn garments"))
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Name of class 1")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    tab_to(page.locator("#new-link"))
    tab_to(page.locator("#run-list a[title=finished]"))
    page.keyboard.press("Enter")
    expect(
        page.get_by_role("region", name="baseline (changed: epochs) on drawn garments")
    ).to_be_focused()
    expect(page.locator("#go-try")).to_be_visible()
    tab_to(page.get_by_role("button", name="Try it"))
    page.keyboard.press("Enter")
    tab_to(page.locator("#try-source canvas"))
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#try .bars .first")).to_be_visible()


def test_the_page_fits(page: Page) -> None:
    for _ in show_views(page):
        for width in (360, 768, 1440):
            page.set_viewport_size({"width": width, "height": 800})
            shown = page.evaluate("() => document.documentElement.scrollWidth")
            assert shown == width, page.url


def test_a_wrong_value_and_a_missing_run_are_explained(page: Page, server: Server) -> None:
    page.get_by_label("Filters").fill("many")
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("#start-note")).to_contain_text("conv_filters")
    page.goto(server.url + "/learn#run=missing")
    expect(page.locator("#run-message")).to_contain_text("missing")


def test_a_network_no_better_than_chance_gets_advice(page: Page) -> None:
    for loss in (None, 2.31):  # a loss that is not a number is null
        advice = page.evaluate(ADVISE, {"val_loss": loss, "val_accuracy": 0.1})
        assert "The learning rate is probably too high: it is 5." in advice
    for row in ({"val_loss": 2.2, "val_accuracy": 0.1}, {"val_loss": 3.0, "val_accuracy": 0.6}):
        assert page.evaluate(ADVISE, row) == ""


def test_without_permission_the_page_says_how_and_shows_runs(
    browser: Browser, drawn_training: tuple[Run, Result], tmp_path: Path
) -> None:
    shutil.copytree(drawn_training[0].path, tmp_path / "runs" / "finished")
    options = ("--compare-with", "none", "--no-allow-training", "--token", "geheim & mehr")
    with (
        serving(tmp_path, *options) as server,
        watched(browser, server.url + "/#token=geheim%20%26%20mehr") as page,
    ):
        page.get_by_role("link", name="Learn").click()  # the token comes along
        expect(page.locator("#not-allowed")).to_contain_text("allow-training")
        expect(page.locator("#form")).to_be_hidden()
        open_finished(page)
        page.get_by_role("link", name="Studio").click()
        expect(page.locator("body[data-ready]")).to_be_attached()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, server: Server, scheme: str) -> None:
    with watched(browser, server.url + "/learn", color_scheme=scheme) as page:
        for _ in show_views(page):
            page.evaluate(AXE)
            found = page.evaluate("async () => (await axe.run()).violations")
            assert [
                (each["id"], [node["html"] for node in each["nodes"]])
                for each in found
                if each["impact"] in ("serious", "critical")
            ] == []
