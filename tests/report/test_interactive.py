"""The report in a real browser: the matrix, the map, the keyboard; the page loads nothing."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from chromium import CHROMIUM, NO_LIMIT, launched
from conftest import Result
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from wardrobe.labels import CLASS_NAMES
from wardrobe.runs import Run

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed; with Debian: apt install chromium"
)

READ = "canvas => [...canvas.getContext('2d').getImageData(0, 0, 28, 28).data]"
SHIRT = CLASS_NAMES.index("Shirt")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page. Afterwards, it has loaded nothing but the report, and no error occurred."""
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.set_default_timeout(NO_LIMIT)
    requested: list[str] = []
    messages: list[str] = []
    opened.on("request", lambda request: requested.append(request.url))
    opened.on("console", lambda message: messages.append(message.text))
    opened.on("pageerror", lambda error: messages.append(str(error)))
    yield opened
    opened.close()
    assert messages == []
    assert [url.partition(":")[0] for url in requested if not url.startswith("data:")] == ["file"]


def read_pixels(canvas: Locator) -> np.ndarray:
    """Returns the grey pixels of a tile: (28, 28)."""
    return np.array(canvas.evaluate(READ)).reshape(28, 28, 4)[..., 0]


def read_tile(images: dict[str, Any], tile: int) -> np.ndarray:
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(images["png"]))))
    row, column = divmod(tile, images["columns"])
    return sheet[28 * row : 28 * row + 28, 28 * column : 28 * column + 28]


def test_a_cell_shows_its_images_and_a_mistake_its_sheet(
    page: Page, drawn_training: tuple[Run, Result]
) -> None:
    run = drawn_training[0]
    mistakes = np.array(run.metrics()["confusion"])[SHIRT]
    predicted = int(np.where(np.arange(10) == SHIRT, 0, mistakes).argmax())
    page.goto(run.report_path.as_uri())
    page.locator(f'[data-cell="{SHIRT},{predicted}"]').click()
    title = f"Shirt, predicted as {CLASS_NAMES[predicted]}"
    expect(page.get_by_role("status")).to_have_text(f"{mistakes[predicted]} test images: {title}")
    shown = page.locator(".images button")
    assert shown.count() == mistakes[predicted]

    images = json.loads((run.plots_folder / "confusion.json").read_text())
    tile = int(str(shown.first.locator("canvas").get_attribute("data-tile")))
    np.testing.assert_array_equal(
        read_pixels(shown.first.locator("canvas")), read_tile(images, tile)
    )
    with np.load(run.predictions_path) as stored:  # the image is one of that cell
        index = images["index"][tile]
        assert stored["labels"][index] == SHIRT
        assert stored["logits"][index].argmax() == predicted

    shown.first.click()
    sheet = page.get_by_role("dialog", name=title)
    assert sheet.locator(".bars li").count() == 10
    assert sheet.locator(".bars .actual").inner_text().startswith("Shirt (actual)")
    nearest = sheet.locator(".nearest figure")
    assert nearest.locator("figcaption").all_inner_texts() == [
        f"{CLASS_NAMES[predicted]}, the predicted class", "Shirt, the actual class"
    ]  # fmt: skip
    assert nearest.locator("canvas").count() == 8
    with page.expect_download() as saved:
        sheet.get_by_role("link", name="save the image").click()
    assert saved.value.suggested_filename == f"test-{index}.png"
    np.testing.assert_array_equal(
        np.asarray(Image.open(saved.value.path()).convert("L")), read_tile(images, tile)
    )
    assert sheet.locator("code").inner_text() == f"wardrobe explain run test-{index}.png"


def test_the_matrix_works_with_the_keyboard_alone(
    page: Page, drawn_training: tuple[Run, Result]
) -> None:
    run = drawn_training[0]
    count = run.metrics()["confusion"][0][0]
    page.goto(run.report_path.as_uri())
    first = page.locator('[data-cell="0,0"]')
    first.wait_for()
    page.locator("nav a").last.focus()
    for _ in range(100):  # links of other chapters are on the way
        page.keyboard.press("Tab")
        if first.evaluate("(cell) => cell === document.activeElement"):
            break
    expect(first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(first).not_to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text(f"{count} test images: T-shirt/top, predict")
    expect(page.locator(".answer .soft")).to_have_text("40 of them, the most confident first.")
    page.keyboard.press("Tab")  # the cells are one stop
    expect(page.locator(".images button").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator(".images button").first).to_be_focused()


def test_the_map_shows_the_image_under_the_pointer(page: Page, own_run: Run) -> None:
    images = json.loads((own_run.plots_folder / "embedding.json").read_text())
    page.goto(own_run.report_path.as_uri())
    layer, tip = page.get_by_role("application"), page.locator(".tip")
    layer.wait_for()
    layer.scroll_into_view_if_needed()
    box = layer.bounding_box()
    assert box
    x, y = images["points"][1][7]
    layer.hover(position={"x": x * box["width"], "y": y * box["height"]})
    expect(tip).to_contain_text(images["classes"][images["actual"][7]])
    np.testing.assert_array_equal(read_pixels(tip.locator("canvas")), read_tile(images, 7))
    layer.focus()
    for key in ("ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_without_javascript_the_report_has_every_figure(browser: Browser, own_run: Run) -> None:
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(own_run.report_path.as_uri())
    figures = plain.locator(".figure img")
    assert figures.count() == len(list(own_run.plots_folder.glob("*.png")))
    assert figures.last.is_visible()
    assert '"png"' not in plain.locator("body").inner_text()
    assert plain.locator(".layer, .hint, dialog").count() == 0
    context.close()
