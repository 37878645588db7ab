"""Devices, precision, and one GPU per job."""

import threading
from contextlib import ExitStack, nullcontext

import pytest
import torch
from filelock import FileLock

from synthood.common.arithmetic import autocast, resolved_precision
from synthood.common.devices import device_for, free_slot, out_of_memory, set_threads
from synthood.errors import SynthoodError

CPU = torch.device("cpu")


def test_slots_are_distinct_and_come_free_again(tmp_path):
    held = [free_slot(3, tmp_path / "locks") for _ in range(3)]
    assert [lock.lock_file for lock in held] == [str(tmp_path / "locks" / f"{slot}.lock") for slot in range(3)]
    held[1].release()
    again = free_slot(3, tmp_path / "locks")
    assert again.lock_file == held[1].lock_file
    for lock in (held[0], again, held[2]):
        lock.release()


def test_where_all_slots_are_taken_it_waits(tmp_path):
    held = [free_slot(2, tmp_path) for _ in range(2)]
    found = []

    def third():
        lock = free_slot(2, tmp_path)
        found.append(lock.lock_file)
        lock.release()

    waiting = threading.Thread(target=third, daemon=True)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    assert found == []
    for lock in held:
        lock.release()
    waiting.join(10)
    assert not waiting.is_alive()
    assert found == [held[0].lock_file]


def test_the_first_slot_that_comes_free_is_taken(tmp_path):
    held = [free_slot(2, tmp_path) for _ in range(2)]
    found = []

    def third():
        lock = free_slot(2, tmp_path)
        found.append(lock.lock_file)
        lock.release()

    waiting = threading.Thread(target=third, daemon=True)
    waiting.start()
    waiting.join(0.2)
    held[1].release()
    waiting.join(1)
    in_time = list(found)
    held[0].release()
    waiting.join(10)
    assert in_time == [held[1].lock_file]


def test_no_gpus_is_the_cpu_without_any_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: pytest.fail("must not look for GPUs"))
    with device_for(0, tmp_path / "locks") as device:
        assert device == CPU
    assert not (tmp_path / "locks").exists()


def test_a_gpu_where_there_is_none_is_a_plain_error(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SynthoodError, match=r"^a GPU was asked for but torch finds none; run with --resources gpu=0"):
        device_for(1, tmp_path / "locks").__enter__()
    assert not (tmp_path / "locks").exists()


def test_jobs_get_distinct_gpus_and_give_them_back(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with device_for(1, tmp_path) as one:
        with device_for(1, tmp_path) as other:
            assert [one, other] == [torch.device("cuda", 0), torch.device("cuda", 1)]
        with device_for(1, tmp_path) as again:
            assert again == other

    def failing():
        with device_for(1, tmp_path):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    with device_for(1, tmp_path) as last:
        assert last == torch.device("cuda", 0)


def test_as_many_jobs_share_a_gpu_as_the_environment_says(tmp_path, monkeypatch):
    """GPUs take turns, and the job that finds every place taken waits."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("SYNTHOOD_JOBS_PER_GPU", "2")
    with ExitStack() as stack:
        held = [stack.enter_context(device_for(1, tmp_path)) for _ in range(4)]
        assert held == [torch.device("cuda", number) for number in (0, 1, 0, 1)]
        for slot in range(4):
            with pytest.raises(TimeoutError):
                FileLock(tmp_path / f"{slot}.lock").acquire(timeout=0)
        assert not (tmp_path / "4.lock").exists()


@pytest.mark.parametrize("said", ["0", "-1", "two", ""])
def test_a_share_that_is_no_number_of_jobs_is_a_plain_error(tmp_path, monkeypatch, said):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("SYNTHOOD_JOBS_PER_GPU", said)
    with pytest.raises(SynthoodError, match=rf"^SYNTHOOD_JOBS_PER_GPU={said}: not a number of jobs from 1 on"):
        device_for(1, tmp_path).__enter__()


def test_locks_are_kept_in_a_folder_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("os.getuid", lambda: 4711)
    with device_for(1):
        held = FileLock(tmp_path / "synthood-gpus-4711" / "0.lock")
        with pytest.raises(TimeoutError):
            held.acquire(timeout=0)
    held.acquire(timeout=0)
    held.release()


@pytest.mark.parametrize("able", [True, False])
def test_precision_is_taken_from_the_processor_only_where_it_is_auto(monkeypatch, able):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not able)
    faster = {True: torch.bfloat16, False: torch.float32}
    assert resolved_precision("auto", CPU) == faster[able]
    assert resolved_precision("auto", torch.device("cuda", 0)) == faster[not able]
    for device in (CPU, torch.device("cuda", 0)):
        assert resolved_precision("float32", device) == torch.float32
        assert resolved_precision("bfloat16", device) == torch.bfloat16


def test_autocast_computes_in_the_precision():
    ones = torch.ones(2, 2)
    with autocast(torch.bfloat16, CPU):
        assert (ones @ ones).dtype == torch.bfloat16
    with autocast(torch.float32, CPU) as nothing:
        assert nothing is None
        assert (ones @ ones).dtype == torch.float32
    assert isinstance(autocast(torch.float32, CPU), nullcontext)


def test_a_job_uses_its_threads():
    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            set_threads(threads)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("x"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
)
def test_errors_that_say_that_memory_ran_out(error: BaseException) -> None:
    assert out_of_memory(error)
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory(ValueError("out of memory"))
