"""`make drill`: random kills over all stages of the tests' DAG, after which the same command must give the same bytes.

Each job that begins is hit at a random moment by a random signal, to the stage, to Snakemake, or to both; once all is
made, each file is compared with that of a run that nobody disturbed. `--seed` decides moments and signals, and a drill
that is stopped goes on in its folder.
"""

import argparse
import csv
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from checkouts import HANGS, Workflow, checkout

KINDS = [
    ("stage", signal.SIGKILL),
    ("stage", signal.SIGTERM),
    ("stage", signal.SIGINT),
    ("stage", signal.SIGHUP),
    ("snakemake", signal.SIGKILL),
    ("snakemake", signal.SIGTERM),
    ("both", signal.SIGKILL),
    ("both", signal.SIGTERM),
    ("both", signal.SIGINT),
    ("server", signal.SIGKILL),
]
"""Who is hit by what. Both by SIGINT is Ctrl-C; the server is the process that stages fork from."""
SOON = 0.01
"""Seconds between two looks at what runs."""
LEFT = re.compile(r"\.\w{8}\.(tmp|old)$")
STUCK = 60.0
"""Seconds without a running stage after which a Snakemake that was asked to stop is killed (docs/faults.md)."""
STARTS = 200
"""Of Snakemake in one pass, after which something must be wrong."""


@dataclass
class Kill:
    """One row of the drill's table."""

    number: int
    turn: int
    rule: str
    log: str
    victim: str
    sent: str
    moment: float
    """Seconds after the job began."""


@dataclass
class Turn:
    """One pass through the DAG."""

    number: int
    files: int = 0
    seconds: float = 0.0
    starts: int = 0
    resumed: int = 0
    stuck: int = 0
    """Snakemakes that did not end after a signal."""
    differing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Whatever else must not be: failures that no kill explains, tracebacks, remains."""


def writers(log: Path) -> list[int]:
    """Processes whose output goes to a log: a stage, and the client that waits for it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "fd/1").readlink() == log:
                found.append(int(process.name))
        except OSError:
            continue
    return found


