"""Every kind of image file becomes RGB pixels or a message that names it."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from synthood.data.files.decode import BadImageError, Reading, decode, fitted
from synthood.data.files.listing import Listing
from synthood.data.files.settings import Files
from synthood.errors import SynthoodError

PLAIN = Files(path=".")
RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (12, 16, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def listing(files: list[Path]) -> Listing:
    return Listing(files, np.zeros(len(files), np.int64), ["a"], "a list")


def read(files: Listing, how: Files, threads: int = 1) -> tuple[np.ndarray, list[str]]:
    """All images of a listing, and what was skipped."""
    reading = Reading(files, how, threads)
    images = np.stack(list(reading))
    assert len(reading.labels) == len(images)
    return images, reading.skipped


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_rgb_keeps_its_pixels(kind):
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(RGB), kind), "x", PLAIN), RGB)


def test_grey_becomes_three_equal_channels():
    grey = RGB[..., 0]
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(grey)), "x", PLAIN), np.stack([grey] * 3, axis=2))


def test_alpha_is_dropped():
    alpha = np.dstack([RGB, RANDOM.integers(0, 256, RGB.shape[:2], dtype=np.uint8)])
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(alpha)), "x", PLAIN), RGB)
    grey = np.ascontiguousarray(alpha[..., 2:])
    expected = np.stack([RGB[..., 2]] * 3, axis=2)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(grey, "LA")), "x", PLAIN), expected)


@pytest.mark.parametrize("transparency", [None, 1, b"\x00\x80\xff"])
def test_a_palette_is_looked_up(transparency):
    indices = RANDOM.integers(0, 3, (9, 9), dtype=np.uint8)
    palette = np.array([[255, 0, 10], [0, 200, 20], [5, 5, 250]], np.uint8)
    image = Image.fromarray(indices, "L")
    image.putpalette(palette.tobytes())
    options = {} if transparency is None else {"transparency": transparency}
    np.testing.assert_array_equal(decode(encoded(image, **options), "x", PLAIN), palette[indices])


def test_sixteen_bits_keep_the_upper_eight():
    values = RANDOM.integers(0, 2**16, (9, 9)).astype(np.uint16)
    values[0, :2] = 0, 65535
    found = decode(encoded(Image.fromarray(values)), "x", PLAIN)
    np.testing.assert_array_equal(found, np.stack([(values >> 8).astype(np.uint8)] * 3, axis=2))


def test_cmyk_is_converted():
    cmyk = Image.new("CMYK", (10, 10), (0, 255, 255, 0))
    np.testing.assert_allclose(decode(encoded(cmyk, "JPEG"), "x", PLAIN), np.full((10, 10, 3), [255, 0, 0]), atol=3)


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (6, 3), (3, 2), (8, 1)])
def test_photographs_are_turned_upright_where_asked(orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(RGB), exif=exif)
    np.testing.assert_array_equal(decode(content, "x", PLAIN), np.rot90(RGB, turns))
    np.testing.assert_array_equal(decode(content, "x", Files(path=".", apply_exif_rotation=False)), RGB)


def test_a_phones_photograph_with_a_second_picture_is_its_first():
    second = Image.fromarray(RGB[::-1])
    content = encoded(Image.fromarray(RGB), "MPO", save_all=True, append_images=[second], quality=95)
    np.testing.assert_array_equal(
        decode(content, "x", PLAIN), decode(encoded(Image.fromarray(RGB), "JPEG", quality=95), "x", PLAIN)
    )


def animated() -> bytes:
    frames = [Image.new("RGB", (10, 10), colour) for colour in ("red", "blue")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def huge(width: int, height: int) -> bytes:
    """A PNG that says it is large; its few bytes of pixels would never be enough."""
    content = bytearray(encoded(Image.new("RGB", (10, 10))))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


JPEG = encoded(Image.fromarray(RGB), "JPEG")
BAD = {
    "empty.png": (b"", "an empty file"),
    "text.png": (b"not pixels\n" * 20, "not an image file"),
    "short.jpg": (JPEG[: len(JPEG) // 2], "truncated or damaged"),
    "animated.gif": (animated(), "2 frames"),
    "one.png": (encoded(Image.new("RGB", (1, 1))), "1x1 px, less than 8 a side"),
    "thin.png": (encoded(Image.new("RGB", (500, 7))), "500x7 px, less than 8 a side"),
    "huge.png": (huge(20_000, 20_000), "more than 89 megapixels"),
    "large.png": (huge(12_000, 12_000), "more than 89 megapixels"),
    "drawing.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n", "not an image file"),
    "float.tif": (encoded(Image.fromarray(np.ones((9, 9), np.float32)), "TIFF"), "floating-point"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_named_or_skipped_and_listed(tmp_path, name):
    content, message = BAD[name]
    good, bad = tmp_path / "good.png", tmp_path / name
    good.write_bytes(encoded(Image.fromarray(RGB)))
    bad.write_bytes(content)
    with pytest.raises(SynthoodError, match=message) as caught:
        read(listing([good, bad]), PLAIN)
    assert str(caught.value).startswith(f"{bad}: ")
    assert "`on_bad_image: skip`" in str(caught.value)
    made, skipped = read(listing([good, bad, good]), Files(path=".", on_bad_image="skip"), threads=2)
    np.testing.assert_array_equal(made, [RGB, RGB])
    assert len(skipped) == 1
    assert skipped[0].startswith(f"{bad}: ")
    with pytest.raises(SynthoodError, match="none of 1 images is readable"):
        read(listing([bad]), Files(path=".", on_bad_image="skip"))


def test_a_wide_image_of_20000_px_is_resized():
    wide = encoded(Image.new("RGB", (20_000, 40), (9, 9, 9)))
    np.testing.assert_array_equal(decode(wide, "x", Files(path=".", size=32)), np.full((32, 32, 3), 9))


def test_missing_files_and_mixed_sizes_are_errors(tmp_path):
    first, second = tmp_path / "a.png", tmp_path / "b c é.png"
    first.write_bytes(encoded(Image.fromarray(RGB)))
    with pytest.raises(SynthoodError, match=r"b c é.png: not found, but named by a list"):
        read(listing([first, second]), PLAIN)
    second.write_bytes(encoded(Image.fromarray(RGB[:, :9])))
    with pytest.raises(SynthoodError, match=r"b c é.png: 9x12 px, the first 16x12; set `size`"):
        read(listing([first, second]), PLAIN)
    made, _ = read(listing([first, second]), Files(path=".", size=8))
    assert made.shape == (2, 8, 8, 3)
    with pytest.raises(SynthoodError, match="no images"):
        read(listing([]), PLAIN)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(8, 90),
    st.integers(8, 90),
    st.integers(8, 40),
    st.integers(0, 20),
    st.sampled_from(["bilinear", "bicubic"]),
)
def test_resizing_and_cutting_are_torchvisions(width, height, size, more, how):
    image = Image.fromarray(np.random.default_rng(width * 97 + height).integers(0, 256, (height, width, 3), np.uint8))
    expected = v2.Compose([v2.Resize(size + more, v2.InterpolationMode(how)), v2.CenterCrop(size)])(image)
    np.testing.assert_array_equal(np.asarray(fitted(image, size, size + more, how)), np.asarray(expected))


def test_the_interpolation_that_is_asked_for_is_taken_and_noted():
    bilinear, bicubic = (Files(path=".", size=8, resize=10, interpolation=how) for how in ("bilinear", "bicubic"))
    smooth = Image.fromarray(RGB)
    expected = fitted(smooth, 8, 10, "bicubic")
    np.testing.assert_array_equal(decode(encoded(smooth), "x", bicubic), np.asarray(expected))
    assert not np.array_equal(decode(encoded(smooth), "x", bilinear), np.asarray(expected))
    reading = Reading(Listing(RGB[None], np.zeros(1, np.int64), ["a"], "an array"), bicubic)
    np.testing.assert_array_equal(np.stack(list(reading))[0], np.asarray(expected))
    assert str(reading.facts).endswith("resizing shorter side to 10 px, bicubic")
    with pytest.raises(ValueError, match="interpolation bicubic needs a size"):
        Files(path=".", interpolation="bicubic")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]), st.data())
def test_damaged_bytes_give_pixels_or_a_bad_image(kind, data):
    content = bytearray(encoded(Image.fromarray(RGB), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        found = decode(bytes(content), "the file", Files(path=".", size=8))
    except BadImageError as error:
        assert str(error).startswith("the file: ")  # noqa: PT017
    else:
        assert (found.shape, found.dtype) == ((8, 8, 3), np.uint8)


def test_the_number_of_threads_changes_nothing(draw, tmp_path):
    expected = [draw(f"{i}.png") for i in range(150)]
    files = [tmp_path / f"{i}.png" for i in range(150)]
    for threads in (1, 3):
        np.testing.assert_array_equal(read(listing(files), PLAIN, threads)[0], expected)


def test_what_was_done_to_images_is_told(draw, tmp_path):
    draw("a.png", 40, 30)
    draw("b.png", 20, 64)
    Image.fromarray(RGB[..., 0]).save(tmp_path / "c.png")
    Image.fromarray(np.dstack([RGB, RGB[..., :1]])).save(tmp_path / "d.png")
    (tmp_path / "e.png").write_bytes(b"no")
    reading = Reading(
        listing([tmp_path / f"{name}.png" for name in "abcde"]), Files(path=".", size=16, on_bad_image="skip"), 2
    )
    assert len(list(reading)) == 4
    assert reading.notes == [
        "1 grey images became RGB",
        "1 images lost their alpha channel",
        "images of 3 sizes, shorter sides from 12 to 30 px, became 16x16",
        f"{tmp_path / 'e.png'}: not an image file",
    ]
    plain = Reading(listing([tmp_path / "a.png"] * 3), PLAIN)
    assert len(list(plain)) == 3
    assert plain.notes == []


def sixteen(folder: Path, name: str, top: int, bits32: bool = False) -> np.ndarray:
    """A TIFF with grey values from 0 to `top` in 16 bits, or in 32."""
    values = np.linspace(0, top, 144).round().reshape(12, 12).astype(np.int32 if bits32 else np.uint16)
    Image.fromarray(values).save(folder / name)
    return values


@pytest.mark.parametrize(("top", "bits"), [(255, 8), (1023, 10), (3000, 12), (4095, 12), (16383, 14)])
@pytest.mark.parametrize("bits32", [False, True])
def test_sixteen_bit_files_of_fewer_bits_are_not_made_black(tmp_path, top, bits, bits32):
    values = sixteen(tmp_path, "bright.tif", top, bits32)
    dark = sixteen(tmp_path, "dark.tif", top // 3, bits32)
    files = listing([tmp_path / "dark.tif", tmp_path / "bright.tif"])
    with pytest.raises(SynthoodError) as caught:
        read(files, PLAIN)
    fits = f"a list: no value of its 16-bit images is above {top}, so all fit into {bits} bits"
    assert str(caught.value) == f"{fits}; set `bits: {bits}`, or `bits: 16` if the images are that dark"
    made, _ = read(files, Files(path=".", bits=bits))
    for image, expected in zip(made, (dark, values), strict=True):  # by one rule, so dark images stay dark
        np.testing.assert_array_equal(image, np.stack([expected >> (bits - 8)] * 3, axis=2))
    assert made.max() == top >> (bits - 8)
    assert read(files, Files(path=".", bits=16))[0].max() == top >> 8


def test_values_beyond_the_bits_are_refused(tmp_path):
    sixteen(tmp_path, "a.tif", 5000)
    with pytest.raises(SynthoodError, match=r"a.tif: a value of 5000, outside 0 to 4095 of 12 bits; set `bits: 14`"):
        read(listing([tmp_path / "a.tif"]), Files(path=".", bits=12))
    sixteen(tmp_path, "b.tif", 70_000, bits32=True)
    with pytest.raises(SynthoodError, match=r"b.tif: a value of 70000, outside 0 to 65535.*store it with 16 bits"):
        read(listing([tmp_path / "b.tif"]), PLAIN)
    sixteen(tmp_path, "c.tif", -9, bits32=True)
    with pytest.raises(SynthoodError, match=r"c.tif: a value of -9, outside 0"):
        read(listing([tmp_path / "c.tif"]), PLAIN)


def sixteen_bit_colours(top: int) -> bytes:
    """A PNG of 16-bit colours, which Pillow does not write."""
    values = np.linspace(0, top, 300).round().reshape(10, 30).astype(">u2")

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 16, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in values)))
    return b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")


def test_sixteen_bit_colours_of_fewer_bits_are_refused(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(sixteen_bit_colours(4095))
    with pytest.raises(SynthoodError, match="all fit into 12 bits; store colours with 8 bits, or set `bits: 16`"):
        read(listing([path]), PLAIN)
    assert read(listing([path]), Files(path=".", bits=16))[0].max() == 15
    with pytest.raises(SynthoodError, match="`bits: 12` is for grey images"):
        read(listing([path]), Files(path=".", bits=12))
    path.write_bytes(sixteen_bit_colours(65535))
    assert read(listing([path]), PLAIN)[0].max() == 255


def test_what_images_were_is_counted(draw, tmp_path):
    draw("a.png", 40, 30)
    draw("b.jpg", 12, 12)
    Image.fromarray(RGB).save(tmp_path / "c.webp", lossless=True)
    Image.fromarray(RGB).save(tmp_path / "d.webp")
    Image.fromarray(RGB).save(tmp_path / "e.tif", compression="jpeg")
    Image.fromarray(np.stack([RGB[..., 0]] * 3, axis=2)).save(tmp_path / "f.bmp")  # grey in three equal channels
    Image.fromarray(RGB).save(tmp_path / "g.jpg", "MPO", save_all=True, append_images=[Image.fromarray(RGB)])
    reading = Reading(listing(sorted(tmp_path.iterdir())), Files(path=".", size=16))
    assert len(list(reading)) == 7
    assert reading.facts.native == {16: 1, 12: 6}
    assert reading.facts.modes == {"RGB": 6, "grey": 1}
    assert reading.facts.formats == {"PNG": 1, "JPEG": 2, "WEBP, lossless": 1, "WEBP": 1, "TIFF, JPEG": 1, "BMP": 1}
    assert reading.facts.resize == {"shorter side to 16 px, bilinear": 7}
