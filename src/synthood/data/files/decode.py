"""From an image file to RGB pixels; what is not a plain readable image is refused by name.

Grey, palette, CMYK and 16-bit images become 8-bit RGB; alpha is dropped, as the benchmarks' loaders do.

Files do not say how many of their 16 bits a camera used, so the largest value of a set is compared with its `bits`.
"""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synthood.common.encoded import LARGEST_RAW
from synthood.common.image_facts import ImageFacts, are_grey, history
from synthood.common.image_formats import readable
from synthood.common.lazy import np
from synthood.common.settings import Interpolation
from synthood.data.files.formats import foreign
from synthood.data.files.listing import Listing
from synthood.data.files.settings import Files
from synthood.errors import SynthoodError

if TYPE_CHECKING:
    from PIL.Image import Image

SMALLEST = 8
"""Shorter images than this say nothing at any size."""
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")
LARGEST = 89_000_000
"""Pixels; more is a mistake or an attack."""


class BadImageError(SynthoodError):
    """One file that is no usable image."""


@dataclass(frozen=True)
class Seen:
    """An image before anything was done to it: Pillow's mode, width and height, file format.

    `top` is the largest value of its pixels where they have 16 bits, else -1. Of 16-bit colours (`deep`) Pillow reads
    the upper eight bits alone; then `top` is the largest that the value can be.
    """

    mode: str
    size: tuple[int, int]
    form: str
    top: int = -1
    deep: bool = False


MOST = 16
USUAL_BITS = (8, 10, 12, 14)
"""Bits of a pixel that cameras and scanners store in 16."""


def decode(content: bytes, name: object, settings: Files) -> np.ndarray:
    """Pixels uint8 [H,W,3] of an encoded image, turned upright, resized and cut as the settings say."""
    return decoded(content, name, settings)[0]


def decoded(content: bytes, name: object, settings: Files) -> tuple[np.ndarray, Seen]:
    """The same with what the image was before."""
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise BadImageError(f"{name}: an empty file")
    try:
        with Image.open(io.BytesIO(content), formats=readable()) as image:
            _refuse(image, name)
            mode = "RGBA" if image.mode == "P" and "transparency" in image.info else image.mode
            deep = _deep(image)
            rgb, top = _rgb(_turned(image, settings.apply_exif_rotation), name, settings.bits or MOST)
            if deep:
                top = 256 * int(np.asarray(rgb).max()) + 255
            pixels = fitted(rgb, settings.size, settings.resize, settings.interpolation)
            return np.asarray(pixels), Seen(mode, image.size, _form(image, content), top, deep)
    except UnidentifiedImageError as error:
        kind = foreign(content)
        why = f"a {kind} file, which Pillow cannot read; convert it to JPEG or PNG" if kind else "not an image file"
        raise BadImageError(f"{name}: {why}") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise BadImageError(f"{name}: more than {LARGEST // 10**6} megapixels; shrink it") from error
    except BadImageError:
        raise
    except Exception as error:  # whatever Pillow's many readers raise at damaged bytes
        raise BadImageError(f"{name}: truncated or damaged ({error})") from error


def _refuse(image: Image, name: object) -> None:
    width, height = image.size
    if width * height > LARGEST:
        raise BadImageError(f"{name}: {width}x{height} px, more than {LARGEST // 10**6} megapixels; shrink it")
    if min(width, height) < SMALLEST:
        raise BadImageError(f"{name}: {width}x{height} px, less than {SMALLEST} a side")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise BadImageError(f"{name}: {frames} frames; give one of them as an image")
    if image.mode == "F":
        raise BadImageError(f"{name}: floating-point pixels; store it with 8 or 16 bits")


def _turned(image: Image, upright: bool) -> Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image) if upright else image


