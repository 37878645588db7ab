"""Snakemake's log as `synthood run` prints it: progress, remaining time, and each error once, its sentence first."""

import logging
import re
import shutil
import sys
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from synthood.common.disk import AGAIN, FULL, is_full, wrong_with_disk
from synthood.errors import printable

SHOWN_LINES = 9
"""Lines of one error."""
QUIET_SECONDS = 60.0
"""Between two lines about running jobs in a log file."""
IN_WORDS = re.compile(r"[\w ]*(?:Error|Exception)(?: in file .*, line \d+)?:\n?")
"""What Snakemake puts before a message."""
LEFT = re.compile(r"(\d+) s left")
TRANSLATED = {
    "Directory cannot be locked": "another run makes the same files in this folder, or a killed one left its lock; "
    "wait for it, or where none runs, give the same command with --unlock at its end, then without",
    "has older modification time": f"an input is of the future by this machine's clock; set it, {AGAIN}",
    "Cancelling snakemake on user request": "stopped",
}
"""Sentences for what Snakemake says of faults around it."""
PROTECTED = re.compile(r"Write-protected output files.*affected files:\n\s*([^\n]+)", re.DOTALL)
RECORDS = re.compile(r"^Traceback.*snakemake/persistence/.*Error", re.DOTALL)
STOPPING = "Terminating processes on user request"
OF_SNAKEMAKE = ("At least one job did not complete", "Exiting because a job execution failed", "CalledProcessError")


@dataclass
class Running:
    """A job at work."""

    rule: str
    name: str
    logs: list[Path]
    began: float = field(default_factory=lambda: time.monotonic())

    def left(self) -> str:
        """What the job's log says of the time that it still takes."""
        found = LEFT.findall(_end_of(self.logs))
        return f", {duration(float(found[-1]))} left" if found else ""


class Run:
    """The state of a run after its events so far, and the lines that each event prints."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.parallel = 1
        self.jobs: dict[int, Running] = {}
        self.planned: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.errors: Counter[str] = Counter()

    def lines(self, record: logging.LogRecord) -> list[str]:
        """What to print for one record of Snakemake's."""
        event, of = getattr(record, "event", None), record.__dict__
        if event == LogEvent.RUN_INFO:
            counts = Counter(of["stats"])
            self.total = counts.pop("total", 0)
            self.planned = counts
            parts = ", ".join(f"{count} {rule}" for rule, count in counts.items())
            return [f"{self.total} jobs to run: {parts}"]
        if event == LogEvent.JOB_INFO:
            name = of["rule_msg"] or of["rule_name"]
            self.jobs[of["jobid"]] = Running(of["rule_name"], name, [Path(log) for log in of["log"]])
            self.parallel = max(self.parallel, len(self.jobs))
        elif event == LogEvent.JOB_FINISHED:
            return self._finished(of["job_id"])
        elif event == LogEvent.JOB_ERROR:
            return self._failed(of)
        elif STOPPING in record.getMessage():
            return ["stopping: jobs at work save what they have"] if self.jobs else []
        elif event in (LogEvent.ERROR, None) and record.levelno >= logging.WARNING:
            return self._error(record.getMessage(), record.levelno)
        return []

    def _finished(self, number: int) -> list[str]:
        self.done += 1
        if (job := self.jobs.pop(number, None)) is None:
            return []
        self.planned[job.rule] -= 1
        took = time.monotonic() - job.began
        self.seconds[job.rule].append(took)
        return [f"[{self.done}/{self.total}] {job.name} ({duration(took)}){self.remaining()}"]

    def _failed(self, of: dict[str, Any]) -> list[str]:
        job = self.jobs.pop(of["jobid"], None)
        name = job.name if job else of["rule_name"]
        logs = [Path(log) for log in of["log"]]
        reason = last_error(_end_of(logs)) or without_words(logs)
        self.errors[reason] += 1
        if self.errors[reason] > 1:
            return [f"error: {name}: the same"]
        return [f"error: {name}: {printable(reason)}", *(f"  log: {log}" for log in logs)]

    def _error(self, message: str, level: int) -> list[str]:
        if any(part in message for part in OF_SNAKEMAKE):
            return []
        text = translated(message)
        if not text:
            return []
        key = wrong_with_disk(message, near=True) or text  # several files report one full disk
        self.errors[key] += level >= logging.ERROR
        if self.errors[key] > 1:
            return []
        given = [printable(line) for line in text.splitlines()]
        more = [f"... and {len(given) - SHOWN_LINES} more lines; `synthood check` prints them"]
        kind = "error: " if level >= logging.ERROR else "warning: "
        return [kind + given[0], *given[1:SHOWN_LINES], *(more if len(given) > SHOWN_LINES else [])]

    def remaining(self) -> str:
        """How long the rest takes if jobs take as long as those of the same rule so far."""
        rest = +self.planned
        rest.pop("all", None)
        known = [rule for rule in rest if self.seconds[rule]]
        if not known:
            return ""
        average = {rule: sum(self.seconds[rule]) / len(self.seconds[rule]) for rule in known}
        spent = sum(time.monotonic() - job.began for job in self.jobs.values())
        seconds = max(sum(rest[rule] * average[rule] for rule in known) - spent, 0) / self.parallel
        return f", {'about' if len(known) == len(rest) else 'more than'} {duration(seconds)} left"

    def status(self) -> str:
        """One line about the jobs at work."""
        jobs = list(self.jobs.values())
        if not jobs:
            return ""
        first = f"{jobs[0].name} (for {duration(time.monotonic() - jobs[0].began)}{jobs[0].left()})"
        more = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
        return f"[{self.done}/{self.total}] running: {first}{more}{self.remaining()}"


