"""A stage on the command line: errors, fingerprints, provenance, and one process per output."""

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pytest
import torch

import synthood
from command_lines import writing
from synthood.common import artefact, stage
from synthood.common.artefact import read_provenance, write_provenance
from synthood.common.command import Output
from synthood.errors import SynthoodError

SCRIPT = """
import sys, time
from pathlib import Path
from synthood.common import artefact, stage
from synthood.common.command import Output
from synthood.errors import SynthoodError

@stage.Stage
def main(job: stage.Job, output: Output) -> None:
    here = Path(sys.argv[0]).parent
    print("working", flush=True)
    deadline = time.monotonic() + 60
    while not (here / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    with (here / "count").open("a") as count:
        count.write("x")
    if (here / "fail").exists():
        (here / "fail").unlink()
        raise SynthoodError("the first fails")
    with job.writing(output) as path:
        path.write_text((here / "count").read_text())

main()
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """A stage sets these; the test gives them back."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.delenv("SYNTHOOD_CODE", raising=False)


def taking(function):
    """A stage with the options of one that fits something."""

    @stage.Stage
    def main(
        job: stage.Job,
        output: Output,
        given: Annotated[Sequence[Path], "what it reads"] = (),
        resume: Path | None = None,
        save_seconds: float = stage.SAVE_SECONDS,
        gpus: int = 0,
    ) -> None:
        function(job)

    return main


def taking_two(function):
    """A stage that writes two files."""

    @stage.Stage
    def main(job: stage.Job, first: Output, second: Output, gpus: int = 0) -> None:
        function(job)

    return main


def run(function, output, *more):
    if isinstance(output, list):
        taking_two(function)([*writing(taking_two(function), output), *more])
    else:
        taking(function)(["--output", str(output), *more])


def writer(text="made"):
    def work(job):
        for path in job.arguments.output:
            with job.writing(path) as temporary:
                temporary.write_text(text)

    return work


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_outputs_are_written_with_provenance(tmp_path):
    outputs = [tmp_path / "new" / "a", tmp_path / "b"]

    def work(job):
        job.facts["images"] = 7
        writer()(job)

    run(work, outputs, "--settings", '{"x":1}', "--threads", "2", "--gpus", "1")
    for path in outputs:
        assert path.read_text() == "made"
        facts = read_provenance(path)
        assert facts["sha256"] == hashlib.sha256(b"made").hexdigest()
        assert facts["stage"] == "test_stage"
        assert (facts["settings"], facts["threads"], facts["images"]) == ('{"x":1}', 2, 7)
        assert facts["packages"]["synthood"] == synthood.__version__
        assert facts["python"] == platform.python_version()
        assert 0 <= facts["seconds"] < 60
        assert facts["processor"] == f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_a_users_mistake_is_one_line_and_no_output(tmp_path, capsys):
    def work(job):
        with job.writing(job.arguments.output[0]) as path:
            path.write_text("half")
            raise SynthoodError("a key is wrong; take another")

    with pytest.raises(SystemExit) as caught:
        run(work, tmp_path / "a")
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: a key is wrong; take another\n"
    assert visible(tmp_path) == []


def test_a_mistake_on_a_cluster_names_the_node(tmp_path, capsys, monkeypatch):
    def work(job):
        raise SynthoodError("weights: not on this machine")

    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr("socket.gethostname", lambda: "n12")
    with pytest.raises(SystemExit):
        run(work, tmp_path / "a")
    assert capsys.readouterr().err == "error: weights: not on this machine (on node n12)\n"


def test_a_mistake_leaves_the_old_output_and_its_provenance(tmp_path):
    run(writer("old"), tmp_path / "a")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def work(job):
        with job.writing(job.arguments.output[0]) as path:
            path.write_text("half")
            raise SynthoodError("wrong")

    with pytest.raises(SystemExit):
        run(work, tmp_path / "a")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert (tmp_path / "a").read_text() == "old"


