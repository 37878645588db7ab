"""Kills, disks, clocks, broken files: each is told once, and the same command gives the same bytes (docs/faults.md)."""

import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from checkouts import HANGS, PROJECT, WarmWorkflow, Workflow
from drill import Drill
from synthood.common.artefact import PROVENANCE, provenance_path, verify
from synthood.common.identity import visible_files
from synthood.errors import SynthoodError
from synthood.workflow.copied import restore_times

pytestmark = [pytest.mark.workflow, pytest.mark.faults]

MODEL = "results/digits/models/ce/seed0/model.safetensors"
HISTORY = "results/digits/models/ce/seed0/history.csv"
LOG = "results/logs/train/digits/ce/seed0.log"
RESUME = ".resume/digits/models/ce/seed0/training.pt"
TRAINING = "synthood.training.train"
STEPS = 6
"""Of an epoch: 96 images in batches of 16."""


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


def test_ctrl_c_saves_first(long_training: Workflow, unfinished: Workflow) -> None:
    """Every epoch so far was lost where the last state was a minute old; records of Snakemake may be lost, too."""
    process = start(unfinished, SYNTHOOD_SAVE_SECONDS="1000")
    epochs = (unfinished.place / RESUME).with_name("history.csv")
    until(lambda: epochs.exists() and len(epochs.read_text().splitlines()) > 6, process)
    os.killpg(process.pid, signal.SIGINT)
    output = finished_output(process, unfinished)
    assert process.returncode != 0
    assert "Traceback" not in output
    log = (unfinished.place / LOG).read_text()
    saved = int(re.findall(r"training: stopped by SIGINT, saved at step (\d+)", log)[0])
    assert saved >= 6 * STEPS
    shutil.rmtree(unfinished.place / ".snakemake")
    done = unfinished.run(MODEL)
    assert done.returncode == 0, done.stdout
    assert f"training: resumed at step {saved} of" in (unfinished.place / LOG).read_text()
    same(long_training, unfinished)


def command_of(workflow: Workflow, *options: str) -> list[str]:
    return [sys.executable, "-m", "synthood.cli", "run", "config.yaml", "--cores", "2", *options]


