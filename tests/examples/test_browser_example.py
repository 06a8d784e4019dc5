"""The browser example in a real browser, and the board example with LiteRT alone."""

import functools
import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import CHROMIUM, NO_LIMIT, launched
from conftest import ROOT, wardrobe_here
from PIL import Image
from playwright.sync_api import Page, expect

from wardrobe.data import synthetic
from wardrobe.inference.classifier import Classifier
from wardrobe.onnx_runtime import PRETRAINED
from wardrobe.runs import Run

NPM = shutil.which("npm")
in_a_browser = pytest.mark.skipif(
    CHROMIUM is None or NPM is None,
    reason="Chromium or npm is not installed; with Debian: apt install chromium npm",
)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of Python's file server with the files of the page."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        ["make", "browser", f"BROWSER={folder}"], cwd=ROOT, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def page(site: str) -> Iterator[Page]:
    """The open page; afterwards, checks that it had no error and called no other host."""
    requested: list[str] = []
    errors: list[str] = []
    with launched() as browser:
        tab = browser.new_page(viewport={"width": 1000, "height": 900})
        tab.set_default_timeout(NO_LIMIT)
        tab.on("request", lambda request: requested.append(request.url))
        tab.on(
            "console",
            lambda message: errors.append(message.text) if message.type == "error" else None,
        )
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(site)
        tab.locator("body[data-ready]").wait_for()
        yield tab
    assert errors == []
    assert all(url.startswith((site, "data:", "blob:")) for url in requested)


@in_a_browser
def test_a_drawing_is_classified_in_the_page(page: Page) -> None:
    expect(page.locator(".verdict")).to_have_text("The image is blank")
    board = page.locator("#drawing").bounding_box()
    assert board

    def draw_line(*points: tuple[float, float]) -> None:
        for i, (x, y) in enumerate(points):
            page.mouse.move(
                board["x"] + x * board["width"], board["y"] + y * board["height"], steps=6
            )
            if i == 0:
                page.mouse.down()
        page.mouse.up()

    draw_line((0.34, 0.08), (0.66, 0.08), (0.67, 0.3), (0.33, 0.3), (0.34, 0.08))
    for leg in (0.33, 0.57):
        draw_line((leg, 0.3), (leg + 0.1, 0.3), (leg + 0.1, 0.92), (leg, 0.92), (leg, 0.3))
    expect(page.locator(".verdict")).to_have_text("Trouser")
    expect(page.locator("#status")).to_contain_text("on this machine")
    for width in (1440, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("() => document.documentElement.scrollWidth") == width


@in_a_browser
def test_the_page_gives_the_same_answers_as_the_package(page: Page) -> None:
    images = synthetic.draw(10, 3)[0]
    classify = """async (images) => {
        const model = await import('./model.js');
        return Promise.all(images.map(model.classify));
    }"""
    answers = page.evaluate(classify, images.reshape(10, -1).tolist())
    expected = Classifier.load(PRETRAINED / "photo-int8.onnx").classify(images)
    for i, answer in enumerate(answers):
        assert answer["label"] == expected.labels[i]
        assert answer["not_sure"] == expected.not_sure[i]
        assert (answer["reason"] or "") == (expected.reason(i) or "").partition(" (")[0]
        assert answer["familiarity"] == pytest.approx(expected.familiarity[i], abs=1e-2)
        probabilities = [answer["probabilities"][name] for name in expected.class_names]
        np.testing.assert_allclose(probabilities, expected.probabilities[i], atol=1e-2)


def test_the_board_example_needs_only_litert(own_run: Run, tmp_path: Path) -> None:
    shutil.copytree(own_run.path.parent, tmp_path / "home")
    exported = wardrobe_here("export", "run", "--format", "litert", cwd=tmp_path / "home")
    assert exported.returncode == 0, exported.stderr
    image = next((tmp_path / "home/own").rglob("*.png"))
    Image.open(image).save(tmp_path / "garment.png")
    code = f"""if True:
        import runpy, sys
        sys.modules["wardrobe"] = None
        sys.argv[1:] = ["home/run/model.tflite", "garment.png"]
        runpy.run_path({str(ROOT / "examples/board/classify.py")!r}, run_name="__main__")
    """
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(image.parent.name)
    assert len(result.stdout.splitlines()) == 3
