"""From an image file to RGB pixels; what is not a plain readable image is refused by name.

Grey, palette, CMYK and 16-bit images become 8-bit RGB; alpha is dropped, as the benchmarks' loaders do.
"""

import io
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synthood.common.encoded import LARGEST_RAW
from synthood.data.files.formats import foreign, readable
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


Facts = tuple[str, tuple[int, int]]
"""An image's mode and its width and height, before anything was done to it."""


def decode(content: bytes, name: object, settings: Files) -> np.ndarray:
    """Pixels uint8 [H,W,3] of an encoded image, turned upright, resized and cut as the settings say."""
    return decoded(content, name, settings)[0]


def decoded(content: bytes, name: object, settings: Files) -> tuple[np.ndarray, Facts]:
    """The same with what the image was before."""
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise BadImageError(f"{name}: an empty file")
    try:
        with Image.open(io.BytesIO(content), formats=readable()) as image:
            _refuse(image, name)
            mode = "RGBA" if image.mode == "P" and "transparency" in image.info else image.mode
            pixels = fitted(_rgb(_turned(image, settings.upright)), settings.size, settings.resize)
            return np.asarray(pixels), (mode, image.size)
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


def _refuse(image: "Image", name: object) -> None:
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


def _turned(image: "Image", upright: bool) -> "Image":
    from PIL import ImageOps

    return ImageOps.exif_transpose(image) if upright else image


def _rgb(image: "Image") -> "Image":
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.int64)
        return Image.fromarray((grey.clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def fitted(image: "Image", size: int | None, resize: int | None) -> "Image":
    """The shorter side to `resize` (default: `size`), bilinear with antialiasing, then the central size x size."""
    from PIL import Image

    if size is None:
        return image
    width, height = image.size
    shorter = resize or size
    if min(width, height) != shorter:
        longer = int(shorter * max(width, height) / min(width, height))
        width, height = (shorter, longer) if width <= height else (longer, shorter)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
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
        self.facts: Counter[Facts] = Counter()

    def __iter__(self) -> Iterator[np.ndarray]:
        shape: tuple[int, ...] | None = None
        for index, found in enumerate(_decoded(self.listing, self.settings, self.threads)):
            if isinstance(found, BadImageError):
                if self.settings.on_bad_image == "error":
                    raise SynthoodError(f"{found} (`on_bad_image: skip` leaves such images out)") from found
                self.skipped.append(str(found))
                continue
            image, facts = found
            shape = shape or image.shape
            self._check(index, image.shape, shape)
            self.kept.append(index)
            self.facts.update([facts] if facts else [])
            yield image
        if not self.kept:
            count, origin = len(self.listing), self.listing.origin
            raise SynthoodError(f"{origin}: none of {count} images is readable; the first: {self.skipped[0]}")

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
        for (mode, _), count in self.facts.items():
            modes["grey"] += count * (mode in GREY)
            modes["alpha"] += count * (mode in ALPHA)
        sizes = sorted({size for _, size in self.facts})
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


def _decoded(
    listing: Listing, settings: Files, threads: int
) -> Iterator[tuple[np.ndarray, Facts | None] | BadImageError]:
    """Every image of a listing in its order with what it was, or why it is none; a few at a time are in memory."""
    if isinstance(listing.images, np.ndarray):
        yield from ((_fitted_pixels(image, settings), None) for image in listing.images)
        return

    def one(file: Path) -> tuple[np.ndarray, Facts] | BadImageError:
        try:
            return decoded(file.read_bytes(), file, settings)
        except BadImageError as error:
            return error
        except FileNotFoundError as error:
            raise SynthoodError(f"{file}: not found, but named by {listing.origin}") from error
        except OSError as error:
            raise SynthoodError(f"{file}: cannot be read ({error.strerror})") from error

    with _bombs_are_errors(), ThreadPoolExecutor(threads) as pool:
        step = 64 * threads
        for start in range(0, len(listing.images), step):
            yield from pool.map(one, listing.images[start : start + step])


def _fitted_pixels(image: np.ndarray, settings: Files) -> np.ndarray:
    from PIL import Image

    if settings.size is None or (image.shape[:2] == (settings.size, settings.size) and settings.resize is None):
        return image
    return np.asarray(fitted(Image.fromarray(image), settings.size, settings.resize))


@contextmanager
def _bombs_are_errors() -> Iterator[None]:
    """Pillow's own warning at large headers becomes a bad image; other remarks of its readers stay silent."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
