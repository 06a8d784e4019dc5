"""The studio in a real browser: photos, drawings, the keyboard; no other host is contacted."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import CHROMIUM, launched, watched
from conftest import Server, serving
from PIL import Image, ImageOps
from playwright.sync_api import Browser, Error, Page, expect

from wardrobe.data import synthetic
from wardrobe.percent import format_percent

DROP = """(stage, content) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
    for (const name of ["dragenter", "dragover", "drop"])
        stage.dispatchEvent(
            new DragEvent(name, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed; with Debian: apt install chromium"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("studio")) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with watched(browser, server.url) as opened:
        yield opened


def make_photo(label: int) -> Image.Image:
    """Returns a photo of a dark garment on white: 480x480."""
    tile = synthetic.draw(10, seed=110)[0][label]
    garment = Image.fromarray(255 - tile).resize((400, 400), Image.Resampling.BICUBIC)
    return ImageOps.expand(garment, 40, 255).convert("RGB")


def encode_jpeg(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=95)
    return base64.b64encode(content.getvalue()).decode()


def read_label(page: Page) -> str:
    """Returns the highlighted class of the first model."""
    return page.locator(".bars >> nth=0").locator(".first span >> nth=0").inner_text()


def read_percent(page: Page, name: str) -> str:
    row = page.locator(".bars >> nth=0").locator("li", has=page.get_by_text(name, exact=True))
    return row.locator(".probability").inner_text()


def test_a_dropped_photo_is_classified_and_explained(page: Page) -> None:
    for label, name in ((1, "Trouser"), (3, "Dress")):
        page.locator("#stage").evaluate(DROP, encode_jpeg(make_photo(label)))
        expect(page.locator(".verdict").first).to_have_text(name)
        assert read_label(page) == name
    assert page.locator(".model").all_inner_texts() == ["Trained for photos", "Tutorial network"]
    captions = page.locator("#steps figcaption").all_inner_texts()
    assert captions[0] == "The photo"
    assert captions[1].startswith("The garment")
    assert page.locator("#photo").is_visible()
    assert name in page.locator("#announcement").inner_text()


def test_the_page_writes_per_cent_as_python_does(page: Page) -> None:
    write = """async (values) => {
        const { formatPercent } = await import('/answer.js');
        return values.map((value) => [formatPercent(value), formatPercent(value, 0)]);
    }"""
    values = [1.0, 0.9996, 0.99949, 0.9171, 0.0006, 0.0004, 0.0]
    assert page.evaluate(write, values) == [
        [format_percent(each, digits) for digits in (1, 0)] for each in values
    ]


@pytest.mark.parametrize(
    ("changes", "verdict", "reason", "percentages"),
    [
        ({}, "Coat", "", 3),
        ({"confidence": 0.38}, "Uncertain between Coat and 7", "", 3),
        ({"reason": "unlike the 3 classes (score)"}, "Unlike the 3 classes", "score. ", 0),
        ({"reason": "the image is blank"}, "The image is blank", "", 0),
    ],
)
def test_the_verdict_and_the_numbers_do_not_contradict(
    page: Page, changes: dict[str, Any], verdict: str, reason: str, percentages: int
) -> None:
    show = """async (answer) => {
        const { createBlock } = await import('/answer.js');
        const place = document.createElement("div"); // beside the page, which may still be loading
        place.id = "place";
        document.body.append(place);
        const model = { name: "m", class_names: Object.keys(answer.probabilities) };
        createBlock(place, model, true)(answer);
    }"""
    values = {"Coat": 0.38, "7": 0.35, "Bag": 0.27}  # in JavaScript, the key 7 comes first
    answer = {"label": "Coat", "confidence": 0.94, "probabilities": values, "reason": None}
    answer |= changes
    page.evaluate(show, {**answer, "not_sure": answer["reason"] is not None})
    expect(page.locator("#place .verdict")).to_have_text(verdict)
    assert page.locator("#place .reason").inner_text().lower().startswith(reason)
    assert page.locator("#place .bars").inner_text().count("%") == percentages


def test_a_selected_filter_is_enlarged(page: Page) -> None:
    page.locator("#stage").evaluate(DROP, encode_jpeg(make_photo(1)))
    page.locator("#steps figure").nth(2).wait_for()
    canvas = page.locator("#layers canvas").nth(0)
    canvas.hover(position={"x": 90, "y": 10})
    expect(page.locator("#detail h3")).to_have_text("conv1, filter 1")
    assert page.locator("#detail .weights canvas").count() == 1, (
        "the first layer has one input channel, the pixels"
    )
    canvas.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#detail h3")).to_have_text("conv1, filter 2")
    page.get_by_role("button", name="Tutorial network").click()
    expect(page.locator("#layers h3").first).to_have_text("conv1 32 filters, each sees 3×3 pixels")


def test_a_drawing_is_classified_while_it_changes(page: Page) -> None:
    expect(page.locator(".verdict").first).to_have_text("T-shirt/top")  # the first example
    announced = page.locator("#announcement").inner_text()
    page.get_by_role("tab", name="Draw").click()
    board = page.locator("#drawing")
    box = board.bounding_box()
    assert box

    def line(*points: tuple[float, float]) -> None:
        for i, (x, y) in enumerate(points):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=6)
            if i == 0:
                page.mouse.down()
        page.mouse.up()

    line(
        (0.34, 0.08), (0.66, 0.08), (0.67, 0.3), (0.33, 0.3), (0.34, 0.08)
    )  # a closed shape, which is filled: the waist
    expect(page.locator("#announcement")).not_to_have_text(announced)
    before = read_percent(page, "Trouser")
    page.keyboard.press("Tab")  # from here on, the keyboard's pen can be seen
    board.focus()
    page.keyboard.press("ArrowUp")
    pen = page.locator(".pen").bounding_box()
    assert pen
    assert pen["x"] + pen["width"] / 2 == pytest.approx(box["x"] + box["width"] / 2, abs=2)
    assert pen["y"] + pen["height"] / 2 == pytest.approx(box["y"] + box["height"] * 13 / 28, abs=2)
    for leg in (0.33, 0.57):
        line((leg, 0.3), (leg + 0.1, 0.3), (leg + 0.1, 0.92), (leg, 0.92), (leg, 0.3))
    expect(page.locator(".verdict").first).to_have_text("Trouser")
    assert float(read_percent(page, "Trouser").strip("<> %")) > 90
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Undo").click()
    expect(
        page.locator(".bars >> nth=0").locator("li", has_text="Trouser").locator(".probability")
    ).to_have_text(before)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".verdict").first).to_have_text("The image is blank")


