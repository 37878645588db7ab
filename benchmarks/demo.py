"""Wall-clock figures of the demo, each beside its bar: python benchmarks/demo.py [--float32] [--keep]

Runs the demo in a copy of this checkout with the current environment, on two cores, then once more with nothing to do.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[1]
CARRIED = ("Snakefile", "config.yaml", "rules", "envs", "src", "profiles", "report")


def snakemake(place: Path, *options: str) -> tuple[float, str]:
    """Seconds and output of one run; raises where it fails."""
    began = time.monotonic()
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *options]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return time.monotonic() - began, done.stdout + done.stderr


def overlap_of_trainings(place: Path) -> float:
    """Share of the training time during which two training jobs run, from their provenance."""
    spans = []
    for file in place.glob("results/*/models/*/*/model.safetensors.provenance.json"):
        facts = json.loads(file.read_text())
        spans.append((file.stat().st_mtime - facts["seconds"], file.stat().st_mtime))
    events = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    running, before, busy, double = 0, 0.0, 0.0, 0.0
    for at, change in events:
        busy += (at - before) * (running > 0)
        double += (at - before) * (running > 1)
        running, before = running + change, at
    return double / busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--float32", action="store_true", help="with precision: float32")
    parser.add_argument("--keep", action="store_true", help="leave the copy where it is")
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="synthood-demo-"))
    for name in CARRIED:
        source = PROJECT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, place / name)
    if arguments.float32:
        config = place / "config.yaml"
        config.write_text(config.read_text().replace("precision: auto", "precision: float32"))
    run, _ = snakemake(place)
    report, _ = snakemake(place, "--report", "results/report.html")
    again, output = snakemake(place)
    if "Nothing to be done" not in output:
        raise SystemExit("the second run did something:\n" + output)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    rows = [
        ("demo and report, minutes", (run + report) / 60, 12 if arguments.float32 else 7, "<="),
        ("second run, seconds", again, 6, "<="),
        ("largest process, GiB (two run at a time)", largest, 2, "<="),
        ("trainings that overlap, share of their time", overlap_of_trainings(place), 0.5, ">="),
    ]
    print(f"{os.cpu_count()} cores, precision {'float32' if arguments.float32 else 'auto'}")
    for name, value, bar, sign in rows:
        met = value <= bar if sign == "<=" else value >= bar
        print(f"{name:<46}{value:8.2f}   {sign} {bar:<5} {'met' if met else 'NOT MET'}")
    if arguments.keep:
        print(place)
    else:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
