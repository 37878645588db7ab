"""What `synthood run` prints of Snakemake's events."""

import logging

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from synthood.common.disk import AGAIN, FULL
from synthood.workflow import run_log
from synthood.workflow.run_log import TRANSLATED, Run, duration, last_error


def record(message="", level=logging.INFO, **of):
    made = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    made.__dict__.update(of)
    return made


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(run_log.time, "monotonic", lambda: now[0])
    return now


def job(run, number, rule="train", message="train ce", log=()):
    fields = {"jobid": number, "rule_name": rule, "rule_msg": message, "log": list(map(str, log))}
    return run.lines(record(event=LogEvent.JOB_INFO, **fields))


def planned(**counts):
    run = Run()
    return run, run.lines(record(event=LogEvent.RUN_INFO, stats=counts | {"total": sum(counts.values())}))


def finished(run, number):
    return run.lines(record(event=LogEvent.JOB_FINISHED, job_id=number))


def failed(run, number, log):
    return run.lines(record(level=logging.ERROR, event=LogEvent.JOB_ERROR, jobid=number, rule_name="x", log=[str(log)]))


def test_a_finished_job_says_its_time_and_that_of_the_rest(clock):
    run, lines = planned(train=3, score=1)
    assert lines == ["4 jobs to run: 3 train, 1 score"]
    assert job(run, 1) == []
    clock[0] += 60
    assert finished(run, 1) == ["[1/4] train ce (1 min 0 s), more than 2 min 0 s left"]
    job(run, 2)
    job(run, 3, "score", "score ce")
    clock[0] += 10
    assert finished(run, 3) == ["[2/4] score ce (10 s), about 55 s left"]  # (2 x 60 - 10) s on two cores


def test_jobs_at_work_say_what_their_logs_say(clock, tmp_path):
    run, _ = planned(train=2)
    log = tmp_path / "a.log"
    log.write_text("train: step 1/9, 1.0 steps/s, 8 s left\ntrain: step 3/9, 1.0 steps/s, 6 s left, loss 0.5\n")
    job(run, 1, log=[log])
    job(run, 2, message="train kd")
    clock[0] += 5
    assert run.status() == "[0/2] running: train ce (for 5 s, 6 s left) and 1 more"


def test_an_error_comes_once_and_its_sentence_first(tmp_path):
    run, _ = planned(prepare=3)
    log = tmp_path / "a.log"
    log.write_text("Traceback\nerror: data/cat/1.jpg: cannot be read; remove it\nwarning: late\n")
    job(run, 1, "prepare", "prepare train of own")
    job(run, 2, "prepare", "prepare val of own")
    assert failed(run, 1, log) == [
        "error: prepare train of own: data/cat/1.jpg: cannot be read; remove it",
        f"  log: {log}",
    ]
    assert failed(run, 2, log) == ["error: prepare val of own: the same"]
    assert not run.jobs


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ('WorkflowError in file "x.smk", line 16:\nNot there:\n  a', ["error: Not there:", "  a"]),
        ("RuleException:\nCalledProcessError in file \"Snakefile\", line 12:\nCommand 'x' failed", []),
        ("WorkflowError:\nAt least one job did not complete successfully.", []),
        ("Exiting because a job execution failed. Look above", []),
        ('WorkflowError in file "a.smk", line 3:\nkey: wrong\n  File "a.smk", line 3', ["error: key: wrong"]),
        ("WorkflowError:\n\x1b[2Jred", ["error: \\x1b[2Jred"]),
        (
            "ProtectedOutputException in rule a in file \"a.smk\", line 1:\nWrite-protected output files for rule a:\n"
            "    output: results/a, results/b\n    affected files:\n        results/b\n",
            [f"error: results/b: may not be replaced, as on a read-only disk; make it writable, {AGAIN}"],
        ),
        (
            "Traceback (most recent call last):\n  File \"/a/snakemake/persistence/file.py\", line 3, in _io_read\n"
            "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xa2 in position 5: invalid start byte\n",
            [
                "error: a record in .snakemake/metadata is damaged; delete that folder, which finished files do not "
                f"need, {AGAIN}"
            ],
        ),
        ("Cancelling snakemake on user request.", ["error: stopped"]),
        (
            "LockException:\nError: Directory cannot be locked. Please make sure that no other process\n/place",
            ["error: " + TRANSLATED["Directory cannot be locked"]],
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in b\n    open(c)\n"
            "OSError: [Errno 28] No space left on device: '/place/.snakemake/log/a.log'\n",
            [f"error: /place/.snakemake/log/a.log: not written, {FULL}, {AGAIN}"],
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in b\n    c()\nValueError: not so\n",
            ["error: ValueError: not so"],
        ),
    ],
)  # fmt: skip
def test_errors_of_the_plan_lose_what_only_snakemakes_authors_read(message, lines):
    assert Run().lines(record(message, logging.ERROR, event=LogEvent.ERROR)) == lines


def test_a_full_disk_is_told_once():
    run, lines = Run(), []
    for name in "ab":
        text = f"OSError: [Errno 28] No space left on device: '/place/{name}'"
        lines += run.lines(record(text, logging.ERROR, event=LogEvent.ERROR))
    assert lines == [f"error: /place/a: not written, {FULL}, {AGAIN}"]


def test_a_long_error_is_cut_to_ten_lines():
    text = "\n".join(f"key{number}: wrong" for number in range(40))
    lines = Run().lines(record(f"WorkflowError:\n{text}", logging.ERROR, event=LogEvent.ERROR))
    assert len(lines) == 10
    assert lines[0] == "error: key0: wrong"
    assert lines[-1] == "... and 31 more lines; `synthood check` prints them"


def test_a_job_that_left_no_message_says_what_is_known(tmp_path, monkeypatch):
    run, _ = planned(train=2)
    log = tmp_path / "a.log"
    job(run, 1, log=[log])
    killed = "ended without a message: killed from outside, as where memory runs out"
    assert failed(run, 1, log) == [f"error: train ce: {killed}", f"  log: {log}"]
    monkeypatch.setattr(run_log, "is_full", lambda folder: folder == tmp_path)
    job(run, 2, log=[log])
    full = f"{log}: not written, no space is left on its disk; free some, then run the same command again"
    assert failed(run, 2, log)[0] == f"error: train ce: {full}"


def test_ctrl_c_says_that_jobs_are_waited_for():
    run, _ = planned(train=2)
    ended = record("Terminating processes on user request, this might take some time.")
    assert run.lines(ended) == []
    job(run, 1)
    assert run.lines(ended) == ["stopping: jobs at work save what they have"]


def test_without_a_message_a_logs_last_line_stands():
    assert last_error("a\nKilled\n\n") == "Killed"
    assert last_error("") == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3600, "1 h 0 min"), (7810, "2 h 10 min")]
)
def test_durations_in_two_units(seconds, text):
    assert duration(seconds) == text
