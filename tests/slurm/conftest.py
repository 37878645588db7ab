"""A Slurm of one node for the tests of `make test-slurm`; skipped elsewhere."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_cluster import Cluster

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if "slurm" not in request.config.getoption("markexpr"):
        pytest.skip("of a real Slurm: run by `make test-slurm`")
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    if missing := [program for program in PROGRAMS if shutil.which(program, path=path) is None]:
        pytest.skip(f"no {', '.join(missing)} here: `apt-get install slurm-wlm munge` brings Slurm")
    # Not pytest's own folder: munge wants one that everybody can enter.
    found = Cluster(Path(tempfile.mkdtemp(prefix="slurm-tests-")))
    try:
        found.script("start")
        yield found
    finally:
        found.script("stop")
        shutil.rmtree(found.folder, ignore_errors=True)
