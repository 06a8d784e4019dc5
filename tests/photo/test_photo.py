"""From a photo to what the model sees: every kind of file, tiles told apart, the garment found on any floor."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_photos import Mask, Pixels, scene, white, wood
from PIL import Image

from wardrobe import photo
from wardrobe.data import load_data
from wardrobe.errors import PhotoError


def overlap(found: Mask, true: Mask) -> float:
    """Intersection over union."""
    return float((found & true).sum() / (found | true).sum())


@pytest.mark.parametrize(
    ("floor", "found_by"), [(white(), photo.garment.PLAIN), (wood(), photo.garment.GRABCUT)]
)
@pytest.mark.parametrize("label", [0, 1, 3, 8])
def test_the_garment_is_found(floor: Pixels, found_by: str, label: int) -> None:
    image, where = scene(floor, label)
    steps = photo.prepare_steps(image)
    assert steps.garment.found_by == found_by
    assert (
        overlap(steps.garment.mask, where) > 0.85
    )  # of the bag, the opening under its handle is taken along
    assert steps.pixels.shape == (28, 28)
    rows, columns = np.flatnonzero(steps.pixels.any(1)), np.flatnonzero(steps.pixels.any(0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == photo.tile.GARMENT_SIDE
    assert abs((rows[0] + rows[-1]) / 2 - 13.5) <= 1
    assert abs((columns[0] + columns[-1]) / 2 - 13.5) <= 1


@pytest.mark.parametrize("size", [(640, 480), (300, 1000), (200, 200)])
@pytest.mark.parametrize("tone", ["white", "grey", "black", "navy"])
def test_a_blank_picture_is_a_black_one_to_the_model(size: tuple[int, int], tone: str) -> None:
    wall = np.asarray(Image.new("RGB", size, tone)) + np.random.default_rng(0).normal(
        0, 8, (*size[::-1], 3)
    )
    clear = Image.new("RGBA", size, (0, 0, 0, 0))
    for image in (
        Image.new("RGB", size, tone),
        Image.fromarray(wall.clip(0, 255).astype(np.uint8)),
        clear,
    ):
        assert not photo.prepare(image).any()


def test_where_there_is_no_garment_the_whole_picture_is_taken() -> None:
    halves = np.zeros((200, 300, 3), np.uint8)
    halves[:, 150:] = 255
    steps = photo.prepare_steps(Image.fromarray(halves))
    assert steps.garment.found_by == photo.garment.WHOLE
    assert steps.garment.mask.all()
    assert steps.pixels.any()


def test_a_transparent_background_is_believed() -> None:
    image, where = scene(white(), colour=(250, 250, 250))  # white on white: only transparency tells
    image.putalpha(Image.fromarray((where * 255).astype(np.uint8)))
    steps = photo.prepare_steps(image)
    assert steps.garment.found_by == photo.garment.CUT_OUT
    assert overlap(steps.garment.mask, where) > 0.95


def test_the_same_photo_gives_the_same_answer_every_time() -> None:
    image, _ = scene(wood())
    first = photo.prepare(image)
    for _ in range(3):
        np.testing.assert_array_equal(photo.prepare(image), first)


def test_two_shoes_are_kept_and_crumbs_are_not() -> None:
    mask = np.zeros((100, 100), bool)
    mask[30:70, 15:40] = mask[30:70, 60:85] = True  # a pair
    mask[40:50, 20:30] = False  # a hole in one
    mask[5:9, 5:9] = True  # a crumb
    kept = photo.garment.largest_component(mask)
    assert kept[50, 20] and kept[50, 70] and kept[45, 25]
    assert not kept[:20, :20].any()


def test_what_lies_in_a_corner_is_not_kept() -> None:
    mask = np.zeros((100, 100), bool)
    mask[40:60, 40:60] = True  # the garment
    mask[65:95, 65:95] = True  # larger, and not what the photo is of
    kept = photo.garment.largest_component(mask)
    assert kept[40:60, 40:60].all()
    assert not kept[65:, 65:].any()


def test_light_is_normalised_inside_the_garment_alone() -> None:
    tones = np.full((50, 50), 255, np.uint8)
    mask = np.zeros((50, 50), bool)
    mask[10:40, 10:40] = True
    tones[10:40, 10:40] = np.linspace(60, 160, 30).astype(np.uint8)
    light = photo.tile.normalise_light(tones, mask)
    assert light[mask].min() == 0 and light[mask].max() == 1
    negated = photo.tile.negate(light, mask)
    assert not negated[~mask].any()
    assert negated[mask].min() == pytest.approx(photo.tile.FLOOR)
    assert negated[20, 10] > negated[20, 39]  # the dark side became the light one


def test_fashion_mnist_tiles_pass_untouched_and_their_negatives_are_negated(
    fashion_mnist_dir: Path,
) -> None:
    for tile in load_data("fashion-mnist", fashion_mnist_dir).validation.images[:300]:
        for shown in (tile, 255 - tile):
            file = io.BytesIO()
            Image.fromarray(shown).convert("RGB").save(file, "PNG")
            np.testing.assert_array_equal(photo.prepare(file.getvalue()), tile)


def test_an_enlarged_tile_is_told_from_a_photo(fashion_mnist_dir: Path) -> None:
    tiles = load_data("fashion-mnist", fashion_mnist_dir).validation.images[:200]
    whole = [
        photo.prepare(Image.fromarray(np.kron(tile, np.ones((10, 10), np.uint8)))) for tile in tiles
    ]
    differences = [
        np.abs(one.astype(int) - tile).mean() for one, tile in zip(whole, tiles, strict=True)
    ]
    assert np.mean(np.array(differences) < 10) > 0.9  # a photo's way would leave above 40
    coloured, _ = scene(np.zeros((160, 160, 3), np.uint8), colour=(200, 60, 50))
    assert photo.prepare_steps(coloured).garment.found_by == photo.garment.PLAIN


def test_the_callers_picture_is_left_as_it_is() -> None:
    with Image.open(io.BytesIO(saved(scene(white(1600, 1200))[0], "JPEG"))) as image:
        photo.prepare(image)
        assert image.size == (1200, 1600)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def test_every_kind_of_picture_shows_the_same_garment() -> None:
    image, _ = scene(white())
    expected = photo.prepare(image).astype(int)
    sixteen = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    floating = Image.fromarray(np.asarray(image.convert("L")).astype(np.float32) / 255)
    files = {
        "JPEG": saved(image, "JPEG", quality=95),
        "CMYK JPEG": saved(image.convert("CMYK"), "JPEG", quality=95),
        "grey PNG": saved(image.convert("L"), "PNG"),
        "16-bit PNG": saved(sixteen, "PNG"),
        "float TIFF": saved(floating, "TIFF"),
        "palette PNG": saved(image.quantize(64), "PNG"),
        "GIF": saved(image, "GIF"),
        "animated GIF": saved(
            image, "GIF", save_all=True, append_images=[Image.new("RGB", image.size)]
        ),
        "animated WebP": saved(
            image, "WEBP", save_all=True, append_images=[Image.new("RGB", image.size)], quality=95
        ),
        "BMP": saved(image, "BMP"),
        "AVIF": saved(image, "AVIF", quality=95),
        "HEIC": heic(image),
        "large JPEG": saved(image.resize((2400, 2400)), "JPEG"),
    }
    for name, content in files.items():
        difference = np.abs(photo.prepare(content) - expected)
        assert difference.mean() < 8, f"{name}: {difference.mean():.1f}"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "YCbCr"])
@pytest.mark.parametrize("size", [(28, 28), (300, 100), (8, 8), (8, 900)])
def test_every_mode_and_size_becomes_28x28(mode: str, size: tuple[int, int]) -> None:
    pixels = photo.prepare(
        saved(Image.new(mode, size), "JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
    )
    assert pixels.shape == (28, 28)
    assert pixels.dtype == np.uint8


def heic(image: Image.Image) -> bytes:
    from pillow_heif import from_pillow

    file = io.BytesIO()
    from_pillow(image).save(file, quality=95)
    return file.getvalue()


def test_transparent_parts_are_white() -> None:
    rgb, opaque = photo.decode.decode(Image.new("RGBA", (28, 28), (0, 0, 0, 0)))
    assert (rgb == 255).all()
    assert not opaque.any()


@pytest.mark.parametrize(("form", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "I;16")])
def test_the_photo_is_turned_upright(form: str, mode: str) -> None:
    light = 255 if mode == "L" else 65535
    half = Image.new(mode, (80, 60))
    half.paste(light, (0, 0, 80, 30))  # light above
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn a quarter clockwise
    rgb, _ = photo.decode.decode(photo.open_image(saved(half, form, exif=exif)))
    assert rgb.shape == (80, 60, 3)
    assert rgb[:, 34:].min() > 245 and rgb[:, :26].max() < 10  # light on the right


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (b"just some words", "not an image"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b'<?xml version="1.0"?><svg/>', "an SVG drawing or other XML"),
        (saved(Image.new("L", (1, 1)), "PNG"), "1x1 is too few pixels, expected at least 8 a side"),
        (saved(Image.new("L", (7, 900)), "PNG"), "7x900 is too few pixels"),
        (saved(Image.effect_noise((300, 300), 50), "JPEG")[:4000], "corrupted or incomplete"),
        (saved(Image.effect_noise((300, 300), 50), "PNG")[:4000], "corrupted or incomplete"),
        (saved(Image.new("1", (20_000, 20_000)), "PNG"), "too many pixels, expected at most 50,000,000"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_in_one_line(content: bytes, words: str) -> None:
    with pytest.raises(PhotoError, match=words) as refused:
        photo.prepare(content)
    assert "\n" not in str(refused.value)


def test_a_phones_largest_jpeg_is_read_and_takes_little_memory() -> None:
    large = saved(Image.new("L", (12_000, 9_000), 200), "JPEG")
    code = """if True:
        import resource, sys
        from wardrobe import photo
        photo.prepare(sys.stdin.buffer.read())
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """
    launched = [
        sys.executable,
        "-c",
        "import subprocess, sys; subprocess.run(sys.argv[1:])",
        sys.executable,
        "-c",
        code,
    ]
    result = subprocess.run(launched, input=large, capture_output=True)
    assert int(result.stdout) < 300, result.stderr  # MiB; its 108 million pixels would take 324


def test_nothing_that_runs_code_is_opened(tmp_path: Path) -> None:
    """Pillow hands PostScript to Ghostscript, and other of its formats to other programs."""
    opened = {"EPS", "FPX", "MIC", "WMF", "GRIB", "HDF5", "BUFR"}
    assert not opened & {*photo.decode.FORMATS, *photo.decode.FURTHER_FORMATS}
    eps = tmp_path / "a.png"
    Image.new("RGB", (50, 50)).save(eps, "EPS")
    with pytest.raises(PhotoError, match="PostScript"):
        photo.prepare(eps)
