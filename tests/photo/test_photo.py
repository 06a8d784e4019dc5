"""Photo preparation: file formats, garment detection, light, and Fashion-MNIST tiles."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_photos import Pixels, overlap, scene, white, wood
from matplotlib.figure import Figure
from matplotlib.image import imsave
from PIL import Image

from wardrobe import photo
from wardrobe.data import load_data, synthetic
from wardrobe.errors import PhotoError


@pytest.mark.parametrize(
    ("floor", "found_by"), [(white(), photo.garment.PLAIN), (wood(), photo.garment.NETWORK)]
)
@pytest.mark.parametrize("label", [0, 1, 3, 8])
def test_the_garment_is_found_and_centred(floor: Pixels, found_by: str, label: int) -> None:
    image, where = scene(floor, label)
    steps = photo.prepare_steps(image)
    assert steps.garment.found_by == found_by
    # The mask of the bag also covers the opening under its handle.
    assert overlap(steps.garment.mask, where) > 0.85
    assert steps.pixels.shape == (28, 28)
    rows, columns = np.flatnonzero(steps.pixels.any(1)), np.flatnonzero(steps.pixels.any(0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == photo.tile.GARMENT_SIDE
    assert abs((rows[0] + rows[-1]) / 2 - 13.5) <= 1
    assert abs((columns[0] + columns[-1]) / 2 - 13.5) <= 1


@pytest.mark.parametrize("size", [(640, 480), (300, 1000), (200, 200)])
@pytest.mark.parametrize("tone", ["white", "grey", "black", "navy"])
def test_a_blank_photo_becomes_a_black_image(size: tuple[int, int], tone: str) -> None:
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


def test_without_a_garment_the_whole_photo_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo.garment, "segment_with_network", lambda _: None)
    steps = photo.prepare_steps(Image.linear_gradient("L").rotate(90).resize((300, 200)))
    assert steps.garment.found_by == photo.garment.WHOLE
    assert steps.garment.mask.all()
    assert steps.pixels.any()


def test_a_transparent_background_gives_the_mask() -> None:
    image, where = scene(
        white(), colour=(250, 250, 250)
    )  # white on white: only alpha separates them
    image.putalpha(Image.fromarray((where * 255).astype(np.uint8)))
    steps = photo.prepare_steps(image)
    assert steps.garment.found_by == photo.garment.CUT_OUT
    assert overlap(steps.garment.mask, where) > 0.95


def test_preparation_is_deterministic() -> None:
    image, _ = scene(wood())
    first = photo.prepare(image)
    for _ in range(3):
        np.testing.assert_array_equal(photo.prepare(image), first)


def test_two_shoes_are_kept_and_specks_are_dropped() -> None:
    mask = np.zeros((100, 100), bool)
    mask[30:70, 15:40] = mask[30:70, 60:85] = True  # a pair
    mask[40:50, 20:30] = False  # a hole in one
    mask[5:9, 5:9] = True  # a speck
    kept = photo.garment.largest_component(mask)
    assert kept[50, 20] and kept[50, 70] and kept[45, 25]
    assert not kept[:20, :20].any()


def test_an_object_in_a_corner_is_dropped() -> None:
    mask = np.zeros((100, 100), bool)
    mask[40:60, 40:60] = True  # the garment
    mask[65:95, 65:95] = True  # larger, and not the subject
    kept = photo.garment.largest_component(mask)
    assert kept[40:60, 40:60].all()
    assert not kept[65:, 65:].any()


def test_light_is_normalised_only_inside_the_garment() -> None:
    tones = np.full((50, 50), 255, np.uint8)
    mask = np.zeros((50, 50), bool)
    mask[10:40, 10:40] = True
    tones[10:40, 10:40] = np.linspace(60, 160, 30).astype(np.uint8)
    light = photo.tile.normalise_light(tones, mask)
    assert light[mask].min() == 0 and light[mask].max() == 1
    negated = photo.tile.negate(light, mask)
    assert not negated[~mask].any()
    assert negated[mask].min() == pytest.approx(photo.tile.FLOOR)
    assert negated[20, 10] > negated[20, 39]  # the dark side is now the light one


def test_fashion_mnist_tiles_stay_unchanged_and_negatives_are_inverted(
    fashion_mnist_dir: Path,
) -> None:
    for tile in load_data("fashion-mnist", fashion_mnist_dir).validation.images[:300]:
        for variant in (tile, 255 - tile):
            file = io.BytesIO()
            Image.fromarray(variant).convert("RGB").save(file, "PNG")
            np.testing.assert_array_equal(photo.prepare(file.getvalue()), tile)


def test_an_enlarged_tile_is_not_treated_as_a_photo(fashion_mnist_dir: Path) -> None:
    tiles = load_data("fashion-mnist", fashion_mnist_dir).validation.images[:200]
    prepared = [
        photo.prepare(Image.fromarray(np.kron(tile, np.ones((10, 10), np.uint8)))) for tile in tiles
    ]
    differences = [
        np.abs(one.astype(int) - tile).mean() for one, tile in zip(prepared, tiles, strict=True)
    ]
    assert np.mean(np.array(differences) < 10) > 0.9  # more than 40 if treated as a photo
    coloured, _ = scene(np.zeros((160, 160, 3), np.uint8), colour=(200, 60, 50))
    assert photo.prepare_steps(coloured).garment.found_by == photo.garment.PLAIN


@pytest.mark.parametrize(("height", "width"), [(29, 28), (28, 29), (30, 28), (30, 30), (29, 27)])
def test_a_tile_a_few_pixels_off_its_size_is_cropped_or_padded(height: int, width: int) -> None:
    tile = np.zeros((28, 28), np.uint8)
    tile[4:25, 8:21] = np.linspace(90, 250, 21)[:, None]
    off = np.pad(tile, ((0, max(height - 28, 0)), (0, max(width - 28, 0))))[:height, :width]
    for image in (off, 255 - off):
        prepared = photo.prepare(image)
        assert prepared.max() == tile.max() and prepared.sum() == tile.sum()
    enlarged = np.kron(off, np.ones((10, 10), np.uint8))
    assert photo.prepare_steps(enlarged).garment.found_by == photo.garment.TILE


def save_in_figure(file: io.BytesIO, image: Any, cmap: str) -> None:
    figure = Figure(figsize=(3, 3))
    axes = figure.subplots()
    axes.set_title("Shirt")
    figure.colorbar(axes.imshow(image, cmap))
    figure.savefig(file)


def save_without_axes(file: io.BytesIO, image: Any, cmap: str) -> None:
    axes = (figure := Figure()).subplots()
    axes.imshow(image, cmap)
    axes.set_axis_off()
    figure.savefig(file, format="jpeg")


@pytest.mark.parametrize(
    ("save", "cmap"),
    [
        *((save_in_figure, cmap) for cmap in ("viridis", "jet", "gray", "gray_r", "hot")),
        *((save_without_axes, cmap) for cmap in ("viridis", "gray")),
        *((imsave, cmap) for cmap in ("viridis", "magma", "jet")),
    ],
)
def test_a_tile_drawn_by_matplotlib_is_the_tile(save: Any, cmap: str) -> None:
    for image in synthetic.draw(2, seed=1)[0]:
        image[0, 0], image[14, 14] = 0, 255  # matplotlib stretches to these
        save(file := io.BytesIO(), image, cmap=cmap)
        most = 40 if cmap == "hot" else 3  # read as its luma: another grey, in the same order
        assert np.abs(photo.prepare(file.getvalue()).astype(int) - image).mean() < most


@pytest.mark.parametrize("label", [0, 1, 3, 8])
def test_a_black_garment_on_white_is_a_photo(label: int) -> None:
    image, where = scene(np.full((160, 160, 3), 255, np.uint8), label, colour=(20, 20, 20))
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    square = image.crop((columns[0], rows[0], columns[-1], rows[-1])).resize((100, 100))
    image.paste(square, (30, 30))  # as square as axes
    assert photo.prepare_steps(image).garment.found_by == photo.garment.PLAIN


def test_a_purple_garment_on_white_is_a_photo() -> None:
    image = Image.new("RGB", (300, 300), "white")
    image.paste((68, 1, 84), (60, 60, 240, 240))  # the first colour of viridis
    assert photo.prepare_steps(image).garment.found_by != photo.TILE


def test_the_callers_image_is_not_changed() -> None:
    with Image.open(io.BytesIO(encode(scene(white(1600, 1200))[0], "JPEG"))) as image:
        photo.prepare(image)
        assert image.size == (1200, 1600)


def encode(image: Image.Image, file_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def test_every_file_format_gives_the_same_garment() -> None:
    image, _ = scene(white())
    expected = photo.prepare(image).astype(int)
    sixteen = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    floating = Image.fromarray(np.asarray(image.convert("L")).astype(np.float32) / 255)
    files = {
        "JPEG": encode(image, "JPEG", quality=95),
        "CMYK JPEG": encode(image.convert("CMYK"), "JPEG", quality=95),
        "grey PNG": encode(image.convert("L"), "PNG"),
        "16-bit PNG": encode(sixteen, "PNG"),
        "float TIFF": encode(floating, "TIFF"),
        "palette PNG": encode(image.quantize(64), "PNG"),
        "GIF": encode(image, "GIF"),
        "animated GIF": encode(
            image, "GIF", save_all=True, append_images=[Image.new("RGB", image.size)]
        ),
        "animated WebP": encode(
            image, "WEBP", save_all=True, append_images=[Image.new("RGB", image.size)], quality=95
        ),
        "BMP": encode(image, "BMP"),
        "AVIF": encode(image, "AVIF", quality=95),
        "HEIC": encode_heic(image),
        "large JPEG": encode(image.resize((2400, 2400)), "JPEG"),
    }
    for name, content in files.items():
        difference = np.abs(photo.prepare(content) - expected)
        assert difference.mean() < 8, f"{name}: {difference.mean():.1f}"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "YCbCr"])
@pytest.mark.parametrize("size", [(28, 28), (300, 100), (8, 8), (8, 900)])
def test_every_mode_and_size_becomes_28x28(mode: str, size: tuple[int, int]) -> None:
    pixels = photo.prepare(
        encode(Image.new(mode, size), "JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
    )
    assert pixels.shape == (28, 28)
    assert pixels.dtype == np.uint8


def encode_heic(image: Image.Image) -> bytes:
    from pillow_heif import from_pillow

    file = io.BytesIO()
    from_pillow(image).save(file, quality=95)
    return file.getvalue()


def test_transparent_pixels_become_white() -> None:
    rgb, opaque = photo.decoding.decode.decode(Image.new("RGBA", (28, 28), (0, 0, 0, 0)))
    assert (rgb == 255).all()
    assert not opaque.any()


@pytest.mark.parametrize(("file_format", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "I;16")])
def test_exif_orientation_is_applied(file_format: str, mode: str) -> None:
    light = 255 if mode == "L" else 65535
    half = Image.new(mode, (80, 60))
    half.paste(light, (0, 0, 80, 30))  # the light half is on top
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    rgb, _ = photo.decoding.decode.decode(photo.open_image(encode(half, file_format, exif=exif)))
    assert rgb.shape == (80, 60, 3)
    assert rgb[:, 34:].min() > 245 and rgb[:, :26].max() < 10  # now it is on the right


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (b"just some words", "not an image"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b'<?xml version="1.0"?><svg/>', "an SVG drawing or other XML"),
        (
            encode(Image.new("L", (1, 1)), "PNG"),
            "1x1 is too few pixels, expected at least 8 per side",
        ),
        (encode(Image.new("L", (7, 900)), "PNG"), "7x900 is too few pixels"),
        (encode(Image.effect_noise((300, 300), 50), "JPEG")[:4000], "corrupted or incomplete"),
        (encode(Image.effect_noise((300, 300), 50), "PNG")[:4000], "corrupted or incomplete"),
        (
            encode(Image.new("1", (20_000, 20_000)), "PNG"),
            "too many pixels, expected at most 50,000,000",
        ),
    ],
)
def test_an_unusable_file_is_a_one_line_error(content: bytes, words: str) -> None:
    with pytest.raises(PhotoError, match=words) as refused:
        photo.prepare(content)
    assert "\n" not in str(refused.value)


def test_a_108_megapixel_jpeg_is_read_in_little_memory() -> None:
    large = encode(Image.new("L", (12_000, 9_000), 200), "JPEG")
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
    assert int(result.stdout) < 300, (
        result.stderr
    )  # MiB; a full decode of its 108 million pixels takes 324


def test_formats_that_run_other_programs_are_not_opened(tmp_path: Path) -> None:
    """Pillow opens PostScript with Ghostscript, and some other formats with other programs."""
    external = {"EPS", "FPX", "MIC", "WMF", "GRIB", "HDF5", "BUFR"}
    assert not external & {*photo.decoding.decode.FORMATS, *photo.decoding.decode.FURTHER_FORMATS}
    eps = tmp_path / "a.png"
    Image.new("RGB", (50, 50)).save(eps, "EPS")
    with pytest.raises(PhotoError, match="PostScript"):
        photo.prepare(eps)