def test_a_missing_input_is_told_before_any_work(tmp_path, capsys):
    def work(_):
        raise AssertionError("must not be called")

    with pytest.raises(SystemExit) as caught:
        run(work, tmp_path / "a", "--given", str(tmp_path / "absent"))
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'absent'}: not found; run the stage that makes it\n"


def test_a_full_disk_is_one_line(tmp_path, capsys):
    def work(job):
        raise OSError(28, "No space left on device")

    with pytest.raises(SystemExit) as caught:
        run(work, tmp_path / "a")
    assert caught.value.code == 1
    told = f"{tmp_path / 'a'}: not written, no space is left on its disk; free some, then run the same command again"
    assert capsys.readouterr().err == f"error: {told}\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_stops_a_stage_and_removes_what_it_has_begun(tmp_path, capsys, number, code):
    def work(job):
        with job.writing(job.arguments.output[0]) as path:
            path.write_text("half")
            os.kill(os.getpid(), number)

    handler = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught:
        run(work, tmp_path / "a")
    assert caught.value.code == code
    assert signal.getsignal(number) is handler
    assert capsys.readouterr().out == f"test_stage: stopped by {number.name}\n"
    assert visible(tmp_path) == []


def test_what_a_killed_job_left_is_removed_and_nothing_else(tmp_path):
    """Not what another machine, or the job of an output with a similar name, is writing."""
    ours = [f".a{more}.{artefact.NODE}12345.{ending}" for more in ("", ".provenance.json") for ending in ("tmp", "old")]
    others = [".a.zzz12345.tmp", f".a.b.{artefact.NODE}12345.tmp", f".ab.{artefact.NODE}12345.tmp"]
    for name in ours:
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_text("half")
    for name in others:
        (tmp_path / name).write_text("half")
    run(writer(), tmp_path / "a")
    assert visible(tmp_path) == sorted(["a", "a.provenance.json", *others])


def test_a_log_on_a_full_disk_ends_a_stage_with_1(script):
    """There is no space for a message either."""
    (script / "go").touch()
    command = [sys.executable, str(script / "work.py"), "--output", str(script / "out")]
    environment = os.environ | {"PYTHONPATH": str(Path(synthood.__file__).parents[1])}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=full, env=environment, timeout=60, check=False)
    assert done.returncode == 1
    assert not (script / "out").exists()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), MemoryError("2 TB")])
def test_the_machines_limits_end_in_a_traceback_and_one_error_line(tmp_path, capsys, error):
    def work(_):
        raise error

    with pytest.raises(SystemExit) as caught:
        run(work, tmp_path / "a")
    assert caught.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert [line for line in lines if line.startswith("error:")] == [f"error: test_stage: {error}"]
    assert lines[-1] == f"error: test_stage: {error}"


