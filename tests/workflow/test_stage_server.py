"""Stages in forks of one process behave as processes of their own: output, exit codes, signals, kills."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthood.workflow import stage_client

STAGES = {
    "says": "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['OMP_NUM_THREADS'], 'torch' in before)",
    "threads": "import numpy, threadpoolctl, torch; "
    "print(torch.get_num_threads(), {one['num_threads'] for one in threadpoolctl.threadpool_info()})",
    "fails": "import sys; print('why', file=sys.stderr); sys.exit(7)",
    "raises": "raise ValueError('wrong')",
    "prints": "print('x' * 10**6, flush=True)",
    "imports": "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)",
    "ends": "import atexit, pathlib, sys, time\n"
    "atexit.register(lambda: (pathlib.Path(sys.argv[1]).touch(), time.sleep(1)))",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "waits": "import pathlib, signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "pathlib.Path(sys.argv[1]).write_text(f'{__import__(\"os\").getpid()} {child.pid}')\n"
    "time.sleep(600)",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package of stages."""
    found = tmp_path_factory.mktemp("stages")
    (found / "toy").mkdir()
    for name, code in STAGES.items():
        (found / f"toy/{name}.py").write_text(f"import sys\nbefore = set(sys.modules)\n{code}\n")
    return found


@pytest.fixture(scope="module")
def owner() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "1200"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def folder(owner: "subprocess.Popen[bytes]", tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / f"synthood-stages-{owner.pid}-{secrets.token_hex(4)}"


def started(place: Path, stages: Path | str, *words: str, threads: int = 1) -> "subprocess.Popen[str]":
    variables = {
        **os.environ,
        "SYNTHOOD_STAGES": str(stages),
        "PYTHONPATH": str(place),
        "OMP_NUM_THREADS": str(threads),
    }
    return subprocess.Popen(
        [sys.executable, "-IS", stage_client.__file__, *words],
        cwd=place,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_stage_sees_its_command_folder_and_environment(place: Path, folder: Path) -> None:
    for stages, imported in ((folder, True), ("off", False)):
        output, errors = started(place, stages, "toy.says", "--a", "b c", threads=2).communicate()
        assert (output, errors) == (f"['--a', 'b c'] {place} 2 {imported}\n", "")
    output, _ = started(place, folder, "toy.threads", threads=2).communicate()
    assert output == "2 {2}\n"


def test_exit_codes_and_errors_arrive(place: Path, folder: Path) -> None:
    failed = started(place, folder, "toy.fails")
    assert failed.communicate() == ("", "why\n")
    assert failed.returncode == 7
    raised = started(place, folder, "toy.raises")
    assert raised.communicate()[1].endswith("ValueError: wrong\n")
    assert raised.returncode == 1
    killed = started(place, folder, "toy.killed")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 9), (signal.SIGKILL, -signal.SIGKILL)])
def test_signals_reach_the_stage(place: Path, folder: Path, tmp_path: Path, sent: signal.Signals, code: int) -> None:
    process = started(place, folder, "toy.waits", str(tmp_path / "numbers"))
    while not (tmp_path / "numbers").exists() or not (tmp_path / "numbers").read_text():
        time.sleep(0.01)
    numbers = [int(word) for word in (tmp_path / "numbers").read_text().split()]
    process.send_signal(sent)
    process.communicate()
    assert process.returncode == code
    for number in numbers:
        while alive(number):
            time.sleep(0.01)


def alive(number: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return state(number) != "Z"
    except FileNotFoundError:
        return False


def state(number: int) -> str:
    """R while it runs, S while it sleeps, Z when it has ended."""
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]


def test_ctrl_c_while_a_stage_imports_is_no_traceback(place: Path, folder: Path, tmp_path: Path) -> None:
    process = started(place, folder, "toy.imports", str(tmp_path / "begun"))
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate() == ("", "")
    assert process.returncode == 130


def test_ctrl_c_while_a_finished_stage_ends_is_ignored(place: Path, folder: Path, tmp_path: Path) -> None:
    process = started(place, folder, "toy.ends", str(tmp_path / "ending"))
    while not (tmp_path / "ending").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate() == ("", "")
    assert process.returncode == 0


@pytest.mark.parametrize("stage", ["toy.says", "toy.prints", "toy.raises"])
def test_a_log_on_a_full_disk_ends_the_stage(place: Path, folder: Path, stage: str) -> None:
    """It must not go on as a second server."""
    variables = {"SYNTHOOD_STAGES": str(folder), "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-IS", stage_client.__file__, stage],
            cwd=place,
            env={**os.environ, **variables},
            stdout=full,
            stderr=full,
            timeout=300,
            check=False,
        )
    assert process.returncode == 1


def test_jobs_on_a_gpu_are_processes_of_their_own(place: Path, folder: Path) -> None:
    assert started(place, folder, "toy.says", "--gpus=0").communicate()[0].endswith("1 True\n")
    assert started(place, folder, "toy.says", "--gpus=1").communicate()[0].endswith("1 False\n")


def test_a_folder_that_others_may_write_is_not_used(
    place: Path, owner: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    folder = tmp_path / f"synthood-stages-{owner.pid}-a"
    folder.mkdir()
    folder.chmod(0o777)
    output, _ = started(place, folder, "toy.says").communicate()
    assert output.endswith("1 False\n")


def test_the_server_ends_with_its_owner(place: Path, tmp_path: Path) -> None:
    owner = subprocess.Popen(["sleep", "1200"])
    folder = tmp_path / f"synthood-stages-{owner.pid}-a"
    assert started(place, folder, "toy.says").communicate()[1] == ""
    assert folder.exists()
    owner.kill()
    owner.wait()
    while folder.exists():
        time.sleep(0.01)


def test_a_server_that_is_killed_before_it_answers(place: Path, tmp_path: Path) -> None:
    """As by the machine that lacks memory, or with an owner that ends first."""
    owner = subprocess.Popen(["sleep", "1200"])
    folder = tmp_path / f"synthood-stages-{owner.pid}-a"
    assert started(place, folder, "toy.says").communicate()[1] == ""
    (server,) = [
        int(one.parent.name)
        for one in Path("/proc").glob("[0-9]*/cmdline")
        if str(folder).encode() in one.read_bytes().split(b"\0")
    ]
    os.kill(server, signal.SIGSTOP)
    process = started(place, folder, "toy.says")
    asleep = 0
    while asleep < 50:  # for half a second: it has asked, and waits
        asleep = asleep + 1 if state(process.pid) == "S" else 0
        time.sleep(0.01)
    os.kill(server, signal.SIGKILL)
    output, errors = process.communicate()
    assert (output, process.returncode) == ("", 1)
    assert errors == "the process from which stages fork was killed; run the same command again\n"
    owner.kill()
    owner.wait()
