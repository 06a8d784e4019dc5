"""Image files as they come: damaged beside the pixels, of any bit depth, too costly to decode."""

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from drawn_photos import scene, white
from PIL import Image, PngImagePlugin
from PIL.Image import Transpose

from wardrobe import photo
from wardrobe.errors import PhotoError

PHOTO = scene(white())[0]
TILE = photo.prepare(PHOTO).astype(int)
GREY = np.asarray(PHOTO.convert("L")).astype(int)


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes, checksum_error: int = 0) -> bytes:
    checksum = zlib.crc32(name + data) ^ checksum_error
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def png_with(chunks: bytes, before: bytes = b"IDAT") -> bytes:
    png = encode(PHOTO, "PNG")
    at = png.index(before) - 4
    return png[:at] + chunks + png[at:]


def flip_bit_after(name: bytes, offset: int) -> bytes:
    png = bytearray(encode(PHOTO, "PNG"))
    png[png.index(name) + offset] ^= 1
    return bytes(png)


def progressive_jpeg(width: int, height: int, scans: int, components: int = 3) -> bytes:
    """Returns the header of a progressive JPEG, and scans without data."""

    def segment(marker: int, data: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data

    parts = b"".join(bytes([i, 0x11, 0]) for i in range(components))
    frame = struct.pack(">BHHB", 8, height, width, components) + parts
    # A comment between scans that looks like the end of the image.
    scan = segment(0xDA, bytes([1, 0, 0, 1, 63, 0])) + segment(0xFE, b"\xff\xd9")
    return b"\xff\xd8" + segment(0xC2, frame) + scan * scans + b"\xff\xd9"


def tiff(entries: list[tuple[int, int, int, int]], order: str = "<", data: bytes = b"") -> bytes:
    """Returns a TIFF or BigTIFF of 64x64 grey pixels with further entries."""
    sizes = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    if order == "<":
        head, count, entry = b"II*\0" + struct.pack("<L", 8), "<H", "<HHLL"
    else:
        head, count, entry = b"MM\0+\0\x08\0\0" + struct.pack(">Q", 16), ">Q", ">HHQQ"
    packed = [struct.pack(entry, *each) for each in sorted(sizes + entries)]
    return head + struct.pack(count, len(packed)) + b"".join(packed) + bytes(8) + data


TEXT = zlib.compress(b"x" * 3_000_000)
JPEG = encode(PHOTO.resize((960, 960)), "JPEG")
PROGRESSIVE = encode(PHOTO.resize((960, 960)), "JPEG", progressive=True)
GREY_JPEG = encode(PHOTO.convert("L").resize((960, 960)), "JPEG")
RESTARTS = encode(PHOTO.resize((960, 960)), "JPEG", restart_marker_rows=1)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(JPEG[:-1], id="JPEG without its last byte"),
        pytest.param(JPEG[:-2], id="JPEG without its end"),
        pytest.param(PROGRESSIVE[:-2], id="progressive JPEG without its end"),
        pytest.param(RESTARTS[:-2], id="JPEG of restart intervals without its end"),
        pytest.param(encode(PHOTO.convert("CMYK"), "JPEG")[:-2], id="CMYK JPEG without its end"),
        pytest.param(JPEG[:-8], id="JPEG without the last few of 921,600 pixels"),
        *(
            pytest.param(png_with(chunk(name, data, 1)), id=f"PNG, wrong checksum in {name!r}")
            for name, data in (
                (b"pHYs", bytes(9)), (b"iCCP", b"a\0\0" + zlib.compress(b"a")), (b"tEXt", b"a\0b"),
                (b"gAMA", bytes(4)), (b"eXIf", b"MM\0*\0\0\0\x08\0\0"), (b"abCd", b""),
            )
        ),
        pytest.param(png_with(chunk(b"zTXt", b"a\0\0" + TEXT)), id="PNG, 3 MB of text"),
        pytest.param(
            png_with(chunk(b"zTXt", b"Raw profile type exif\0\0" + TEXT)), id="PNG, 3 MB of EXIF"
        ),
        pytest.param(
            png_with(chunk(b"iTXt", b"a\0\1\0\0\0" + TEXT), b"IEND"), id="PNG, text at the end"
        ),
        pytest.param(png_with(chunk(b"iCCP", b"a\0\0" + TEXT)), id="PNG, 3 MB of colour profile"),
        pytest.param(png_with(chunk(b"pHYs", b"")), id="PNG, empty chunk"),
        pytest.param(encode(PHOTO, "PNG")[:-12], id="PNG without its end"),
    ],
)  # fmt: skip
def test_a_damaged_file_with_every_pixel_is_read(content: bytes) -> None:
    assert np.abs(photo.prepare(content) - TILE).mean() < 4