def test_the_page_works_with_the_keyboard_alone(page: Page) -> None:
    focused: Any = None
    for _ in range(6):
        page.keyboard.press("Tab")
        focused = page.evaluate("() => document.activeElement.id")
        if focused == "tab-photo":
            break
    assert focused == "tab-photo"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Examples")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Trouser")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#announcement")).to_contain_text("Trained for photos: Trouser")


def test_a_rectangle_selects_another_garment(page: Page) -> None:
    two = Image.new("RGB", (960, 480), "white")
    for place, label in enumerate((1, 7)):
        two.paste(make_photo(label), (480 * place, 0))
    page.locator("#stage").evaluate(DROP, encode_jpeg(two))
    page.locator("#steps figure").nth(2).wait_for()
    box = page.locator("#photo").bounding_box()
    assert box
    high = box["width"] / 2
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 1, middle - high / 2 + 1)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 1, middle + high / 2 - 1, steps=5)
    page.mouse.up()
    expect(page.locator(".verdict").first).to_have_text("Trouser")
    page.get_by_role("button", name="Use the whole image").click()
    expect(page.get_by_role("button", name="Use the whole image")).to_be_hidden()


def test_an_unreadable_file_shows_an_error(page: Page, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    expect(page.locator(".verdict").first).not_to_have_text("…")  # that of an example
    page.locator("#file").set_input_files(tmp_path / "text.jpg")
    expect(page.locator("#status")).to_have_text(
        "text.jpg: not an image, or corrupted; expected JPEG, PNG or another image format. "
        "The answer shown is that of the picture before."
    )


def test_the_page_fits(page: Page) -> None:
    page.locator("#stage").evaluate(DROP, encode_jpeg(make_photo(3)))
    expect(page.locator(".verdict").first).to_have_text("Dress")
    page.locator("#layers canvas").first.focus()
    for width in (1440, 768, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("() => document.documentElement.scrollWidth") == width
        if width > 1000:  # models side by side, one with a long name: their bars are in line
            long = "(model) => { model.textContent = 'a-long-name-'.repeat(9); }"
            page.locator(".model").first.evaluate(long)
            left, right = (page.locator(".bars").nth(i).bounding_box() for i in (0, 1))
            assert left
            assert right
            assert left["y"] == right["y"]


def test_the_page_reads_the_token_from_its_address(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, "--token", "geheim & mehr", "--compare-with", "none") as server:
        opened = browser.new_page()
        opened.goto(server.url + "/#token=geheim%20%26%20mehr")
        opened.locator("body[data-ready]").wait_for()
        opened.get_by_role("tab", name="Examples").click()
        opened.get_by_role("button", name="Bag").click()
        expect(opened.locator(".verdict")).to_have_text("Bag")
        opened.close()


def test_a_page_of_another_origin_needs_cors(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    post = """async (url) => {
        const response = await fetch(url + "/api/classify", { method: "POST", body: "no image" });
        return [response.status, response.headers.has("x-request-id")];
    }"""
    page = browser.new_context(bypass_csp=True).new_page()
    origin = server.url.replace("127.0.0.1", "localhost")  # for a browser, another origin
    page.goto(origin)
    with pytest.raises(Error, match="Failed to fetch"):
        page.evaluate(post, server.url)
    assert server.metric('wardrobe_requests_total{.*method="POST",.*status="403"}') == 1
    with serving(tmp_path, "--compare-with", "none", "--cors", origin + "/") as allowing:
        assert page.evaluate(post, allowing.url) == [422, True]
    page.context.close()


def test_without_javascript_the_page_shows_a_warning(browser: Browser, server: Server) -> None:
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(server.url)
    expect(plain.locator(".warning")).to_contain_text("JavaScript, which is off")
    plain.close()
