"""All benchmarks against their peers, one after the other, into a page: python benchmarks/bench.py [--quick] [--check]

Every stage of `STAGES` is a file here that runs by itself with the same options. The page is docs/benchmarks.md;
results/benchmarks.jsonl has its rows for programs, and the next run says which ratios differ from them.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from compare import BUSY, HEAD, LOADED, Measurement
from machine import copy_rate, described, matmul_rate
from threadpoolctl import threadpool_limits

from synthood.common.cores import cores

HERE = Path(__file__).parent
STAGES = {
    "data": "Reading images",
    "sampling": "Drawing synthetic images",
    "quality": "Quality of synthetic images",
    "training": "Training",
    "scores": "Detectors",
    "banks": "Detectors with a bank",
    "intervals": "Metrics and their intervals",
    "tables": "Tables of many models",
    "planning": "A workflow with nothing to do",
}
WAITING = {"OMP_WAIT_POLICY": "passive"}
"""As the workflow's jobs have it: threads that spin where they wait take cores from others, and others from them."""
RULE = "|" + " --- |" * (HEAD.count("|") - 1)
READING = f"""\
`make bench` writes this page, `make bench QUICK=1` in minutes with smaller sizes; `python benchmarks/scores.py --check`
runs one part. All run with OMP_WAIT_POLICY=passive, as the workflow's jobs do.

Ours and the peer take turns on the same data, in changing order. The ratio is the peer's time over ours, the median
over the turns: 2 is twice as fast. Its interval has 95 % from six turns on, and is the range of three to five. A bar is
met where all of the interval reaches it, and not met where none of it does; else it is undecided, never met.
`others` is the share of the cores that other processes took meanwhile; above {LOADED:.0%} up to three times as many
turns are taken, and above {BUSY:.0%} no bar is judged. `limit` is what the operations of matrix products and
convolutions take at the measured rate of large ones, or the bytes that must be read at that of a copy, whichever is
more; nothing else is in it.
"""


def options(text: str | None) -> argparse.ArgumentParser:
    """What every benchmark's command line has."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, within about a minute")
    parser.add_argument("--check", action="store_true", help="exit code 1 where a bar is not met, 3 where undecided")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--json", type=Path, help="file to which the rows are added, one a line")
    return parser


def conclusion(verdicts: Iterable[str]) -> int:
    """The exit code of `--check`."""
    found = set(verdicts)
    return 1 if "not met" in found else 3 if "undecided" in found else 0


def run(stage: str, rows: Callable[[argparse.Namespace], Iterable[Measurement]], given: argparse.Namespace) -> int:
    """Prints the machine, then each row as soon as it is measured; returns the exit code."""
    torch.set_num_threads(given.threads)
    verdicts = []
    for name, value in described().items():
        print(f"{name}: {value}")
    print(f"load average: {os.getloadavg()[0]:.1f}\nsizes: {'quick' if given.quick else 'full'}\n")
    print(f"{HEAD}\n{RULE}", flush=True)
    with threadpool_limits(given.threads):
        for row in rows(given):
            print(row.row(), flush=True)
            verdicts.append(row.verdict)
            if given.json:
                known = {key: value for key, value in asdict(replace(row, stage=stage)).items() if value == value}
                with given.json.open("a") as stream:
                    stream.write(json.dumps({**known, "verdict": row.verdict}) + "\n")
    return conclusion(verdicts) if given.check else 0


def read(file: Path) -> list[Measurement]:
    """The rows of a file of `--json`."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [Measurement(**{key: value for key, value in line.items() if key != "verdict"}) for line in lines]


def agreement(rows: list[Measurement], before: list[Measurement]) -> str:
    """How many ratios agree with those of an earlier run: their intervals overlap, or they are within a tenth."""

    def key(row: Measurement) -> tuple[str, str, str]:
        return row.stage, row.what, row.peer.partition(",")[0]

    earlier = {key(row): row for row in before if row.turns}
    pairs = [(row, earlier[key(row)]) for row in rows if row.turns and key(row) in earlier]
    apart = [
        f"{one.what} ({one.ratio:.3g}, before {two.ratio:.3g})"
        for one, two in pairs
        if max(one.low, two.low) > min(one.high, two.high) and abs(math.log(one.ratio / two.ratio)) > math.log(1.1)
    ]
    agreeing = f"Of {len(pairs)} ratios of the run before, {len(pairs) - len(apart)} agree"
    return f"{agreeing}; others: {'; '.join(apart) or 'none'}"


def page(rows: list[Measurement], quick: bool, load: str, before: list[Measurement]) -> str:
    """The page in Markdown."""
    parts = ["# Benchmarks\n", READING]
    rates = f"{matmul_rate() / 1e9:.0f} GFLOP/s float32, {matmul_rate(torch.bfloat16) / 1e9:.0f} bfloat16"
    machine = described() | {"rates": f"{rates}, copies {copy_rate() / 1e9:.1f} GB/s", "load": load}
    parts += ["\n".join(f"- {name}: {value}" for name, value in machine.items()) + "\n"]
    if quick:
        parts.append("**Small sizes (`--quick`): these are not the figures to cite.**\n")
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in ("met", "not met", "undecided")}
    parts.append("Bars: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + ".")
    parts.append(agreement(rows, before) + ".\n" if before else "")
    for stage, title in STAGES.items():
        own = [row.row() for row in rows if row.stage == stage]
        parts.append("\n".join([f"## {title}\n", f"`benchmarks/{stage}.py`\n", HEAD, RULE, *own]) + "\n")
    return "\n".join(parts)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs/benchmarks.md")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    file, failed = given.json or Path(f"results/benchmarks{'-quick' * given.quick}.jsonl"), []
    file.parent.mkdir(parents=True, exist_ok=True)
    before = read(file) if file.is_file() else []
    fresh = file.with_suffix(".new")
    fresh.write_text("")
    began = os.getloadavg()[0]
    for stage in given.only:
        command = [sys.executable, str(HERE / f"{stage}.py"), f"--threads={given.threads}", f"--json={fresh}"]
        if subprocess.run([*command, *["--quick"] * given.quick], env=os.environ | WAITING, check=False).returncode:
            failed.append(stage)
    rows = read(fresh)
    load = f"{began:.1f} at the start, {os.getloadavg()[0]:.1f} at the end"
    given.page.write_text(page(rows, given.quick, load, before))
    fresh.replace(file)
    print(f"{given.page} is written" + f"; failed: {', '.join(failed)}" * bool(failed))
    return 2 if failed else conclusion(row.verdict for row in rows) if given.check else 0


if __name__ == "__main__":
    sys.exit(main())
