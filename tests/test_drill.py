"""The drill's own book-keeping: a stopped one goes on, and its table counts right."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from checkouts import Workflow
from drill import Drill, Kill, remains, send, tracebacks, writers


@pytest.fixture
def checkout(tmp_path: Path) -> Workflow:
    (tmp_path / "checkout/results/logs/train").mkdir(parents=True)
    (tmp_path / "checkout/results/table.csv").write_text("a,b\n")
    return Workflow(tmp_path / "checkout")


def test_a_stopped_drill_knows_its_kills(checkout: Workflow, tmp_path: Path) -> None:
    first = Drill(tmp_path, checkout, checkout, seed=3)
    kills = [
        Kill(1, 1, "train", "train/ce.log", "stage", "SIGTERM", 0.25),
        Kill(2, 1, "plot", "plot/small.log", "both", "SIGINT", 1.5),
    ]
    for kill in kills:
        first.write(kill)
    again = Drill(tmp_path, checkout, checkout, seed=3)
    assert again.kills == kills
    assert again.run(most=2) == []
    assert again.chance(1, "a").random() == first.chance(1, "a").random() != first.chance(2, "a").random()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in again.shown().splitlines()]
    assert [row[0] for row in rows] == ["stage", "---", "plot", "train", "all"]
    assert dict(zip(rows[0], rows[3], strict=True))["stage SIGTERM"] == "1"
    assert dict(zip(rows[0], rows[4], strict=True))["both SIGINT"] == "1"
    assert [row[-1] for row in rows[2:]] == ["1", "1", "2"]


def test_processes_are_found_by_their_log(checkout: Workflow) -> None:
    log = checkout.place / "results/logs/train/ce.log"
    with log.open("w") as stream:
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=stream)
    assert writers(log) == [process.pid]
    assert send(writers(log), signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert writers(log) == []
    assert not send([process.pid], signal.SIGKILL)


def test_tracebacks_and_remains_are_found(checkout: Workflow) -> None:
    logs = checkout.place / "results/logs"
    (logs / "bug.log").write_text("Traceback (most recent call last):\n  File\nValueError: x\n")
    (logs / "stopped.log").write_text("Traceback (most recent call last):\n  File\nKeyboardInterrupt\n")
    (logs / "well.log").write_text("done\n")
    assert tracebacks(checkout) == ["bug.log"]
    left = [".a.csv.abc12345.tmp", ".a.csv.provenance.json.abc12345.old", "a.csv", ".a.csv.lock"]
    for name in left:
        (checkout.place / name).touch()
    assert [remains(checkout.place / name) for name in left] == [True, True, False, False]
    assert os.getpid() not in writers(logs / "well.log")
