"""Kills and broken inputs: the same command goes on, and a mistake is told once."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from checkouts import HANGS, PROJECT, WarmWorkflow, Workflow

pytestmark = pytest.mark.workflow

MODEL = "results/digits/models/ce/seed0/model.safetensors"
HISTORY = "results/digits/models/ce/seed0/history.csv"
LOG = "results/logs/train/digits/ce/seed0.log"
RESUME = ".resume/digits/models/ce/seed0/training.pt"
TRAINING = "synthood.training.train"


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Waits for what must come while the process runs."""
    end = time.monotonic() + HANGS
    while not condition():
        assert process.poll() is None or condition(), "the process ended before"
        assert time.monotonic() < end, "the process hangs"
        time.sleep(0.05)


def jobs_in(place: Path) -> list[int]:
    """Process ids of the training jobs that run in a checkout."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if TRAINING in (process / "cmdline").read_text() and (process / "cwd").resolve() == place.resolve():
                found.append(int(process.name))
        except (OSError, ValueError):
            continue
    return found


@pytest.fixture(scope="module")
def long_training(finished: Workflow, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A checkout whose `ce` trains for seconds, everything it needs being there; undisturbed results in it."""
    workflow = finished.copied(tmp_path_factory.mktemp("faults") / "undisturbed")
    config = workflow.config
    config["recipes"]["ce"]["epochs"] = 60
    workflow.config = config
    assert workflow.run(MODEL).returncode == 0
    return workflow


@pytest.fixture
def unfinished(long_training: Workflow, tmp_path: Path) -> Workflow:
    """The same checkout without the model."""
    workflow = long_training.copied(tmp_path / "disturbed")
    (workflow.place / MODEL).unlink()
    (workflow.place / HISTORY).unlink()
    return workflow