def servers(snakemake: int) -> list[int]:
    """The process from which the stages of a Snakemake fork, with the forks that wait for one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.endswith(b"stage_server.py") for word in command) and str(snakemake).encode() in command:
            found.append(int(process.name))
    return sorted(found)[:1]


def send(to: list[int], number: signal.Signals) -> bool:
    """Whether there was a process to hit."""
    hit = False
    for one in to:
        try:
            os.kill(one, number)
            hit = True
        except ProcessLookupError:
            continue
    return hit


class Drill:
    """Kills in copies of one checkout, with its results so far, of the jobs whose logs are named (None: of all)."""

    def __init__(self, place: Path, start: Workflow, undisturbed: Workflow, seed: int, logs: set[str] | None = None):
        self.place, self.start, self.seed, self.only = place, start, seed, logs
        self.expected = undisturbed.artefacts()
        self.seconds = durations(undisturbed)
        self.table = place / "kills.csv"
        self.kills: list[Kill] = []
        if self.table.exists():
            with self.table.open(newline="") as stream:
                kinds = {one.name: one.type for one in fields(Kill)}
                self.kills = [Kill(**{k: kinds[k](v) for k, v in row.items()}) for row in csv.DictReader(stream)]

    def run(self, most: int) -> list[Turn]:
        """Passes through the DAG until there were so many kills; those that this call finished."""
        turns: list[Turn] = []
        while True:
            number = max((kill.turn for kill in self.kills), default=0)
            number += not (self.place / f"turn{number}").exists()
            if len(self.kills) >= most and not (self.place / f"turn{number}").exists():
                return turns
            before = len(self.kills)
            turns.append(self.turn(number, most))
            with (self.place / "passes.txt").open("a") as stream:
                print(self.told(turns[-1]), file=stream)
            print(self.told(turns[-1]), flush=True)
            if len(self.kills) == before:
                return turns

    def turn(self, number: int, most: int) -> Turn:
        """One pass: starts Snakemake until all is made, and hits each job once."""
        workflow = Workflow(self.place / f"turn{number}")
        if not workflow.place.exists():
            shutil.copytree(self.start.place, workflow.place, symlinks=True)
        result, began = Turn(number), time.monotonic()
        wrong: dict[str, None] = {}
        while result.starts < STARTS:
            if any((workflow.place / ".snakemake/locks").glob("*")):
                unlocked = workflow.run("--unlock")
                assert unlocked.returncode == 0, unlocked.stdout
            result.starts += 1
            before = len(self.kills)
            code, output, stuck = self.one_start(workflow, number, most)
            result.stuck += stuck
            for name in tracebacks(workflow):
                wrong[f"traceback in {name}"] = None
                self.save(workflow.place / "results/logs" / name, f"{number}-{result.starts}-{name.replace('/', '-')}")
            if code == 0:
                break
            if len(self.kills) == before:
                wrong[f"start {result.starts} failed unhit: " + " | ".join(output.splitlines()[-12:])] = None
                break
        made = workflow.artefacts()
        names = sorted({*made, *self.expected})
        result.differing = [name for name in names if made.get(name) != self.expected.get(name)]
        result.files, result.seconds, result.resumed = len(names), time.monotonic() - began, resumed(workflow)
        places = [workflow.place / name for name in ("results", ".resume")]
        left = [path for place in places for path in place.rglob("*") if remains(path)]
        result.wrong = [*wrong, *(f"left: {path.relative_to(workflow.place)}" for path in left)]
        if result.differing or result.wrong:
            workflow.place.rename(self.place / f"kept{number}-{len(list(self.place.glob('kept*')))}")
        else:
            shutil.rmtree(workflow.place)
        return result

    def one_start(self, workflow: Workflow, turn: int, most: int) -> tuple[int, str, bool]:
        """Snakemake until its end, which kills may bring about; its exit code, its output, and whether it was stuck."""
        logs = workflow.place / "results/logs"
        known = {log: log.stat().st_mtime_ns for log in logs.rglob("*.log")}
        process = started(workflow)
        hit = {kill.log for kill in self.kills if kill.turn == turn}
        begun: dict[Path, tuple[float, float]] = {}
        ends = time.monotonic() + HANGS
        busy: float | None = None
        stuck = False
        while process.poll() is None:
            assert time.monotonic() < ends, f"{workflow.place}: Snakemake hangs"
            time.sleep(SOON)
            now = time.monotonic()
            if busy is not None and now - busy > STUCK:
                if any(writers(log) for log in logs.rglob("*.log")):
                    busy = now
                else:
                    os.killpg(process.pid, signal.SIGKILL)
                    stuck = True
            for log in logs.rglob("*.log"):
                name = log.relative_to(logs).as_posix()
                wanted = (self.only is None or name in self.only) and name not in hit and log not in begun
                if wanted and known.get(log) != mtime(log):
                    begun[log] = now, self.chance(turn, name).uniform(0, self.seconds.get(name, 1.0))
            for log in [log for log, (since, wait) in begun.items() if now >= since + wait]:
                name, (since, _) = log.relative_to(logs).as_posix(), begun[log]
                if len(self.kills) >= most or name in hit:
                    continue
                hit.add(name)
                victim, number = self.chance(turn, f"{name} by").choice(KINDS)
                if self.hit(victim, number, process, log):
                    made = Kill(len(self.kills) + 1, turn, name.partition("/")[0].removesuffix(".log"), name, victim,
                                number.name, round(now - since, 3))  # fmt: skip
                    self.write(made)
                if victim in ("snakemake", "both"):
                    busy = now
                if victim != "stage":
                    break
        return process.returncode, (workflow.place / "output.txt").read_text(), stuck

    def save(self, log: Path, name: str) -> None:
        """Copies a log before the next start writes over it."""
        folder = self.place / "tracebacks"
        folder.mkdir(exist_ok=True)
        shutil.copy(log, folder / name)

    def chance(self, turn: int, name: str) -> random.Random:
        return random.Random(f"{self.seed} {turn} {name}")

    def hit(self, victim: str, number: signal.Signals, process: "subprocess.Popen[bytes]", log: Path) -> bool:
        """Whether there was a process to hit."""
        if victim == "both":
            os.killpg(process.pid, number)
            return True
        if victim == "snakemake":
            return send([process.pid], number)
        return send(writers(log) if victim == "stage" else servers(process.pid), number)

    def write(self, kill: Kill) -> None:
        self.kills.append(kill)
        new = not self.table.exists()
        with self.table.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, [one.name for one in fields(Kill)])
            if new:
                writer.writeheader()
            writer.writerow(asdict(kill))

    def told(self, turn: Turn) -> str:
        """A pass in a line, and lines for what must not be."""
        kills = sum(kill.turn == turn.number for kill in self.kills)
        line = (
            f"pass {turn.number}: {kills} kills, {turn.starts} starts, {turn.resumed} fits resumed, "
            f"{turn.stuck} Snakemakes stuck, {turn.files} files, {len(turn.differing)} differ, {turn.seconds:.0f} s"
        )
        return "\n".join(
            [line, *(f"  differs: {name}" for name in turn.differing), *(f"  {one}" for one in turn.wrong)]
        )

    def shown(self) -> str:
        """Kills by stage and by who was hit by what."""
        columns = [f"{victim} {number.name}" for victim, number in KINDS]
        counts = Counter((kill.rule, f"{kill.victim} {kill.sent}") for kill in self.kills)
        rules = sorted({kill.rule for kill in self.kills})
        rows = [[rule, *(counts[rule, column] for column in columns), sum(k.rule == rule for k in self.kills)]
                for rule in rules]  # fmt: skip
        rows.append(["all", *(sum(counts[r, c] for r in rules) for c in columns), len(self.kills)])
        head = ["stage", *columns, "all"]
        lines = [" | ".join(str(cell or "") for cell in row) for row in (head, ["---"] * len(head), *rows)]
        return "\n".join(f"| {line} |" for line in lines)


def mtime(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def remains(path: Path) -> bool:
    """Whether a file is none that a finished run leaves."""
    return path.is_file() and (LEFT.search(path.name) is not None or ".resume" in path.parts)


def tracebacks(workflow: Workflow) -> list[str]:
    """Logs of stages that end in a traceback, but for those of a Ctrl-C while Python starts."""
    logs = workflow.place / "results/logs"
    texts = {log: log.read_text().rstrip() for log in logs.rglob("*.log")}
    found = [log for log, text in texts.items() if "Traceback (most" in text and not text.endswith("KeyboardInterrupt")]
    return [str(log.relative_to(logs)) for log in found]


def resumed(workflow: Workflow) -> int:
    """Fits that went on from a state, as their logs say now."""
    found = 0
    for log in (workflow.place / "results/logs").rglob("*.log"):
        found += len(re.findall(r": resumed at step (?!0 )", log.read_text()))
    return found


def started(workflow: Workflow) -> "subprocess.Popen[bytes]":
    """Snakemake in a process group of its own, with states saved at every step; its output goes to a file."""
    variables = {name: value for name, value in os.environ.items() if name != "SYNTHOOD_STAGES"}
    with (workflow.place / "output.txt").open("w") as stream:
        return subprocess.Popen(
            workflow.command(),
            cwd=workflow.place,
            env=variables | {"SYNTHOOD_SAVE_SECONDS": "0"},
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def durations(workflow: Workflow) -> dict[str, float]:
    """Seconds that the job of each log took, where they were noted."""
    file = workflow.place / "durations.csv"
    if not file.exists():
        return {}
    with file.open(newline="") as stream:
        return {name: max(float(seconds), 0.1) for name, seconds in csv.reader(stream)}


def undisturbed(place: Path) -> Workflow:
    """A checkout in which everything was made, and the time of each job noted."""
    if place.exists():
        return Workflow(place)
    workflow = checkout(place.with_name(f"{place.name}-{os.getpid()}"))
    process, logs = started(workflow), workflow.place / "results/logs"
    began: dict[Path, float] = {}
    took: dict[Path, float] = {}
    while process.poll() is None:
        time.sleep(5 * SOON)
        for log in logs.rglob("*.log"):
            since = began.setdefault(log, time.monotonic())
            if writers(log):
                took[log] = time.monotonic() - since
    assert process.returncode == 0, (workflow.place / "output.txt").read_text()
    with (workflow.place / "durations.csv").open("w", newline="") as stream:
        rows = [(log.relative_to(logs).as_posix(), round(seconds, 2)) for log, seconds in sorted(took.items())]
        csv.writer(stream).writerows(rows)
    workflow.place.rename(place)
    return Workflow(place)


def main() -> int:
    """Runs the drill of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="default: 100")
    parser.add_argument("--seed", type=int, default=0, help="of moments and signals (default: 0)")
    parser.add_argument("--place", type=Path, default=Path(".drill"), help="folder of its own (default: .drill)")
    given = parser.parse_args()
    place: Path = given.place.resolve() / f"seed{given.seed}"
    place.mkdir(parents=True, exist_ok=True)
    start = Workflow(place / "start")
    if not start.place.exists():
        checkout(place / f"start-{os.getpid()}").place.rename(start.place)
    drill = Drill(place, start, undisturbed(place / "undisturbed"), given.seed)
    drill.run(given.kills)
    print("", (place / "passes.txt").read_text(), drill.shown(), "", sep="\n")
    kept = sorted(place.glob("kept*"))
    verdict = f"something differs or is wrong: {', '.join(map(str, kept))}" if kept else "no differing byte"
    print(f"{len(drill.kills)} kills, seed {given.seed}: {verdict}")
    return int(bool(kept))


if __name__ == "__main__":
    sys.exit(main())
