"""From an image file to RGB pixels; what is not a plain readable image is refused by name.

Grey, palette, CMYK and 16-bit images become 8-bit RGB; alpha is dropped, as the benchmarks' loaders do.
"""

import io
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synthood.common.encoded import LARGEST_RAW
from synthood.data.file_settings import Files
from synthood.data.listing import Listing
from synthood.errors import SynthoodError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000")
"""What is read; Pillow would hand some others to outside programs."""
SMALLEST = 8
"""Shorter images than this say nothing at any size."""
LARGEST = 89_000_000
"""Pixels; more is a mistake or an attack."""


class BadImageError(SynthoodError):
    """One file that is no usable image."""


def decode(content: bytes, name: object, settings: Files) -> np.ndarray:
    """Pixels uint8 [H,W,3] of an encoded image, turned upright, resized and cut as the settings say."""
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise BadImageError(f"{name}: an empty file")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _refuse(image, name)
            return np.asarray(fitted(_rgb(_turned(image, settings.upright)), settings.size, settings.resize))
    except UnidentifiedImageError as error:
        raise BadImageError(f"{name}: not an image file") from error
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

    def __iter__(self) -> Iterator[np.ndarray]:
        shape: tuple[int, ...] | None = None
        for index, found in enumerate(_decoded(self.listing, self.settings, self.threads)):
            if isinstance(found, BadImageError):
                if self.settings.on_bad_image == "error":
                    raise SynthoodError(f"{found} (`on_bad_image: skip` leaves such images out)") from found
                self.skipped.append(str(found))
                continue
            shape = shape or found.shape
            self._check(index, found.shape, shape)
            self.kept.append(index)
            yield found
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
    def labels(self) -> np.ndarray:
        """Labels int64 of the images that came."""
        return self.listing.labels[self.kept]


def _decoded(listing: Listing, settings: Files, threads: int) -> Iterator[np.ndarray | BadImageError]:
    """Every image of a listing in its order, or why it is none; a few at a time are in memory."""
    if isinstance(listing.images, np.ndarray):
        yield from (_fitted_pixels(image, settings) for image in listing.images)
        return

    def one(file: Path) -> np.ndarray | BadImageError:
        try:
            return decode(file.read_bytes(), file, settings)
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