def _deep(image: Image) -> bool:
    """Whether the file has 16-bit colours, or grey with alpha, of which Pillow reads the upper eight bits alone."""
    if image.format not in ("PNG", "TIFF") or image.mode not in ("RGB", "RGBA", "RGBX", "RGBa", "LA"):
        return False
    raw = [
        tile.args if isinstance(tile.args, str) else tile.args[0] for tile in getattr(image, "tile", []) if tile.args
    ]
    return any(";16" in str(mode) for mode in raw)


def _form(image: Image, content: bytes) -> str:
    """The file's format, where it matters with its compression."""
    if image.format == "WEBP" and content[12:16] == b"VP8L":
        return "WEBP, lossless"
    if image.format == "TIFF" and "jpeg" in str(image.info.get("compression")):
        return "TIFF, JPEG"
    return "JPEG" if image.format == "MPO" else str(image.format)


def _rgb(image: Image, name: object, bits: int) -> tuple[Image, int]:
    """8-bit colours, and the largest value of 16-bit grey, else -1."""
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.int64)
        low, top = int(grey.min()), int(grey.max())
        if low < 0 or top >= 1 << bits:
            wrong = low if low < 0 else top
            remedy = f"; set `bits: {_bits(top)}`" if low >= 0 and top < 1 << MOST else "; store it with 16 bits"
            raise BadImageError(f"{name}: a value of {wrong}, outside 0 to {(1 << bits) - 1} of {bits} bits{remedy}")
        return Image.fromarray((grey >> (bits - 8)).astype(np.uint8)).convert("RGB"), top
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB"), -1


def _bits(top: int) -> int:
    """The usual number of bits that holds a value."""
    return next((bits for bits in USUAL_BITS if top < 1 << bits), MOST)


def fitted(image: Image, size: int | None, resize: int | None, interpolation: Interpolation = "bilinear") -> Image:
    """The shorter side to `resize` (default: `size`), with antialiasing, then the central size x size."""
    from PIL import Image

    if size is None:
        return image
    width, height = image.size
    shorter = resize or size
    if min(width, height) != shorter:
        longer = int(shorter * max(width, height) / min(width, height))
        width, height = (shorter, longer) if width <= height else (longer, shorter)
        image = image.resize((width, height), Image.Resampling[interpolation.upper()])
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size)) if image.size != (size, size) else image