def start(workflow: Workflow, **variables: str) -> subprocess.Popen[str]:
    """Snakemake in a process group of its own, with states saved at every step; its output goes to a file."""
    with (workflow.place / "output.txt").open("w") as output:
        return subprocess.Popen(
            workflow.command(MODEL),
            cwd=workflow.place,
            env=os.environ | {"SYNTHOOD_SAVE_SECONDS": "0"} | variables,
            text=True,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def finished_output(process: subprocess.Popen[str], workflow: Workflow) -> str:
    """What Snakemake printed, once it has ended."""
    process.wait(timeout=HANGS)
    return (workflow.place / "output.txt").read_text()


def same(one: Workflow, other: Workflow) -> None:
    for file in (MODEL, HISTORY):
        assert (one.place / file).read_bytes() == (other.place / file).read_bytes(), file


def test_a_killed_training_job_goes_on(long_training: Workflow, unfinished: Workflow) -> None:
    process = start(unfinished)
    until((unfinished.place / RESUME).exists, process)
    for job in jobs_in(unfinished.place):
        os.kill(job, signal.SIGKILL)
    output = finished_output(process, unfinished)
    assert process.returncode != 0, output
    assert not (unfinished.place / MODEL).exists()
    done = unfinished.run(MODEL)
    assert done.returncode == 0, done.stdout
    assert "training: resumed at step" in (unfinished.place / LOG).read_text()
    same(long_training, unfinished)
    assert not (unfinished.place / RESUME).exists()


def test_a_terminated_job_saves_first(unfinished: Workflow) -> None:
    process = start(unfinished)
    until((unfinished.place / RESUME).exists, process)
    for job in jobs_in(unfinished.place):
        os.kill(job, signal.SIGTERM)
    assert "stopped by SIGTERM, saved at step" in finished_output(process, unfinished)


def test_a_killed_snakemake_goes_on_beside_its_orphan(long_training: Workflow, unfinished: Workflow) -> None:
    process = start(unfinished, SYNTHOOD_STAGES="off")  # so that the orphan is the one that is stopped
    until((unfinished.place / RESUME).exists, process)
    process.kill()
    process.wait(timeout=HANGS)
    orphans = jobs_in(unfinished.place)
    assert orphans
    for orphan in orphans:
        os.kill(orphan, signal.SIGSTOP)
    locked = unfinished.run(MODEL)
    assert locked.returncode != 0
    assert "--unlock" in locked.stdout
    assert unfinished.run("--unlock").returncode == 0
    second = start(unfinished)
    log = unfinished.place / LOG
    try:
        until(lambda: log.exists() and "another process is writing it" in log.read_text(), second)
    finally:
        for orphan in orphans:
            os.kill(orphan, signal.SIGCONT)
    assert "Error" not in finished_output(second, unfinished)
    assert second.returncode == 0
    same(long_training, unfinished)
    assert not jobs_in(unfinished.place)


def told_once(workflow: Workflow, message: str, *options: str) -> None:
    """Runs, expects failure and one line that matches the message."""
    done = workflow.run(*options)
    assert done.returncode != 0, done.stdout
    lines = [line for line in done.stdout.splitlines() if re.search(message, line)]
    assert len(lines) == 1, done.stdout
    assert "Traceback" not in done.stdout


CONFIG_MISTAKES = {
    "a misspelt key": ("alpha: 0.75", "alhpa: 0.75", r"recipes\.sio-biggan\.synthetic\.alhpa: unknown key.*'alpha'"),
    "an unknown recipe": ("[ce, sio-biggan,", "[ce, sio-bigan,", r"tables\.small\.recipes\.1: .*'sio-biggan'"),
    "alpha above 1": ("alpha: 0.75", "alpha: 1.5", r"recipes\.sio-biggan\.synthetic\.alpha: .*1\.5"),
    "alpha of 0": ("alpha: 0.75", "alpha: 0.0", r"recipes\.sio-biggan\.synthetic\.alpha: "),
    "alpha without synthetic images": (
        "alpha: 0.75",
        "alpha: 0.99999999999",
        r"recipes\.sio-biggan: .*leaves 16 real and 0 synthetic",
    ),
    "alpha without real images": (
        "alpha: 0.75",
        "alpha: 0.05",
        r"recipes\.sio-biggan: .*leaves 0 real and 16 synthetic",
    ),
    "a block size of 0": ("block_size: 20", "block_size: 0", r"generators\.biggan\.block_size: .*0"),
}


@pytest.mark.parametrize("name", CONFIG_MISTAKES)
def test_a_mistake_in_the_configuration_stops_before_any_job(clean: WarmWorkflow, name: str) -> None:
    right, wrong, message = CONFIG_MISTAKES[name]
    text = (PROJECT / "tests" / "config.yaml").read_text()
    assert right in text
    (clean.place / "config.yaml").write_text(text.replace(right, wrong))
    told_once(clean, message)
    assert not (clean.place / "results").exists()


def test_a_file_where_results_should_be(clean: WarmWorkflow) -> None:
    results = clean.place / "results"
    results.write_text("not a folder")
    try:
        told_once(clean, "results: a file stands where the folder of results should be")
        assert results.read_text() == "not a folder"
    finally:
        results.unlink()


@pytest.mark.parametrize(
    ("artefact", "deleted"),
    [
        ("results/digits/images/train.safetensors", MODEL),
        ("results/digits/models/ce/seed0/scores.parquet", "results/tables/small.md"),
        ("results/digits/models/ce/seed0/features/test.safetensors", "results/digits/models/ce/seed0/scores.parquet"),
    ],
)
def test_a_truncated_artefact_is_named(finished: Workflow, tmp_path: Path, artefact: str, deleted: str) -> None:
    workflow = finished.copied(tmp_path / "truncated")
    path = workflow.place / artefact
    status = path.stat()
    path.write_bytes(path.read_bytes()[: status.st_size // 2])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    (workflow.place / deleted).unlink()
    told_once(
        workflow, "error: .*truncated or changed since it was written", "--rerun-triggers", "mtime", "--", deleted
    )
    assert not (workflow.place / deleted).exists()


def test_a_loss_that_is_not_finite(finished: Workflow, tmp_path: Path) -> None:
    workflow = finished.copied(tmp_path / "diverging")
    config = workflow.config
    config["recipes"]["ce"]["learning_rate"] = 1e30
    workflow.config = config
    told_once(
        workflow, r"error: training: cross_entropy became \S+ at epoch 0, step \d+ with learning rate \S+; lower", MODEL
    )
    assert not (workflow.place / MODEL).exists()
