"""What preparing and reading images costs, each figure beside its bar: python benchmarks/data.py [FOLDER]

FOLDER holds cifar-10-batches-py, and OpenOOD's images_classic and benchmark_imglist in openood; without it the figures
of CIFAR-10 are left out. Parts train, val and test are prepared one after the other by one thread, from raw files to
written artefacts. Large images: 2,000 JPEGs of 500x400 px become 256x256, beside bare Pillow calls on as many threads.
Exit code 1 where a bar is not met.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from synthood.common.images import ImageSet, read_images, write_images
from synthood.data.files.decode import Reading
from synthood.data.prepare import main as prepare
from synthood.data.sources.folders import Folders, folder_set

Line = tuple[str, float, str, bool, float]
"""Name, value, its unit, whether larger is better, and the bar."""
LARGE = 256
PEAK = "--peak-of"


def seconds(source: dict[str, Any]) -> float:
    """From raw files to the three image sets of an ID source."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        for part in ("train", "val", "test"):
            settings = json.dumps({"part": part, "source": source})
            prepare(["--settings", settings, "--output", f"{place}/{part}.safetensors", "--threads", "1"])
    return time.monotonic() - began


def cifar10(folder: Path) -> Iterator[Line]:
    """The same 60,000 images from pickles and from PNG files."""
    lists = folder / "openood" / "benchmark_imglist" / "cifar10"
    named = {part: str(lists / f"{part}_cifar10.txt") for part in ("train", "val", "test")}
    images = str(folder / "openood" / "images_classic")
    yield "CIFAR-10 from pickles", seconds({"kind": "cifar10", "path": str(folder)}), "s", False, 10
    yield "CIFAR-10 from 60,000 PNG files", seconds({"kind": "imglist", "path": images, **named}), "s", False, 90


def reading(place: Path, count: int) -> Iterator[Line]:
    """Verifying and reading a prepared set, the best of three."""
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    write_images(place / "set.safetensors", ImageSet.out_of_distribution(images))
    taken = []
    for _ in range(3):
        began = time.monotonic()
        read_images(place / "set.safetensors")
        taken.append(time.monotonic() - began)
    yield f"reading {count:,} prepared images", count / min(taken), "/s", True, 100_000


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


def large(place: Path, count: int) -> Iterator[Line]:
    """Decoding and resizing beside bare Pillow calls, in turn, the best of three each."""
    random = np.random.default_rng(0)
    contents = [photograph(random) for _ in range(50)]
    (place / "jpeg").mkdir()
    for i in range(count):
        (place / "jpeg" / f"{i:05}.jpg").write_bytes(contents[i % len(contents)])
    settings = Folders(kind="folders", path=str(place / "jpeg"), size=LARGE)
    listing, threads = folder_set(settings), os.cpu_count() or 1
    files = [file for file in listing.images if isinstance(file, Path)]
    taken: dict[str, list[float]] = {"own": [], "bare": []}
    for _ in range(3):
        began = time.monotonic()
        with ThreadPoolExecutor(threads) as pool:
            for _image in pool.map(bare, files):
                pass
        taken["bare"].append(time.monotonic() - began)
        began = time.monotonic()
        for _image in Reading(listing, settings, threads):
            pass
        taken["own"].append(time.monotonic() - began)
    yield f"{count:,} JPEGs to {LARGE} px, bare Pillow", count / min(taken["bare"]), "/s", True, 0
    yield f"{count:,} JPEGs to {LARGE} px, of bare Pillow", 100 * min(taken["bare"]) / min(taken["own"]), "%", True, 90


def peak(place: Path, count: int) -> Iterator[Line]:
    """Largest memory of a job that prepares so many PNG files, in a process of its own."""
    random = np.random.default_rng(0)
    (place / "png").mkdir()
    for i in range(count):
        pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "png" / f"{i:06}.png", compress_level=0)
    source = {"kind": "folders", "path": str(place / "png")}
    settings = json.dumps({"part": "far", "ood": True, "source": source})
    command = [sys.executable, __file__, PEAK, settings, str(place / "far.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    yield f"peak of preparing {count:,} PNG files", float(done.stdout.split()[-1]), "GiB", False, 1.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--jpegs", type=int, default=2_000)
    parser.add_argument("--images", type=int, default=200_000, help="of the peak of memory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        lines = list(peak(Path(place), arguments.images))  # first, since a process starts with its parent's peak
        lines += reading(Path(place), 50_000)
        lines += large(Path(place), arguments.jpegs)
    lines += cifar10(arguments.folder) if arguments.folder else []
    print(f"{os.cpu_count()} cores")
    missed = False
    for name, value, unit, more, bar in lines:
        met = value >= bar if more else value <= bar
        missed |= not met
        said = f"{'>=' if more else '<='} {bar:<10,}{'met' if met else 'NOT MET'}" if bar else ""
        print(f"{name:<44}{value:12,.2f} {unit:<4}{said}".rstrip())
    sys.exit(missed)


if __name__ == "__main__":
    if sys.argv[1:2] == [PEAK]:
        prepare(["--settings", sys.argv[2], "--output", sys.argv[3], "--threads", "1"])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
    else:
        main()
