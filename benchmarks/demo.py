"""Figures of the demo, each beside its bar: python benchmarks/demo.py [--float32] [--keep] [--quality]

Runs the demo in a copy of this checkout with the current environment, on two cores, then once more with nothing to do.
With --quality it only reads the results that stand in this checkout. Exit code 1 where a bar is not met.
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
Row = tuple[str, float, float, str]
"""Name, value, bar, and whether the value must be `<=` or `>=`."""
FIRST = "results/report/tables/demo-sio.html"
"""The page of the first table, for which `make demo` asks first."""
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
    """Seconds during which two training jobs run, from their provenance; the generators' fits take a core as well."""
    spans = []
    for file in place.glob("results/*/models/*/*/model.safetensors.provenance.json"):
        facts = json.loads(file.read_text())
        spans.append((file.stat().st_mtime - facts["seconds"], file.stat().st_mtime))
    events = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    running, before, double = 0, 0.0, 0.0
    for at, change in events:
        double += (at - before) * (running > 1)
        running, before = running + change, at
    return double


def quality(place: Path) -> list[Row]:
    """How good the judge and the generators are, and how much room the table has."""
    import pandas as pd
    import torch

    from synthood.config.load import load_file
    from synthood.data.sources.digits import IdDigits, Nuisance, id_split
    from synthood.training.networks.model import Classifier, logits_and_features

    source = load_file(place / "config.yaml").datasets["digits"].id
    assert isinstance(source, IdDigits)
    clean = id_split(source.model_copy(update={"nuisance": Nuisance()}))["test"]
    judge = Classifier.load(place / "results/digits/models/judge/seed1000/model.safetensors")
    logits, _ = logits_and_features(judge, clean.images, torch.device("cpu"))
    rows: list[Row] = [("judge on clean digits", float((logits.argmax(1).numpy() == clean.labels).mean()), 0.97, ">=")]
    for generator in ("biggan", "sd"):
        figures = json.loads((place / f"results/digits/synthetic/{generator}/quality.json").read_text())
        rows += [
            (f"{generator}: agreement with the judge", figures["agreement"], 0.97, ">="),
            (f"{generator}: diversity, of real images'", figures["diversity"], 0.65, ">="),
            (f"{generator}: share of copies", figures["copy_share"], 0.02, "<="),
        ]
    rows_of_table = pd.read_csv(place / "results/tables/demo-sio.csv")
    chosen = rows_of_table.query("recipe == 'ce' and detector == 'msp' and set == 'near' and metric == 'auroc'")
    near = float(chosen["mean"].iloc[0])
    rows += [("ce, msp: near AUROC, %", near, 80, ">="), ("ce, msp: near AUROC, %", near, 95, "<=")]
    return [*rows, *outliers(place)]


def outliers(place: Path) -> list[Row]:
    """Whether the latent outliers leave their class, and how many the gate lets through."""
    import pandas as pd

    folder = place / "results/digits/outliers/oal"
    figures = json.loads((folder / "assessment.json").read_text())
    curve = pd.read_csv(folder / "curve.csv")
    before, after = (figures[key]["intended_share"] for key in ("before_gate", "after_gate"))
    accepted = 1 - max(figures["rejected_share"].values())
    return [
        ("selection: percentile among own candidates", figures["percentile_among_candidates"], 0.99, ">="),
        ("intended class at scale <= 0.5", curve[curve["scale"] <= 0.5]["intended_share"].min(), 0.95, ">="),
        ("intended class at the demo's scale", before, 0.6, "<="),
        ("intended class after the gate, of before", after / before, 0.5, "<="),
        ("accepted by the gate, worst class", accepted, 0.2, ">="),
    ]


def wall_clock(place: Path) -> list[Row]:
    """Runs the demo, its report, and the demo again."""
    began = time.time()
    run, _ = snakemake(place, "--prioritize", FIRST, "--", "all", FIRST)
    first = (place / FIRST).stat().st_mtime - began
    report, _ = snakemake(place, "--report", "results/report.html")
    again, output = snakemake(place)
    if "Nothing to be done" not in output:
        raise SystemExit("the second run did something:\n" + output)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return [
        ("first table with its pictures and page, minutes", first / 60, 4, "<="),
        ("demo and report, minutes", (run + report) / 60, 7, "<="),
        ("second run, seconds", again, 6, "<="),
        ("largest process, GiB (two run at a time)", largest, 2, "<="),
        ("seconds in which two trainings run at once", overlap_of_trainings(place), 1, ">="),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--float32", action="store_true", help="with precision: float32")
    parser.add_argument("--keep", action="store_true", help="leave the copy where it is")
    parser.add_argument("--quality", action="store_true", help="run nothing, read this checkout's results")
    arguments = parser.parse_args()
    place = PROJECT if arguments.quality else copied(arguments.float32)
    rows = quality(place) if arguments.quality else [*wall_clock(place), *quality(place)]
    print(f"{os.cpu_count()} cores, precision {'float32' if arguments.float32 else 'auto'}")
    failed = False
    for name, value, bar, sign in rows:
        met = value <= bar if sign == "<=" else value >= bar
        failed |= not met
        print(f"{name:<50}{value:8.3f}   {sign} {bar:<5} {'met' if met else 'NOT MET'}")
    if arguments.keep:
        print(place)
    elif not arguments.quality:
        shutil.rmtree(place)
    sys.exit(failed)


def copied(float32: bool) -> Path:
    """A copy of this checkout without its results."""
    place = Path(tempfile.mkdtemp(prefix="synthood-demo-"))
    for name in CARRIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, place / name)
        else:
            shutil.copy2(source, place / name)
    if float32:
        config = place / "config.yaml"
        config.write_text(config.read_text().replace("precision: auto", "precision: float32"))
    return place


if __name__ == "__main__":
    main()