def told_by_synthood(workflow: Workflow, *options: str, before: Sequence[str] = ()) -> str:
    """What `synthood run` prints in a run that must fail, without a traceback."""
    done = subprocess.run(
        [*before, *command_of(workflow, *options)],
        cwd=workflow.place,
        env=os.environ | {"PYTHONPATH": str(workflow.place / "src")},
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def test_two_runs_at_once(long_training: Workflow, unfinished: Workflow) -> None:
    """The second is refused; where it may not be, both end well, by one job."""
    process = start(unfinished)
    until((unfinished.place / RESUME).exists, process)
    told = told_by_synthood(unfinished, MODEL)
    assert told.count("error: ") == 1
    assert "error: another run makes the same files in this folder" in told
    insisting = unfinished.run(MODEL, "--nolock")
    assert insisting.returncode == 0, insisting.stdout
    assert process.wait(timeout=HANGS) == 0
    same(long_training, unfinished)


NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
"""A program in it may mount file systems that only it sees, where the system lets users have one."""


def mounted(kind: str, place: Path) -> list[str]:
    """A command that runs another one with `place` on a small or read-only disk."""
    how = {
        "100k": f"mount -t tmpfs -o size=100k none {place}",
        "4k": f"mount -t tmpfs -o size=4k none {place}",
        "read-only": f"mount --bind {place} {place} && mount -o remount,bind,ro {place}",
    }[kind]
    command = [*NAMESPACE, "sh", "-c", f'{how} && exec "$@"', "sh"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs a namespace for mounts: unshare --user --map-root-user --mount")
    return command


DISKS = [
    ("100k", "results/digits/models/ce/seed0", "model.safetensors: not written, no space is left on its disk; "),
    ("4k", ".snakemake", "not written, no space is left on its disk; "),
    ("read-only", "results/digits/models/ce/seed0", "heads.safetensors: may not be replaced, as on a read-only disk"),
    ("read-only", ".", "not written, its disk is read-only; "),
]


def test_disks_that_cannot_be_written(finished: Workflow, tmp_path: Path) -> None:
    """One after the other; at the end the same command makes the same bytes."""
    workflow = finished.copied(tmp_path / "disk")
    expected = workflow.artefacts()
    for name in (MODEL, HISTORY):
        (workflow.place / name).unlink()
    for kind, place, message in DISKS:
        told = told_by_synthood(workflow, MODEL, before=mounted(kind, workflow.place / place))
        assert len(re.findall(f"^error: .*{message}", told, re.MULTILINE)) == 1, told
        assert told.count("error: ") == 1, told
    done = workflow.run(MODEL)
    assert done.returncode == 0, done.stdout
    assert workflow.artefacts() == expected


def test_a_clock_that_was_wrong(finished: Workflow, tmp_path: Path) -> None:
    """Snakemake takes an output for an error that is older than an input of the future."""
    workflow = finished.copied(tmp_path / "clock")
    expected = workflow.artefacts()
    restore_times(workflow.place / "results")  # else the first run takes it for a copy
    tomorrow, long_ago = time.time() + 86400, 86400.0
    for path in (workflow.place / "results/digits/models").rglob("*"):
        os.utime(path, (tomorrow, tomorrow), follow_symlinks=False)
    for path in (workflow.place / "results/digits/images").rglob("*"):
        os.utime(path, (long_ago, long_ago))
    table = "results/tables/small.csv"
    (workflow.place / table).unlink()
    done = workflow.run(table)
    assert done.returncode == 0, done.stdout
    assert workflow.artefacts() == expected
    assert not workflow.planned(table)


def test_results_that_were_moved(finished: Workflow, tmp_path: Path) -> None:
    workflow = finished.copied(tmp_path / "moved")
    (workflow.place / "results").rename(tmp_path / "elsewhere")
    (workflow.place / "results").symlink_to(tmp_path / "elsewhere")
    shutil.rmtree(workflow.place / ".snakemake")
    assert not workflow.planned()


def test_every_artefact_is_named_where_it_is_damaged(finished: Workflow, tmp_path: Path) -> None:
    """One bit, half of the file, or another artefact of the same kind in its place, with and without its provenance."""
    place = tmp_path / "results"
    shutil.copytree(finished.place / "results", place)
    made = [path.with_name(path.name.removesuffix(PROVENANCE)) for path in sorted(place.rglob(f"*{PROVENANCE}"))]
    draws = random.Random(0)
    assert len(made) > 60
    for artefact in made:
        file = draws.choice(
            [p for p in visible_files(artefact) if p.stat().st_size] if artefact.is_dir() else [artefact]
        )
        content = file.read_bytes()
        verify(artefact)
        flipped = bytearray(content)
        flipped[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
        for damaged in (bytes(flipped), content[: len(content) // 2]):
            file.write_bytes(damaged)
            with pytest.raises(SynthoodError, match=re.escape(str(artefact))):
                verify(artefact)
        file.write_bytes(content)
        verify(artefact)
    of_a_kind: dict[str, list[Path]] = {}
    for artefact in made:
        of_a_kind.setdefault(artefact.suffix or "folder", []).append(artefact)
    for one, other in (pair for paths in of_a_kind.values() for pair in itertools.pairwise(paths)):
        if one.is_file() and other.is_file() and one.read_bytes() != other.read_bytes():
            exchange(one, other)
            with pytest.raises(SynthoodError, match=re.escape(str(one))):
                verify(one)
            exchange(provenance_path(one), provenance_path(other))
            with pytest.raises(SynthoodError, match=re.escape(str(one))):
                verify(one)
            exchange(one, other)
            exchange(provenance_path(one), provenance_path(other))


def exchange(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_a_short_drill(finished: Workflow, tmp_path: Path) -> None:
    """Stages that the tests above do not kill; `make drill` is the long one, over all."""
    workflow = finished.copied(tmp_path / "start")
    removed = ["digits/outliers/oal/latents.safetensors", "digits/models/sio-biggan/seed0/map.png"]
    for path in [*(workflow.place / "results" / name for name in removed)]:
        path.unlink()
    for folder in ("tables", "figures"):
        shutil.rmtree(workflow.place / "results" / folder)
    logs = {"latents/digits/oal.log", "map/digits/sio-biggan/seed0.log", "plot/small.log", "tabulate/small.log"}
    drill = Drill(tmp_path, Workflow(workflow.place), finished, seed=0, logs=logs)
    (turn,) = drill.run(most=4)
    assert not turn.wrong
    assert not turn.differing
    assert len(drill.kills) >= 2, drill.shown()


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