class Reading:
    """Decodes a listing in its order; `kept` and `skipped` fill while it is iterated.

    Raises where an image is bad and `on_bad_image` is `error`, where all are, and where sizes differ, or exceed 64 px
    without having been asked for.
    """

    def __init__(self, listing: Listing, settings: Files, threads: int = 1) -> None:
        if not len(listing):
            raise SynthoodError(f"{listing.origin}: no images")
        self.listing, self.settings, self.threads = listing, settings, threads
        self.kept: list[int] = []
        self.skipped: list[str] = []
        self.seen: Counter[tuple[str, tuple[int, int]]] = Counter()
        self.facts = ImageFacts()
        self.top, self.deep = -1, False

    def __iter__(self) -> Iterator[np.ndarray]:
        shape: tuple[int, ...] | None = None
        for index, found in enumerate(_decoded(self.listing, self.settings, self.threads)):
            if isinstance(found, BadImageError):
                if self.settings.on_bad_image == "error":
                    raise SynthoodError(f"{found} (`on_bad_image: skip` leaves such images out)") from found
                self.skipped.append(str(found))
                continue
            image, seen = found
            shape = shape or image.shape
            self._check(index, image.shape, shape)
            self.kept.append(index)
            self._note(image, seen)
            yield image
        if not self.kept:
            count, origin = len(self.listing), self.listing.origin
            raise SynthoodError(f"{origin}: none of {count} images is readable; the first: {self.skipped[0]}")
        self._check_bits()

    def _note(self, image: np.ndarray, seen: Seen) -> None:
        self.seen[seen.mode, seen.size] += 1
        how = self.settings
        native, rule = history(*seen.size, how.size, how.resize, how.interpolation)
        self.facts.add(native, bool(are_grey(image)), seen.form, rule)
        self.top = max(self.top, seen.top)
        self.deep = self.deep or seen.deep

    def _check_bits(self) -> None:
        """Raises where all values of a set of 16-bit images fit into fewer bits, so that it would be nearly black."""
        bits, fits, origin = self.settings.bits, _bits(self.top), self.listing.origin
        if self.top < 0 or bits == MOST:
            return
        if bits is None and fits < MOST:
            found = f"{origin}: no value of its 16-bit images is above {self.top}, so all fit into {fits} bits"
            if self.deep:
                raise SynthoodError(f"{found}; store colours with 8 bits, or set `bits: 16` if they are that dark")
            raise SynthoodError(f"{found}; set `bits: {fits}`, or `bits: 16` if the images are that dark")
        if bits is not None and self.deep:
            raise SynthoodError(f"{origin}: `bits: {bits}` is for grey images; store 16-bit colours with 8 bits")

    def _check(self, index: int, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
        images = self.listing.images
        name = images[index] if isinstance(images, list) else f"{self.listing.origin}, image {index}"
        if shape != first:
            sides = f"{shape[1]}x{shape[0]} px, the first {first[1]}x{first[0]}"
            raise SynthoodError(f"{name}: {sides}; set `size`")
        if max(shape[:2]) > LARGEST_RAW and self.settings.size is None:
            raise SynthoodError(f"{name}: {shape[1]}x{shape[0]} px; set `size`, and images are resized and cut once")

    @property
    def notes(self) -> list[str]:
        """What was done to the images that came, and which were left out."""
        modes: Counter[str] = Counter()
        for (mode, _), count in self.seen.items():
            modes["grey"] += count * (mode in GREY)
            modes["alpha"] += count * (mode in ALPHA)
        sizes = sorted({size for _, size in self.seen})
        found = [f"{modes['grey']} grey images became RGB"] if modes["grey"] else []
        found += [f"{modes['alpha']} images lost their alpha channel"] if modes["alpha"] else []
        if len(sizes) > 1:
            shorter = sorted(min(size) for size in sizes)
            told = f"images of {len(sizes)} sizes, shorter sides from {shorter[0]} to {shorter[-1]} px"
            found.append(f"{told}, became {self.settings.size}x{self.settings.size}")
        return found + self.skipped

    @property
    def labels(self) -> np.ndarray:
        """Labels int64 of the images that came."""
        return self.listing.labels[self.kept]


def _decoded(listing: Listing, settings: Files, threads: int) -> Iterator[tuple[np.ndarray, Seen] | BadImageError]:
    """Every image of a listing in its order with what it was, or why it is none; a few at a time are in memory."""
    if isinstance(listing.images, np.ndarray):
        height, width = listing.images.shape[1:3]
        seen = Seen("RGB", (width, height), "array")
        yield from ((_fitted_pixels(image, settings), seen) for image in listing.images)
        return

    def one(file: Path) -> tuple[np.ndarray, Seen] | BadImageError:
        try:
            return decoded(file.read_bytes(), file, settings)
        except BadImageError as error:
            return error
        except FileNotFoundError as error:
            raise SynthoodError(f"{file}: not found, but named by {listing.origin}") from error
        except OSError as error:
            raise SynthoodError(f"{file}: cannot be read ({error.strerror})") from error

    with bombs_are_errors(), ThreadPoolExecutor(threads) as pool:
        step = 64 * threads
        for start in range(0, len(listing.images), step):
            yield from pool.map(one, listing.images[start : start + step])


def _fitted_pixels(image: np.ndarray, settings: Files) -> np.ndarray:
    from PIL import Image

    if settings.size is None or (image.shape[:2] == (settings.size, settings.size) and settings.resize is None):
        return image
    return np.asarray(fitted(Image.fromarray(image), settings.size, settings.resize, settings.interpolation))


@contextmanager
def bombs_are_errors() -> Iterator[None]:
    """Pillow's own warning at large headers becomes a bad image; other remarks of its readers stay silent."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
