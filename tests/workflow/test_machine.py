"""GPUs of this machine, found without torch; memory that is kept from step to step."""

import os
import platform
import subprocess
import sys

import pytest

from synthood.workflow.machine import ALLOCATION, gpus_found


@pytest.mark.parametrize(
    ("visible", "count"),
    [("", 0), ("-1", 0), ("0", 1), ("0,1", 2), ("2, 5,7", 3), ("GPU-8932f937-d72c", 1), (" ", 0), ("0,", 1)],
)
def test_named_devices_are_counted_whatever_the_driver_says(monkeypatch, tmp_path, visible, count):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    driver(monkeypatch, tmp_path, "GPU 0: one\\nGPU 1: two\\nGPU 2: three\\nGPU 3: four\\n")
    assert gpus_found() == count


def driver(monkeypatch, folder, output, status=0):
    """A program nvidia-smi, and no other, on the path."""
    program = folder / "nvidia-smi"
    program.write_text(f'#!/bin/sh\n[ "$1" = --list-gpus ] || exit 9\nprintf "{output}"\nexit {status}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.parametrize(
    ("output", "status", "count"),
    [
        ("GPU 0: NVIDIA H200 (UUID: GPU-1)\\nGPU 1: NVIDIA H200 (UUID: GPU-2)\\n", 0, 2),
        ("GPU 0: NVIDIA A30 (UUID: GPU-1)\\n  MIG 1g.6gb Device 0: (UUID: MIG-2)\\n", 0, 1),
        ("NVIDIA-SMI has failed because it could not communicate with the driver\\n", 9, 0),
        ("", 0, 0),
    ],
)
def test_else_the_drivers_list_is_counted(monkeypatch, tmp_path, output, status, count):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    driver(monkeypatch, tmp_path, output, status)
    assert gpus_found() == count


def test_without_a_driver_there_is_none(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus_found() == 0


def test_looking_does_not_import_torch():
    code = "import sys; from synthood.workflow.machine import gpus_found; gpus_found(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


FAULTS = """
import resource
for turn in range(21):
    if turn == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(b"1") * 2**25
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_memory_that_was_freed_is_used_again_without_page_faults():
    def faults(variables):
        environment = {name: value for name, value in os.environ.items() if name not in ALLOCATION} | variables
        run = [sys.executable, "-c", FAULTS]
        return int(subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout)

    assert faults({}) > 300
    assert faults(ALLOCATION) < 30
