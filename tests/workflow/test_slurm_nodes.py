"""What nodes have beside what jobs ask for."""

import pytest

from synthood.errors import SynthoodError
from synthood.workflow.slurm_nodes import UNLIMITED, Asked, Partition, bounds, partitions

PRINTED = """\
cpu*|64|256000|(null)|1-00:00:00
cpu*|32|512000|(null)|1-00:00:00
gpu|48|384000|gpu:a100:4(S:0-1),mps:400|2-12:30:00
gpu|48|384000|gpu:h100:2,gpu:t4:1|2-12:30:00
free|8|16000|gpu:1|infinite
"""
CPU = Partition("cpu", True, 64, 512000, 0, 1440)
GPU = Partition("gpu", False, 48, 384000, 4, 3630)
FREE = Partition("free", False, 8, 16000, 1, UNLIMITED)


def job(
    rule: str = "train", partition: str = "", threads: int = 4, memory: int = 8000, gpus: int = 0, minutes: int = 60
):
    return Asked(rule, partition, threads, memory, gpus, minutes)


def test_the_most_of_each_partition() -> None:
    assert partitions(PRINTED) == {"cpu": CPU, "gpu": GPU, "free": FREE}
    assert partitions("warning: something else\n") == {}


def test_jobs_that_fit_are_bounded_at_later_attempts() -> None:
    """By the most of any partition that they use."""
    known = partitions(PRINTED)
    assert bounds([], known) == ({}, [])
    assert bounds([job()], known) == ({"mem_mb": 512000, "runtime": 1440, "_cores": 64}, [])
    assert bounds([job(), job(partition="gpu", gpus=4)], known) == (
        {"mem_mb": 512000, "runtime": 3630, "_cores": 64},
        [],
    )
    assert bounds([job(partition="gpu,free", gpus=1)], known) == (
        {"mem_mb": 384000, "runtime": UNLIMITED, "_cores": 48},
        [],
    )


def test_what_is_cut_is_told() -> None:
    known = partitions(PRINTED)
    asked = [job("train", minutes=2000), job("embed", minutes=1441), job("score", minutes=1440)]
    asked += [job("extract", "free", memory=16001)]
    assert bounds(asked, known)[1] == [
        "embed, train: 1440 minutes, the limit of partition cpu",
        "extract: 16000 MB, all that a node of partition free has",
    ]


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (
            job(partition="gpus"),
            "Slurm: train asked for partition 'gpus', which there is not; did you mean 'gpu'? (known: cpu, free, gpu); "
            "set slurm_partition in the profile's default-resources",
        ),
        (
            job(gpus=1),
            "Slurm: train asked for 1 GPU, but nodes of partition cpu have none; choose another slurm_partition, or "
            "--resources gpu=0 computes without",
        ),
        (
            job(partition="gpu", gpus=5),
            "Slurm: train asked for 5 GPUs, but nodes of partition gpu have 4; choose another slurm_partition, or "
            "lower it by set-resources",
        ),
        (
            job(partition="free", threads=9),
            "Slurm: train asked for 9 threads, but nodes of partition free have 8; choose another slurm_partition, or "
            "--max-threads 8",
        ),
    ],
)
def test_what_no_node_has_is_a_mistake(one: Asked, message: str) -> None:
    with pytest.raises(SynthoodError) as caught:
        bounds([one, job(rule="score", partition="cpu")], partitions(PRINTED))
    assert str(caught.value) == message
