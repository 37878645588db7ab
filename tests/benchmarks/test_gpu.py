"""The benchmark of GPUs: its quick mode's table, its time limits, and Stable Diffusion's true sizes."""

import csv
import importlib
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    """gpu.py and its parts, imported as when it is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name.startswith("gpu"):
            del sys.modules[name]


def test_quick_on_the_cpu_fills_the_table(modules, tmp_path, capsys):
    """Every section has its figures, correctness clears its bars, and nothing of speed is judged."""
    path = tmp_path / "table" / "gpu.csv"
    arguments = ["--device", "cpu", "--quick", "--threads", "1", "--csv", str(path)]
    assert modules("gpu").main(arguments) == 0
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    found = {section: [row for row in rows if row["section"] == section] for section in modules("gpu").SECTIONS}
    assert [len(found[name]) for name in ("correctness", "training", "scores", "sampling")] == [6, 5, 1, 7]
    assert len([row for row in rows if row["section"] == "extraction"]) == 1
    assert all(row["met"] == "True" for row in found["correctness"])
    assert not any(row["bar"] for row in rows if row["section"] != "correctness")
    assert all(float(row["value"]) >= 0 for row in rows)
    detectors, _, on_device = found["scores"][0]["figure"].partition(" detectors, ")
    assert int(detectors) == int(on_device.partition(" ")[0]) >= 25
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].split() == ["section", "figure", "value", "unit", "bar", "met"]
    assert len(shown) == len(rows) + 2


def test_stable_diffusions_sizes_are_the_published_ones(modules):
    """Parameters of version 1: U-Net 859.5 million, autoencoder 83.7, text encoder 123.1."""
    with torch.device("meta"):
        pipeline = modules("gpu_sampling").stable_diffusion(modules("gpu_figures").FULL, torch.device("meta"))
    counts = [
        sum(p.numel() for p in part.parameters()) for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    ]
    assert counts == [859_520_964, 83_653_863, 123_060_480]


def test_a_section_is_stopped_when_its_time_is_over(modules, monkeypatch):
    gpu, figures = modules("gpu"), modules("gpu_figures")
    part = modules("gpu_training")

    def endless(run):
        yield figures.Row("training", "begun", 1.0)
        while True:
            time.sleep(0.01)

    def broken(run):
        raise ModuleNotFoundError("No module named 'x'")
        yield

    monkeypatch.setattr(part, "training", endless)
    monkeypatch.setattr(part, "correctness", broken)
    monkeypatch.setattr(gpu, "SECTIONS", {"correctness": ("gpu_training", 0.5), "training": ("gpu_training", 0.5)})
    rows = list(gpu.measured(torch.device("cpu"), figures.QUICK, None, 0.2 / 60))
    assert [row.figure for row in rows] == [
        "stopped by ModuleNotFoundError: No module named 'x'",
        "begun",
        "stopped after 0 s, its share of the time",
    ]
    assert [row.met for row in rows] == [False, "", False]


def test_a_bar_is_told_from_both_sides(modules):
    figures = modules("gpu_figures")
    least, most = (figures.barred("s", "f", 2.0, "x", 3.0, side) for side in (False, True))
    assert (least.bar, least.met, most.bar, most.met) == (">= 3", False, "<= 3", True)
    assert figures.of_speed(figures.QUICK, "s", "f", 2.0, "x", 3.0, True).bar == ""
    assert figures.of_speed(figures.FULL, "s", "f", 2.0, "x", 3.0, True).bar == "<= 3"
    assert figures.text([least]).splitlines()[1].split() == ["s", "f", "2", "x", ">=", "3", "NO"]


def test_without_a_gpu_it_says_so(modules, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert modules("gpu").main(["--device", "cuda"]) == 2
    assert "torch finds no GPU; --device cpu --quick runs here" in capsys.readouterr().err


def test_real_images_are_trained_on_where_they_are_given(modules, tmp_path):
    """With as many epochs as there is time for, and the accuracy on the test images."""
    for part, count in (("train", 200), ("test", 50)):
        pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        np.savez(tmp_path / f"cifar10_{part}.npz", images=pixels, labels=np.arange(count) % 10)
    figures = modules("gpu_figures")
    run = figures.Run(torch.device("cpu"), figures.QUICK, time.monotonic() + 600, tmp_path)
    rows = {row.figure: row.value for row in modules("gpu_training").training(run)}
    assert "2 epochs of CIFAR-10" in rows
    assert 0 <= rows["accuracy on the test images after 2 epochs"] <= 1