def test_an_interrupt_exits_with_130_and_a_bug_is_not_hidden(tmp_path):
    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run(interrupted, tmp_path / "a")
    assert caught.value.code == 130

    def wrong(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(wrong, tmp_path / "a")
    run(writer(), tmp_path / "a")  # neither kept the lock
    assert (tmp_path / "a").read_text() == "made"


def test_an_unusable_place_for_the_output_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as caught:
        run(writer(), tmp_path / "file" / "a")
    assert caught.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: test_stage: ")


def parsed(kind, words):
    return kind(writer()).command.parse(words)


def fingerprint(output, *more, name="s"):
    return stage.Job(name, parsed(taking, ["--output", str(output), *more])).fingerprint


def test_a_fingerprint_has_settings_and_content_but_no_paths(tmp_path, monkeypatch):
    for folder, content in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.in").write_text(content)
    one, same, other = (str(tmp_path / n / f"{n}.in") for n in "abc")
    base = ["--settings", '{"x":1}', "--given"]
    first = fingerprint(tmp_path / "o", *base, one)
    assert fingerprint(tmp_path / "o", *base, one) == first
    assert fingerprint(tmp_path / "elsewhere", *base, same) == first
    assert fingerprint(tmp_path / "o", *base, one, "--resume", "r", "--save-seconds", "3") == first
    changed = {
        first,
        fingerprint(tmp_path / "o", *base, other),
        fingerprint(tmp_path / "o", *base, one, same),
        fingerprint(tmp_path / "o", *base),
        fingerprint(tmp_path / "o", "--settings", '{"x":2}', "--given", one),
        fingerprint(tmp_path / "o", *base, one, name="t"),
    }
    monkeypatch.setenv("SYNTHOOD_CODE", "abc")
    changed.add(fingerprint(tmp_path / "o", *base, one))
    assert len(changed) == 7


def test_the_order_of_inputs_counts(tmp_path):
    for name in "xy":
        (tmp_path / name).write_text(name)
    x, y = str(tmp_path / "x"), str(tmp_path / "y")
    assert fingerprint(tmp_path / "o", "--given", x, y) != fingerprint(tmp_path / "o", "--given", y, x)


def test_a_fingerprint_of_a_damaged_input_is_refused(tmp_path):
    path = tmp_path / "in"
    path.write_text("x" * 20)
    write_provenance(path, path, {})
    before = fingerprint(tmp_path / "o", "--given", str(path))
    path.write_text("x" * 10)
    with pytest.raises(SynthoodError, match=r"in: truncated or changed"):
        fingerprint(tmp_path / "o", "--given", str(path))
    path.write_text("x" * 20)
    assert fingerprint(tmp_path / "o", "--given", str(path)) == before


def test_made_meanwhile_asks_for_all_outputs_of_the_same_job(tmp_path):
    outputs = [tmp_path / "a", tmp_path / "b"]
    arguments = writing(taking_two(writer()), outputs)
    job = stage.Job("test_stage", parsed(taking_two, arguments))
    assert not job.made_meanwhile()
    run(writer(), outputs)
    assert job.made_meanwhile()
    assert not stage.Job("test_stage", parsed(taking_two, [*arguments, "--settings", "[]"])).made_meanwhile()
    outputs[1].unlink()
    assert not job.made_meanwhile()


def test_a_job_that_did_not_wait_runs_again(tmp_path):
    run(writer("first"), tmp_path / "a")
    run(writer("second"), tmp_path / "a")
    assert (tmp_path / "a").read_text() == "second"


class Process:
    """A run of SCRIPT whose lines can be awaited."""

    def __init__(self, folder, *more):
        self.log = folder / f"log{len(list(folder.glob('log*')))}"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(folder / "work.py"), "--output", str(folder / "out"), *more],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": str(Path(synthood.__file__).parents[1])},
            )

    def await_line(self, part):
        deadline = time.monotonic() + 60
        while part not in self.log.read_text():
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)

    def end(self):
        return self.process.wait(60), self.log.read_text().splitlines()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def script(tmp_path):
    (tmp_path / "work.py").write_text(SCRIPT)
    return tmp_path


WAITING = "another process is writing it; waiting for it to end"


def test_a_second_process_waits_and_keeps_what_the_first_made(script):
    output = script / "out"
    with Process(script) as first:
        first.await_line("working")
        with Process(script) as second:
            second.await_line(WAITING)
            assert not output.exists()
            (script / "go").touch()
            assert first.end() == (0, ["working"])
            assert second.end() == (
                0,
                [f"{output}: {WAITING}", f"{output}: finished by another process with the same inputs; nothing to do"],
            )
    assert output.read_text() == "x"
    assert json.loads((script / "out.provenance.json").read_text())["sha256"] == hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize("why", ["other settings", "the first failed"])
def test_a_second_process_works_itself_where_the_first_did_not_do_its_work(script, why):
    more = ["--settings", "[1]"] if why == "other settings" else []
    if why == "the first failed":
        (script / "fail").touch()
    with Process(script) as first:
        first.await_line("working")
        with Process(script, *more) as second:
            second.await_line(WAITING)
            (script / "go").touch()
            failed = why == "the first failed"
            assert first.end() == (1, ["working", "error: the first fails"]) if failed else (0, ["working"])
            assert second.end() == (0, [f"{script / 'out'}: {WAITING}", "working"])
    assert (script / "out").read_text() == "xx"
