"""Killed at any moment, the same command goes on, to the bytes of a job that nobody disturbed."""

import json
import random
import shutil
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from checkouts import HANGS
from command_lines import writing
from processes import started
from synthood.common.images import write_images
from synthood.training import backbone_features
from synthood.training.networks.architectures.base import build
from synthood.training.networks.settings import network_described
from synthood.training.settings import TrainSettings

NAMES = ["model.safetensors", "history.csv", "heads.safetensors"]
KILLS = 20


@pytest.fixture
def line(make_images: Any, make_settings: Any, tmp_path: Path) -> Callable[..., list[str]]:
    """The command of a job of forty steps that saves after each of them, in a folder."""
    for name, count in (("train", 20), ("val", 9)):
        write_images(tmp_path / name, make_images(count, count))

    def command(folder: Path, **changes: Any) -> list[str]:
        settings = make_settings(
            **({"epochs": 14, "weight_average": 0.9, "dropout": 0.2, "keep": "best"} | changes)
        ).canonical()
        inputs = ["--train", str(tmp_path / "train"), "--val", str(tmp_path / "val")]
        outputs = [*(f"--{Path(name).stem}={folder / name}" for name in NAMES), "--resume", str(folder / "state")]
        return ["--settings", settings, "--seed", "0", "--save-seconds", "0", *inputs, *outputs]

    return command


@pytest.fixture
def frozen(make_images: Any, tmp_path: Path) -> Callable[[Path], list[str]]:
    """The same of a head on cached features of a frozen backbone."""
    weights = tmp_path / "weights.safetensors"
    named = {"name": "torchvision/shufflenet_v2_x0_5"}
    state = build(network_described(named), 5, seed=0).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, weights)
    network = named | {"pretrained": str(weights), "freeze": "backbone"}
    for name, count in (("train", 20), ("val", 9)):
        write_images(tmp_path / f"{name}-images", make_images(count, count, side=32))
        inputs = ["--images", str(tmp_path / f"{name}-images"), "--train", str(tmp_path / "train-images")]
        settings = ["--settings", json.dumps({"network": network})]
        backbone_features.main([*settings, *inputs, *writing(backbone_features.main, [tmp_path / name])])
    recipe = {"network": network, "epochs": 40, "batch_size": 8, "learning_rate": 0.01, "weight_average": 0.9}
    settings = TrainSettings.parse(json.dumps({"recipe": recipe})).canonical()

    def command(folder: Path) -> list[str]:
        inputs = ["--train", str(tmp_path / "train"), "--val", str(tmp_path / "val")]
        outputs = [*(f"--{Path(name).stem}={folder / name}" for name in NAMES), "--resume", str(folder / "state")]
        return ["--settings", settings, "--seed", "0", "--save-seconds", "0", *inputs, *outputs]

    return command


def finish(command: list[str], log: Path) -> None:
    process = started(command, log)
    process.join(HANGS)
    assert process.exitcode == 0, log.read_text()


def until(condition: Callable[[], bool], process: ForkServerProcess) -> None:
    """Waits for what comes while the process runs, or for its end."""
    end = time.monotonic() + HANGS
    while process.is_alive() and not condition():
        assert time.monotonic() < end, "the process hangs"
        time.sleep(0.005)


def saved_at(state: Path) -> int:
    """When a state was written; 0 where there is none."""
    try:
        return state.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def results(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in NAMES]


def test_kills_at_random_moments_leave_the_bytes(line: Callable[..., list[str]], tmp_path: Path) -> None:
    """Every second kill comes shortly after a new state, the others at any time from the start on."""
    finish(line(tmp_path / "whole"), tmp_path / "whole.log")
    expected = results(tmp_path / "whole")
    moments, place = random.Random(0), tmp_path / "killed"
    state, log = place / "state" / "training.pt", tmp_path / "killed.log"
    for kill in range(KILLS):
        before = saved_at(state)
        process = started(line(place), log)
        if kill % 2:
            until(lambda before=before: saved_at(state) not in (0, before), process)
            time.sleep(moments.uniform(0, 0.02))
        else:
            time.sleep(moments.uniform(0, 0.3))
        process.kill()
        process.join()
        if process.exitcode == 0:
            assert results(place) == expected
            shutil.rmtree(place)
    finish(line(place), log)
    assert results(place) == expected
    assert not (place / "state").exists()
    assert log.read_text().count("resumed at step") >= 5


def test_a_killed_head_goes_on(frozen: Callable[[Path], list[str]], tmp_path: Path) -> None:
    """After each kill no output is half-written: none is there, or it is the one of a job that nobody disturbed."""
    finish(frozen(tmp_path / "whole"), tmp_path / "whole.log")
    expected = results(tmp_path / "whole")
    moments, place, log = random.Random(1), tmp_path / "killed", tmp_path / "killed.log"
    state = place / "state" / "training.pt"
    for _ in range(4):
        before = saved_at(state)
        process = started(frozen(place), log)
        until(lambda before=before: saved_at(state) not in (0, before), process)
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        process.join()
        there = [(place / name).read_bytes() if (place / name).exists() else None for name in NAMES]
        assert all(found in (None, whole) for found, whole in zip(there, expected, strict=True))
    finish(frozen(place), log)
    assert results(place) == expected
    assert not (place / "state").exists()
    assert "resumed at step" in log.read_text()


def test_sigterm_saves_and_other_settings_start_over(line: Callable[..., list[str]], tmp_path: Path) -> None:
    place, log = tmp_path / "ended", tmp_path / "ended.log"
    process = started(line(place), log)
    until((place / "state" / "training.pt").exists, process)
    process.terminate()
    process.join(HANGS)
    assert process.exitcode == 143
    assert "training: stopped by SIGTERM, saved at step" in log.read_text()
    finish(line(place, dropout=0.0), log)
    assert "training.pt: resume state of other settings, inputs or code; starting over" in log.read_text()
    finish(line(tmp_path / "fresh", dropout=0.0), tmp_path / "fresh.log")
    assert results(place) == results(tmp_path / "fresh")
