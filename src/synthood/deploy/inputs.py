"""Whatever a user has as images, one by one as pixels of the model's size, or with the reason why not."""

import io
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from synthood.common.settings import Interpolation
from synthood.data.files.decode import ALPHA, GREY, BadImageError, Seen, bombs_are_errors, decoded
from synthood.data.files.found import look
from synthood.data.files.settings import Files
from synthood.errors import SynthoodError, printable

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")
LARGEST_FILE = 1 << 30
"""Bytes; no image of the most pixels has more."""


@dataclass(frozen=True)
class Preprocessing:
    """Pixels that the model takes: height and width, and how a file becomes an image of that size (`data.files`)."""

    height: int
    width: int
    resize: int | None = None
    apply_exif_rotation: bool = True
    bits: int | None = None
    interpolation: Interpolation = "bilinear"

    @cached_property
    def files(self) -> Files:
        """What decodes a file; images are resized and cut where the model's are square."""
        size = self.height if self.height == self.width else None
        return Files(
            path=".",
            size=size,
            resize=self.resize,
            interpolation=self.interpolation if size else "bilinear",
            apply_exif_rotation=self.apply_exif_rotation,
            bits=self.bits,
        )

    def header(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def read(cls, header: Mapping[str, Any]) -> "Preprocessing":
        return cls(**header)


@dataclass(frozen=True)
class Input:
    """One image: a name, pixels uint8 [H,W,3] or None, and what was converted or why there are none."""

    name: str
    pixels: NDArray[np.uint8] | None
    note: str = ""


Make = Callable[[], Input]
AT_ONCE = 16
"""Images that a thread decodes in one go, since handing them over one by one takes time of its own."""


def processed(
    images: Any, preprocessing: Preprocessing, work: Callable[[list[Input]], T], batch: int, threads: int
) -> Iterator[T]:
    """What `work` gives for every batch of images in order, of which the next is decoded by threads meanwhile.

    `images` is a path of a file or folder, an image, or a sequence, array, tensor or iterator of them. Raises
    SynthoodError for what is no image at all, and for a folder without images; a bad image is an Input with a reason.
    """
    makes = each(images, preprocessing)

    def made(some: Sequence[Make]) -> list[Input]:
        return [make() for make in some]

    with ThreadPoolExecutor(threads) as pool:

        def begun() -> list[Future[list[Input]]]:
            some = list(islice(makes, batch))
            return [pool.submit(made, some[first : first + AT_ONCE]) for first in range(0, len(some), AT_ONCE)]

        with bombs_are_errors():
            ready = [one for part in begun() for one in part.result()]
        while ready:
            with bombs_are_errors():
                coming = begun()
                done = work(ready)
                ready = [one for part in coming for one in part.result()]
            yield done


def processed_by_threads(
    images: Any, preprocessing: Preprocessing, work: Callable[[list[Input]], T], batch: int, threads: int
) -> Iterator[T]:
    """The same where each thread decodes a batch and does the work on it, two batches per thread at a time."""
    makes = each(images, preprocessing)

    def whole(some: Sequence[Make]) -> T:
        return work([make() for make in some])

    with ThreadPoolExecutor(threads) as pool:
        while some := list(islice(makes, 2 * threads * batch)):
            with bombs_are_errors():
                done = list(pool.map(whole, (some[first : first + batch] for first in range(0, len(some), batch))))
            yield from done


def each(images: Any, preprocessing: Preprocessing, place: str = "") -> Iterator[Make]:
    """What makes every image."""
    if isinstance(images, str | Path):
        yield from of_path(Path(images), preprocessing)
    elif is_picture(images):
        yield partial(of_picture, images, place or "image 0", preprocessing)
    elif (array := as_array(images)) is not None and array.ndim in (2, 3):
        yield partial(of_array, array, place or "image 0", preprocessing)
    elif array is not None and array.ndim == 4:
        for index, one in enumerate(array):
            yield partial(of_array, one, f"{place or 'image'} {index}", preprocessing)
    elif array is not None:
        raise SynthoodError(f"{place or 'images'}: expected arrays [H,W,3] or [N,H,W,3], got {list(array.shape)}")
    elif isinstance(images, Iterable) and not isinstance(images, Mapping | bytes):
        for index, one in enumerate(images):
            yield from each(one, preprocessing, f"image {index}")
    else:
        raise SynthoodError(
            f"{place or 'images'}: expected paths, arrays, tensors or PIL images, got {type(images).__name__}"
        )


def of_path(path: Path, preprocessing: Preprocessing) -> Iterator[Make]:
    """A file, or all images below a folder, with those that cannot be read; other files there are left out."""
    if not path.is_dir():
        yield partial(of_file, path, preprocessing)
        return
    found = look(path)
    files = sorted([*found.images, *found.unreadable])
    if not files:
        raise SynthoodError(f"{printable(path)}: no images below it ({len(found.others)} other files)")
    for file in files:
        yield partial(of_file, file, preprocessing)


def of_file(path: Path, preprocessing: Preprocessing) -> Input:
    """The image in a file."""
    name = str(path)
    try:
        facts = path.stat()
        # Pipes and devices may never end
        if not stat.S_ISREG(facts.st_mode):
            return Input(name, None, "a folder" if stat.S_ISDIR(facts.st_mode) else "not a regular file")
        if facts.st_size > LARGEST_FILE:
            return Input(name, None, f"more than {LARGEST_FILE >> 30} GiB")
        return of_content(path.read_bytes(), name, preprocessing)
    except FileNotFoundError:
        return Input(name, None, "not found")
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        return Input(name, None, str(getattr(error, "strerror", None) or error))


def of_content(content: bytes, name: str, preprocessing: Preprocessing, converted: str = "") -> Input:
    """The image in a file's bytes; `converted` says what was done to it before."""
    settings = preprocessing.files
    try:
        pixels, seen = decoded(content, name, settings)
    except BadImageError as error:
        return Input(name, None, str(error).removeprefix(f"{name}: "))
    if pixels.shape[:2] != (preprocessing.height, preprocessing.width):
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        return Input(name, None, f"{size} px; the model takes {preprocessing.width}x{preprocessing.height} px alone")
    return Input(name, pixels, "; ".join(filter(None, [converted, *changes(seen, preprocessing)])))


def changes(seen: Seen, preprocessing: Preprocessing) -> Iterator[str]:
    """What was done to an image, in words."""
    if seen.size != (preprocessing.width, preprocessing.height):
        yield f"{seen.size[0]}x{seen.size[1]} px resized"
    if seen.mode in GREY:
        yield "grey to RGB"
    if seen.mode in ALPHA:
        yield "alpha dropped"
    if seen.mode not in (*GREY, *ALPHA, "RGB"):
        yield f"{seen.mode} to RGB"
    if seen.top >= 0:
        yield "16 bits to 8"


def is_picture(value: Any) -> bool:
    """Whether a value is an image of Pillow."""
    from PIL import Image

    return isinstance(value, Image.Image)


def of_picture(image: "Image", name: str, preprocessing: Preprocessing) -> Input:
    """As if it came out of a file without loss."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        return Input(name, None, f"{frames} frames; give one of them as an image")
    mode, form = image.mode, "TIFF" if image.mode == "F" else "PNG"
    if mode not in ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA", "F"):
        image = image.convert("RGB")
    stream = io.BytesIO()
    exif = {"exif": image.getexif()} if form == "PNG" else {}
    image.save(stream, form, **({"compress_level": 0} if form == "PNG" else {}), **exif)
    return of_content(stream.getvalue(), name, preprocessing, f"{mode} to RGB" if image.mode != mode else "")


def as_array(value: Any) -> NDArray[Any] | None:
    """An array's or a tensor's numbers, channels last; None for anything else."""
    if isinstance(value, np.ndarray):
        return value
    if type(value).__module__.partition(".")[0] != "torch" or not hasattr(value, "detach"):
        return None
    found: NDArray[Any] = value.detach().cpu().numpy()
    if found.ndim in (3, 4) and found.shape[-3] in (1, 3, 4):
        return np.moveaxis(found, -3, -1)
    return found


def of_array(values: NDArray[Any], name: str, preprocessing: Preprocessing) -> Input:
    """Of [H,W], [H,W,1], [H,W,3] or [H,W,4], uint8 or float in [0,1]."""
    from PIL import Image

    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim == 3 and values.shape[2] not in (3, 4):
        return Input(name, None, f"expected [H,W,3] or [3,H,W] of a tensor, got {list(values.shape)}")
    converted = ""
    if values.dtype.kind == "f":
        if not values.size or not (0 <= values.min() <= values.max() <= 1):
            return Input(name, None, "floating-point pixels outside 0 to 1; give uint8, or floats in [0,1]")
        values, converted = (values * 255).round().astype(np.uint8), "floats to 8 bits"
    if values.dtype != np.uint8:
        return Input(name, None, f"pixels of type {values.dtype}; give uint8, or floats in [0,1]")
    if values.shape == (preprocessing.height, preprocessing.width, 3) and preprocessing.resize is None:
        return Input(name, values, converted)
    found = of_picture(Image.fromarray(np.ascontiguousarray(values)), name, preprocessing)
    return Input(name, found.pixels, "; ".join(filter(None, [converted, found.note])))
