"""Seconds to prepare real CIFAR-10, each beside its bar: python benchmarks/data.py FOLDER [--png]

FOLDER holds cifar-10-batches-py, and for --png images_classic and benchmark_imglist of OpenOOD in openood. Parts train,
val and test are prepared one after the other by one thread, from raw file to written artefact. Exit code 1 where a bar
is not met.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from synthood.data.prepare import main as prepare


def seconds(source: dict[str, Any], threads: int) -> float:
    """From raw files to the three image sets of an ID source."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        for part in ("train", "val", "test"):
            settings = json.dumps({"part": part, "source": source})
            output = str(Path(place) / f"{part}.safetensors")
            prepare(["--settings", settings, "--output", output, "--threads", str(threads)])
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--png", action="store_true", help="measure 60,000 PNG files as well")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    lists = arguments.folder / "openood" / "benchmark_imglist" / "cifar10"
    named = {part: str(lists / f"{part}_cifar10.txt") for part in ("train", "val", "test")}
    images = str(arguments.folder / "openood" / "images_classic")
    sources: list[tuple[str, dict[str, Any], float]] = [
        ("CIFAR-10 from pickles", {"kind": "cifar10", "path": str(arguments.folder)}, 10)
    ]
    if arguments.png:
        sources.append(("CIFAR-10 from 60,000 PNG files", {"kind": "imglist", "path": images, **named}, 90))
    rows = [(name, seconds(source, arguments.threads), bar) for name, source, bar in sources]
    print(f"{os.cpu_count()} cores, {arguments.threads} threads")
    for name, value, bar in rows:
        print(f"{name:<46}{value:8.1f} s   <= {bar:<5} {'met' if value <= bar else 'NOT MET'}")
    sys.exit(any(value > bar for _, value, bar in rows))


if __name__ == "__main__":
    main()
