"""What reading and preparing images costs, against Pillow: python benchmarks/data.py [FOLDER]

A prepared set, verified and read, against a DataLoader that decodes the same images from PNG files by Pillow; 2,000
JPEGs of 500x400 px to 256x256 against bare Pillow calls on as many threads. Bars: 100,000 prepared images a second; 0.9
of bare Pillow; 1.5 GiB for preparing 200,000 PNG files. FOLDER holds cifar-10-batches-py, and OpenOOD's images_classic
and benchmark_imglist in openood: parts train, val and test are then prepared by one thread, from raw files to written
artefacts.
"""

import io
import json
import resource
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench import options, run
from compare import Measurement, figure, measured, within
from machine import limit
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from synthood.common.images import ImageSet, read_images, write_images
from synthood.data.files.decode import Reading
from synthood.data.prepare import main as prepare
from synthood.data.sources.folders import Folders, folder_set

LARGE = 256
PEAK = "--peak-of"


class Pictures(Dataset[torch.Tensor]):
    """Files one by one through Pillow, uint8 [H,W,3]."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.files[index]) as image:
            return torch.from_numpy(np.array(image.convert("RGB")))


def write_pictures(folder: Path, images: Iterable[np.ndarray]) -> list[Path]:
    """Images [H,W,3] as PNG files."""
    folder.mkdir()
    files = []
    for number, pixels in enumerate(images):
        files.append(folder / f"{number:06}.png")
        Image.fromarray(pixels).save(files[-1], compress_level=0)
    return files


def cifar10(folder: Path, seconds: float) -> Iterator[Measurement]:
    """The same 60,000 images from pickles and from PNG files."""
    lists = folder / "openood" / "benchmark_imglist" / "cifar10"
    named = {part: str(lists / f"{part}_cifar10.txt") for part in ("train", "val", "test")}
    images = str(folder / "openood" / "images_classic")

    def prepared(source: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as place:
            for part in named:
                settings = json.dumps({"part": part, "source": source})
                prepare(["--settings", settings, "--output", f"{place}/{part}.safetensors", "--threads", "1"])

    for what, source, most in (
        ("pickles", {"kind": "cifar10", "path": str(folder)}, 10),
        ("60,000 PNG files", {"kind": "imglist", "path": images, **named}, 90),
    ):
        yield within(f"CIFAR-10 from {what}", partial(prepared, source), most, 5, seconds)


def reading(place: Path, count: int, turns: int, seconds: float) -> Iterator[Measurement]:
    """A prepared set against PNG files."""
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    files, ready = write_pictures(place / "few", images[: count // 10]), place / "set.safetensors"
    write_images(ready, ImageSet.out_of_distribution(images))
    write_images(few := place / "few.safetensors", ImageSet.out_of_distribution(images[: count // 10]))
    loader = DataLoader(Pictures(files), 128)
    yield measured(
        f"{len(files):,} images of 32 px to memory",
        lambda: read_images(few),
        "DataLoader, PNG by Pillow",
        lambda: [batch.sum() for batch in loader],
        turns,
        seconds,
        limit=limit(0, images[: count // 10].nbytes),
    )
    yield within(f"{count:,} prepared images", lambda: read_images(ready), count / 100_000, turns, seconds)


def photograph(random: np.random.Generator) -> bytes:
    """A JPEG of 500x400 px with the detail of a photograph: enlarged noise at two scales."""
    coarse, fine = (
        Image.fromarray(random.integers(0, 256, (*side, 3), dtype=np.uint8)).resize(
            (500, 400), Image.Resampling.BICUBIC
        )
        for side in ((10, 12), (100, 125))
    )
    Image.blend(coarse, fine, 0.25).save(stream := io.BytesIO(), "JPEG", quality=90)
    return stream.getvalue()


def bare(file: Path) -> np.ndarray:
    """What any loader must do: decode, resize the shorter side, cut the centre."""
    with Image.open(file) as image:
        resized = image.convert("RGB").resize((LARGE * 500 // 400, LARGE), Image.Resampling.BILINEAR)
    left = (resized.width - LARGE) // 2
    return np.asarray(resized.crop((left, 0, left + LARGE, LARGE)))


def large(place: Path, count: int, threads: int, turns: int, seconds: float) -> Measurement:
    """Decoding and resizing against bare Pillow calls."""
    random = np.random.default_rng(0)
    contents = [photograph(random) for _ in range(50)]
    (place / "jpeg").mkdir()
    for i in range(count):
        (place / "jpeg" / f"{i:05}.jpg").write_bytes(contents[i % len(contents)])
    settings = Folders(kind="folders", path=str(place / "jpeg"), size=LARGE)
    listing = folder_set(settings)
    files = [file for file in listing.images if isinstance(file, Path)]

    def theirs() -> None:
        with ThreadPoolExecutor(threads) as pool:
            for _image in pool.map(bare, files):
                pass

    def ours() -> None:
        for _image in Reading(listing, settings, threads):
            pass

    return measured(f"{count:,} JPEGs to {LARGE} px", ours, "bare Pillow", theirs, turns, seconds, bar=0.9)


def peak(place: Path, count: int) -> Measurement:
    """Largest memory of a job that prepares so many PNG files, in a process of its own."""
    random = np.random.default_rng(0)
    write_pictures(place / "png", (random.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(count)))
    source = {"kind": "folders", "path": str(place / "png")}
    settings = json.dumps({"part": "far", "ood": True, "source": source})
    command = [sys.executable, __file__, PEAK, settings, str(place / "far.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return figure(f"preparing {count:,} PNG files, memory", float(done.stdout.split()[-1]), 1.5, "GiB")


def rows(given: Namespace) -> Iterator[Measurement]:
    share, turns, seconds = (10, 5, 6.0) if given.quick else (1, 15, 60.0)
    with tempfile.TemporaryDirectory() as place:
        yield peak(Path(place), 200_000 // share)  # first, since a process starts with its parent's peak
        yield from reading(Path(place), 50_000 // share, turns, seconds)
        yield large(Path(place), 2_000 // share, given.threads, turns, seconds)
    if given.folder:
        yield from cifar10(given.folder, seconds)


if __name__ == "__main__":
    if sys.argv[1:2] == [PEAK]:
        prepare(["--settings", sys.argv[2], "--output", sys.argv[3], "--threads", "1"])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
    else:
        parser = options(__doc__)
        parser.add_argument("folder", type=Path, nargs="?")
        sys.exit(run("data", rows, parser.parse_args()))
