"""What a GPU makes of this, in ten minutes at most: python benchmarks/gpu.py --device cuda [--data data]

Four sections, each within a time of its own, and one table at the end, which also goes to `--csv`:

- correctness: network, losses and scores on the device beside float64 on the CPU;
- training: ResNet-18 on images of CIFAR-10's shape by the project's own loop, as images per second and as a share of
  what the device reaches in a bfloat16 matrix product; where `--data` names a folder with `cifar10_train.npz` and
  `cifar10_test.npz` (arrays `images`, `labels`), 100 epochs on them;
- extraction and scores: logits and features, then every detector of features on banks of CIFAR-10's size;
- sampling: Stable Diffusion 1 at its true sizes with random weights, the sampler beside a float32 loop of 50 steps.

`--device cpu --quick` runs the same at tiny sizes in a minute or two. Exit code 1 where a bar is not met.
"""

import argparse
import csv
import importlib
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # a checkout alone will do

from gpu_figures import FULL, QUICK, OutOfTimeError, Row, Run, Sizes, at_most, shown, text

MINUTES = 9.5


SECTIONS = {
    "correctness": ("gpu_training", 0.1),
    "training": ("gpu_training", 0.6),
    "scores": ("gpu_scores", 0.45),
    "sampling": ("gpu_sampling", 1.0),
}
"""Where a section's function of its name is, and which share of the time that is left it may take."""


def measured(device: torch.device, sizes: Sizes, data: Path | None, minutes: float) -> Iterator[Row]:
    """The rows of all sections; one that ends early, for want of time, memory or a package, says so in a row."""
    end = time.monotonic() + 60 * minutes
    for name, (module, share) in SECTIONS.items():
        allotted = share * (end - time.monotonic())
        try:
            with at_most(allotted):
                section = getattr(importlib.import_module(module), name)
                yield from section(Run(device, sizes, time.monotonic() + allotted, data))
        except OutOfTimeError:
            yield Row(name, f"stopped after {allotted:.0f} s, its share of the time", "", met=False)
        except Exception as error:  # a section that fails is a row of the table, and the others go on
            traceback.print_exc()
            yield Row(name, f"stopped by {type(error).__name__}: {str(error).partition(chr(10))[0]}", "", met=False)


def main(command_line: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    parser.add_argument("--quick", action="store_true", help="tiny sizes; bars of speed say nothing then")
    parser.add_argument("--data", type=Path, help="folder with cifar10_train.npz and cifar10_test.npz")
    parser.add_argument("--csv", type=Path, default=Path("results/benchmarks/gpu.csv"))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="never longer than this")
    parser.add_argument("--threads", type=int, default=max(1, (os.cpu_count() or 1) // 2))
    arguments = parser.parse_args(command_line)
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("error: torch finds no GPU; --device cpu --quick runs here", file=sys.stderr)
        return 2
    torch.set_num_threads(arguments.threads)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{arguments.threads} CPU threads"
    print(f"{name}, torch {torch.__version__}", flush=True)
    rows = []
    for row in measured(device, QUICK if arguments.quick else FULL, arguments.data, arguments.minutes):
        rows.append(row)
        print(f"  {row.section}: {row.figure} {shown(row.value)} {row.unit}".rstrip(), file=sys.stderr, flush=True)
    arguments.csv.parent.mkdir(parents=True, exist_ok=True)
    with arguments.csv.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    print(text(rows))
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