def test_a_jpeg_whose_lower_half_is_truly_grey_is_read() -> None:
    image = PHOTO.resize((960, 960))
    image.paste((128, 128, 128), (0, 480, 960, 960))
    for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
        photo.prepare(encode(image, "JPEG", **options) + bytes(100))


def test_a_pillow_image_of_a_jpeg_without_its_end_is_read() -> None:
    with Image.open(io.BytesIO(JPEG[:-2])) as image:
        np.testing.assert_array_equal(
            photo.prepare(image), photo.prepare(Image.open(io.BytesIO(JPEG)))
        )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        *(
            pytest.param(jpeg[: len(jpeg) * percent // 100], "incomplete", id=f"{name} {percent} %")
            for name, jpeg in (("JPEG", JPEG), ("progressive", PROGRESSIVE), ("restarts", RESTARTS))
            for percent in (50, 95)
        ),
        *(
            pytest.param(jpeg[: len(jpeg) * percent // 100] + end, "incomplete", id=name)
            for jpeg, name in ((JPEG, "JPEG"), (RESTARTS, "restarts"), (GREY_JPEG, "grey JPEG"))
            for percent, end in ((50, b"\xff\xd9"), (90, b"\xff\xd9"), (50, bytes(9) + b"\xff\xd9"))
        ),
        pytest.param(flip_bit_after(b"IDAT", 40), "wrong checksum in 'IDAT'", id="PNG pixels"),
        pytest.param(flip_bit_after(b"IHDR", 17), "wrong checksum in 'IHDR'", id="PNG header"),
        pytest.param(progressive_jpeg(900, 900, 101), "more than 100 scans", id="scans"),
        pytest.param(
            progressive_jpeg(16_000, 10_000, 10),
            r"16000x10000 pixels \(JPEG, RGB\) take 980 MB to decode, expected at most 600 MB",
            id="progressive JPEG",
        ),
        pytest.param(
            b"\0\0\1\0\1\0" + struct.pack("<BBBBHHLL", 64, 64, 0, 0, 1, 32, 99, 22)
            + b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 8000, 8000, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", b""),
            "8000x8000 is too many pixels", id="icon with a large PNG",
        ),
        *(
            pytest.param(
                tiff([(tag, 4, 200_001, 0)], order), "a TIFF of 200,001 strips or tiles", id=name
            )
            for tag, order, name in ((273, "<", "strips"), (324, ">", "tiles of a BigTIFF"))
        ),
    ],
)  # fmt: skip
def test_half_an_image_or_a_costly_one_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(PhotoError, match=words) as refused:
        photo.prepare(content)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read_beside_a_tag_that_is_not_valid(orientation: int) -> None:
    """Pillow refuses to write the signed rational -1/0 that it has read."""
    tags = struct.pack("<HHLHH", 0x112, 3, 1, orientation, 0) + struct.pack(
        "<HHLL", 0x11A, 10, 1, 38
    )
    exif = b"Exif\0\0II*\0" + struct.pack("<LH", 8, 2) + tags + bytes(4) + struct.pack("<ll", -1, 0)
    turn = (None, *photo.decoding.decode.UPRIGHT.values())[orientation - 1]
    upright = PHOTO if turn is None else PHOTO.transpose(turn)
    content = encode(PHOTO, "JPEG", exif=exif, quality=95)
    assert np.abs(photo.prepare(content) - photo.prepare(upright).astype(int)).mean() < 4


def test_the_orientation_in_a_text_of_a_png_is_applied() -> None:
    upright = photo.prepare(PHOTO.transpose(Transpose.ROTATE_270))
    xmp, exif = PngImagePlugin.PngInfo(), Image.Exif()
    xmp.add_itxt("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="6"/>')
    exif[0x112] = 6
    raw = f"\nexif\n{len(exif.tobytes()):8}\n{exif.tobytes().hex()}\n".encode()
    for content in (
        encode(PHOTO, "PNG", pnginfo=xmp),
        png_with(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))),
    ):
        np.testing.assert_array_equal(photo.prepare(content), upright)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_fewer_than_16_bits_in_a_file_of_16_are_scaled(bits: int) -> None:
    white = 2**bits - 1
    grey = (GREY * white // 255).astype(np.uint16)
    colours = (np.asarray(PHOTO)[..., ::-1].astype(int) * white // 255).astype(np.uint16)  # BGR
    height, width = grey.shape
    files = {
        "PNG": encode(Image.fromarray(grey), "PNG"),
        "TIFF": encode(Image.fromarray(grey), "TIFF"),
        "PGM": b"P5 %d %d 65535\n" % (width, height) + grey.astype(">u2").tobytes(),
        "32-bit TIFF": encode(Image.fromarray(grey.astype(np.int32)), "TIFF"),
        "float TIFF": encode(Image.fromarray(grey.astype(np.float32)), "TIFF"),
        "colour PNG": cv2.imencode(".png", colours)[1].tobytes(),
        "colour TIFF": cv2.imencode(".tiff", colours)[1].tobytes(),
        "PPM": b"P6 %d %d 65535\n" % (width, height) + colours[..., ::-1].astype(">u2").tobytes(),
    }
    for name, content in files.items():
        assert np.abs(photo.prepare(content) - TILE).mean() < 3, name


def test_arrays_are_read_as_images_are() -> None:
    rgb, grey = np.asarray(PHOTO), np.asarray(PHOTO.convert("L"))
    opaque = np.full(grey.shape, 255, np.uint8)
    for array in (rgb, np.dstack([rgb, opaque]), rgb[::-1][::-1]):
        np.testing.assert_array_equal(photo.prepare(array), TILE)
    for array in (grey, grey[..., None]):
        np.testing.assert_array_equal(photo.prepare(array), photo.prepare(PHOTO.convert("L")))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((50, 50), np.float32), np.zeros((50, 50, 3), np.int64), np.zeros(50, np.uint8),
        np.zeros((50, 50, 2), np.uint8), np.zeros((3, 50, 50), np.uint8),
        np.zeros((2, 50, 50, 3), np.uint8), np.zeros((0, 50), np.uint8),
    ],
)  # fmt: skip
def test_other_arrays_are_refused(array: Any) -> None:
    with pytest.raises(PhotoError, match=r"an array of shape \(.*\) and dtype .* is not an image"):
        photo.prepare(array)


@pytest.mark.parametrize("source", [None, 3, [[1, 2]], io.StringIO("text")])
def test_what_is_no_source_is_refused(source: Any) -> None:
    with pytest.raises(PhotoError, match="is not an image; give a path, bytes"):
        photo.prepare(source)


def test_a_rectangle_is_prepared_as_that_part_alone() -> None:
    """At a fraction of a large JPEG's size, because the whole would take its memory."""
    large = encode(PHOTO.resize((2400, 2400)).crop((0, 0, 2400, 2000)), "JPEG", quality=95)
    part = Image.open(io.BytesIO(large)).crop((300, 200, 2100, 1800))
    steps = photo.prepare_steps(large, (300 / 2400, 0.1, 2100 / 2400, 0.9))
    assert np.abs(steps.pixels - photo.prepare(part).astype(int)).mean() < 8
    with pytest.raises(PhotoError, match="too few pixels"):
        photo.prepare_steps(large, (0.5, 0.5, 0.501, 0.501))