class LogHandler(LogHandlerBase):
    """Prints a run to stderr; on a terminal the last line shows the jobs at work."""

    writes_to_stream = has_filter = has_formatter = True
    writes_to_file = needs_rulegraph = False

    latest: ClassVar[Self | None] = None
    """That of the last run in this process."""

    def __post_init__(self) -> None:
        type(self).latest = self
        self.run = Run()
        self.terminal = sys.stderr.isatty()
        self.printing, self.shown, self.printed = threading.Lock(), "", time.monotonic()
        if not self.common_settings.dryrun:
            threading.Thread(target=self._watch, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Prints what one record of Snakemake's has to say."""
        try:
            with self.printing:
                self._print(self._dry(record) if self.common_settings.dryrun else self.run.lines(record))
        except Exception:  # as every handler of logging does
            self.handleError(record)

    def _dry(self, record: logging.LogRecord) -> list[str]:
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            of = record.__dict__
            return [f"would run: {of['rule_msg'] or of['rule_name']}"]
        return self.run.lines(record)

    def _print(self, lines: list[str]) -> None:
        if lines:
            self._clear()
            print(*lines, sep="\n", file=sys.stderr, flush=True)
            self.printed = time.monotonic()

    def _clear(self) -> None:
        if self.shown:
            print("\r" + " " * len(self.shown) + "\r", end="", file=sys.stderr, flush=True)
            self.shown = ""

    def _watch(self) -> None:
        while True:
            time.sleep(1)
            with self.printing:
                status = self.run.status()
                if self.terminal:
                    self._clear()
                    self.shown = status[: shutil.get_terminal_size().columns - 1]
                    print(self.shown, end="", file=sys.stderr, flush=True)
                elif status and time.monotonic() - self.printed > QUIET_SECONDS:
                    self._print([status])

    def close(self) -> None:
        """Leaves the terminal's last line empty."""
        with self.printing:
            self._clear()
        super().close()


def translated(message: str) -> str:
    """What Snakemake's message means, for who runs a workflow: a sentence where one is known, never a traceback."""
    for words, sentence in TRANSLATED.items():
        if words in message:
            return sentence
    if (found := PROTECTED.search(message)) is not None:
        return f"{found[1]}: may not be replaced, as on a read-only disk; make it writable, {AGAIN}"
    if (cause := wrong_with_disk(message, near=True)) is not None:
        place = re.findall(r"\[Errno \d+\] [^:\n]*: '([^'\n]+)'", message)
        return f"{place[-1] if place else Path.cwd()}: not written, {cause}, {AGAIN}"
    if RECORDS.search(message):
        return (
            f"a record in .snakemake/metadata is damaged; delete that folder, which finished files do not need, {AGAIN}"
        )
    if "Traceback (most recent call last)" in message:
        return message.strip().splitlines()[-1]
    text = IN_WORDS.sub("", message, count=1).strip()
    return text.partition('\n  File "')[0]  # of a traceback


def without_words(logs: list[Path]) -> str:
    """Why a job left nothing in its log."""
    for log in logs:
        if is_full(log.parent):
            return f"{log}: not written, {FULL}, {AGAIN}"
    return "ended without a message: killed from outside, as where memory runs out"


def last_error(text: str) -> str:
    """The message of a job's log: its last line that begins with `error:`, else its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or [""])[-1].removeprefix("error:").strip()


def duration(seconds: float) -> str:
    """Seconds in the two largest units: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    minutes, hours = whole // 60, whole // 3600
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _end_of(logs: list[Path]) -> str:
    """The last bytes of a job's logs, as text."""
    text = []
    for log in logs:
        try:
            with log.open("rb") as file:
                file.seek(max(log.stat().st_size - 4096, 0))
                text.append(file.read().decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(text)
