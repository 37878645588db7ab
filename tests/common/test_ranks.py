"""What each of several processes computes; tests/training/test_processes.py lets them train."""

import os
import subprocess
import sys

import torch
from hypothesis import given
from hypothesis import strategies as st

from synthood.common import stage
from synthood.common.ranks import SINGLE_PROCESS, Ranks, ranks_of_torchrun, sum_gradients, with_synced_statistics


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 6))
def test_every_image_is_computed_once_and_both_kinds_are_shared(is_real, count):
    real = torch.tensor(is_real)
    shares = [Ranks(index, count).shard_batch(real) for index in range(count)]
    assert sorted(torch.cat(shares).tolist()) == list(range(len(is_real)))
    for kind in (real, ~real):
        numbers = [int(kind[share].sum()) for share in shares]
        assert max(numbers) - min(numbers) <= 1
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert all(share.tolist() == sorted(share.tolist()) for share in shares)


def test_sio_on_two_devices_is_that_of_the_paper():
    """256 images of which 230 are real: 115 and 13 on each."""
    is_real = torch.arange(256) < 230
    for index in range(2):
        share = Ranks(index, 2).shard_batch(is_real)
        assert (int(is_real[share].sum()), len(share)) == (115, 128)


def test_ranks_come_from_torchrun_alone(monkeypatch):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert ranks_of_torchrun() == SINGLE_PROCESS
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert ranks_of_torchrun() == Ranks(3, 4)
    assert [Ranks(index, 2).is_main for index in range(2)] == [True, False]


def test_one_process_needs_no_others():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
    assert with_synced_statistics(network, SINGLE_PROCESS, torch.device("cpu")) is network
    assert type(network[0]) is torch.nn.BatchNorm2d
    network[0].weight.grad = torch.ones(3)
    sum_gradients(network.parameters(), [], SINGLE_PROCESS)
    assert network[0].weight.grad.tolist() == [1.0] * 3


LAUNCH = """
import os, sys
from synthood.common import stage
from synthood.common.command import Output

def instead(path, command):  # of another process that takes this one's place
    print(command[1:], os.get_inheritable(stage._held[0]), flush=True)
    os.system(f"{path} {sys.argv[2]} {sys.argv[1]}")
    sys.exit(7)

os.execv = instead
@stage.Stage
def main(job: stage.Job, output: Output) -> None:
    stage.start_again_under_torchrun("module", 3, ["--seed", "0"])

main(["--output", sys.argv[1]])
"""
OTHER = """
import sys
from pathlib import Path
from filelock import FileLock, Timeout

output = Path(sys.argv[1])
try:
    FileLock(output.parent / f".{output.name}.lock").acquire(timeout=0)
except Timeout:
    print("held")
"""


def test_several_gpus_start_several_processes_under_one_lock(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "TORCHELASTIC_RUN_ID"}
    for name, text in (("launch.py", LAUNCH), ("other.py", OTHER)):
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, *(str(tmp_path / name) for name in ("launch.py", "out", "other.py"))],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    line = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3", "-m", "module", "--seed", "0"]
    assert done.stdout.splitlines() == [f"{line} True", "held"]
    assert not stage._held
