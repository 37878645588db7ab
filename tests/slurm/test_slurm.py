"""The workflow on a real Slurm of one node (cluster.sh): the same bytes as on this machine, also through failures."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from checkouts import HANGS, Workflow, checkout
from slurm_cluster import Cluster, until
from synthood.common.time_limit import seconds_of

pytestmark = [pytest.mark.slurm, pytest.mark.workflow]
PROFILES = ("--profile", "profiles/slurm", "--workflow-profile", "profiles/slurm-small")
SECONDS_PER_LEVEL = 20
MODEL = "results/digits/models/ce/seed0/model.safetensors"
LOG = "results/logs/train/digits/ce/seed0.log"
IMAGES = "results/digits/images/digits-6.safetensors"


@dataclass
class Local:
    """The whole DAG on this machine, and its seconds."""

    workflow: Workflow
    seconds: float


@pytest.fixture(scope="module")
def local(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, stages: str) -> Local:
    workflow = checkout(tmp_path_factory.mktemp("local") / "local", stages)
    began = time.monotonic()
    done = workflow.run()
    assert done.returncode == 0, done.stdout
    return Local(workflow, time.monotonic() - began)


def levels(workflow: Workflow) -> int:
    """Jobs on the longest path of the DAG, without the target."""
    done = subprocess.run(
        workflow.command("--forceall", "--dag", "dot"),
        cwd=workflow.place,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    before: dict[str, list[str]] = {}
    for first, then in re.findall(r"(\d+) -> (\d+)", done.stdout):
        before.setdefault(then, []).append(first)

    def depth(job: str) -> int:
        return 1 + max(map(depth, before.get(job, [])), default=0)

    return depth("0") - 1


def submitted(workflow: Workflow, cluster: Cluster, *options: str) -> subprocess.CompletedProcess[str]:
    return workflow.run(*PROFILES, *options, cores=None, **cluster.environment)


def start(workflow: Workflow, cluster: Cluster, *options: str) -> subprocess.Popen[bytes]:
    """The same without waiting; states are saved every two seconds, and output goes to a file."""
    with (workflow.place / "output.txt").open("w") as output:
        return subprocess.Popen(
            workflow.command(*PROFILES, *options, cores=None),
            cwd=workflow.place,
            env=os.environ | cluster.environment | {"SYNTHOOD_SAVE_SECONDS": "2"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def test_the_whole_dag_gives_the_same_bytes_in_time(local: Local, cluster: Cluster, tmp_path: Path) -> None:
    workflow = checkout(tmp_path / "slurm", of=local.workflow)
    load = os.getloadavg()[1]  # of five minutes, our own local run in it
    before, began = len(cluster.jobs()), time.monotonic()
    done = submitted(workflow, cluster)
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stdout
    assert "no accounting (sacct does not answer); squeue says what became of the jobs" in done.stdout
    assert workflow.artefacts() == local.workflow.artefacts()
    path, count = levels(workflow), len(cluster.jobs()) - before
    print(f"local {local.seconds:.0f} s; Slurm {seconds:.0f} s, {count} submissions, {path} levels")
    print(f"{(seconds - local.seconds) / path:.1f} s more per level; {len(workflow.artefacts())} files, none differs")
    if load > 1.5 * (os.cpu_count() or 1):
        print(f"not judged: the machine was busy with others (load {load:.1f})")
    else:
        assert seconds <= local.seconds + SECONDS_PER_LEVEL * path


@dataclass
class Disturber:
    """Harms jobs that have been at work for some seconds, each of them once, so that none fails at all its attempts."""

    cluster: Cluster
    harmed: set[str] = field(default_factory=set)

    def job(self) -> str:
        """The next one to harm."""
        found: list[str] = []

        def at_work() -> bool:
            rows = self.cluster.answer("squeue", "--noheader", "--states=RUNNING", "--format", "%i %M %k").splitlines()
            for number, time_, comment in map(str.split, rows):
                if (seconds_of(time_) or 0) >= 5 and comment not in self.harmed:
                    self.harmed.add(comment)
                    found.append(number)
                    return True
            return False

        until(at_work, "running job")
        return found[0]

    def requeue(self) -> None:
        self.cluster.answer("scontrol", "requeue", self.job())

    def cancel(self) -> None:
        self.cluster.answer("scancel", self.job())

    def kill_the_node(self) -> None:
        """Its daemon, until Slurm takes the node for lost and queues its jobs again."""
        self.job()
        self.cluster.kill_node()
        until(lambda: "down" in self.cluster.answer("sinfo", "--noheader", "--format", "%t"), "node that is down")
        self.cluster.script("node")

    def drain(self) -> None:
        """The node takes no new jobs for a while."""
        self.job()
        host = self.cluster.answer("sinfo", "--noheader", "--partition=main", "--format", "%n")
        self.cluster.answer("scontrol", "update", f"nodename={host}", "state=drain", "reason=test")
        time.sleep(10)
        self.cluster.answer("scontrol", "update", f"nodename={host}", "state=resume")


def test_failures_on_the_way_change_no_byte(local: Local, cluster: Cluster, tmp_path: Path) -> None:
    workflow = checkout(tmp_path / "slurm", of=local.workflow)
    process = start(workflow, cluster)
    try:
        harm = Disturber(cluster)
        for disturb in (harm.requeue, harm.cancel, harm.kill_the_node, harm.drain, harm.requeue, harm.cancel):
            assert process.poll() is None, (workflow.place / "output.txt").read_text()
            disturb()
            print(disturb.__name__)
        process.wait(timeout=HANGS)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=HANGS)
    told = (workflow.place / "output.txt").read_text()
    assert process.returncode == 0, told
    assert told.count("Trying to restart job") >= 2
    print(f"{told.count('Trying to restart job')} jobs retried; {len(workflow.artefacts())} files")
    assert workflow.artefacts() == local.workflow.artefacts()


@pytest.fixture(scope="module")
def long_fit(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, stages: str) -> Local:
    """A fit of so many epochs that it takes 100 s on this machine, undisturbed."""
    workflow = checkout(tmp_path_factory.mktemp("fit") / "local", stages)
    epochs, seconds = 200, 100.0
    for _ in range(2):
        config = workflow.config
        config["recipes"]["ce"]["epochs"] = epochs = round(epochs * 100 / seconds)
        workflow.config = config
        if epochs == 200:
            assert workflow.run("results/digits/overlaps_id.csv").returncode == 0
        began = time.monotonic()
        assert workflow.run(MODEL).returncode == 0
        seconds = time.monotonic() - began
    return Local(workflow, seconds)


@pytest.fixture
def without_the_fit(long_fit: Local, tmp_path: Path) -> Workflow:
    """The same checkout without its model."""
    workflow = long_fit.workflow.copied(tmp_path / "slurm")
    shutil.rmtree(workflow.place / "results/digits/models")
    return workflow


def same_fit(one: Workflow, other: Workflow) -> None:
    for file in (MODEL, MODEL.replace("model.safetensors", "history.csv")):
        assert (one.place / file).read_bytes() == (other.place / file).read_bytes(), file


def test_a_fit_longer_than_its_limit_takes_several_turns(
    long_fit: Local, without_the_fit: Workflow, cluster: Cluster
) -> None:
    """No attempt is used up: none is allowed but the first."""
    before = set(cluster.jobs())
    limit = ("--set-resources", "train:runtime=1", "train:mem_mb=3000")
    done = submitted(without_the_fit, cluster, MODEL, "--retries", "0", *limit)
    assert done.returncode == 0, done.stdout
    turns = [int(cluster.fact(job, "Restarts")) for job in cluster.jobs() if job not in before]
    print(f"{long_fit.seconds:.0f} s at a limit of 60 s: queued again {max(turns)} times")
    assert max(turns) >= 1
    assert "training: resumed at step" in (without_the_fit.place / LOG).read_text()
    same_fit(without_the_fit, long_fit.workflow)


def test_a_fit_survives_what_happens_to_its_job(long_fit: Local, without_the_fit: Workflow, cluster: Cluster) -> None:
    """Queued again, cancelled, and on a node whose daemon is killed, one after the other, each in the middle."""
    log, harmed = without_the_fit.place / LOG, time.time()
    process = start(without_the_fit, cluster, MODEL)
    try:
        for name in ("requeue", "cancel", "kill_the_node"):
            until(
                lambda since=harmed: log.exists() and log.stat().st_mtime > since and "end of epoch" in log.read_text(),
                "epoch",
            )
            getattr(Disturber(cluster), name)()
            harmed = time.time()
            print(name)
        process.wait(timeout=HANGS)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=HANGS)
    assert process.returncode == 0, (without_the_fit.place / "output.txt").read_text()
    same_fit(without_the_fit, long_fit.workflow)
    assert re.search("training: resumed at step|finished by another process", log.read_text())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--default-resources", "slurm_partition=mian"],
            r"Slurm: .* asked for partition 'mian', which there is not; did you mean 'main'\?",
        ),
        (
            ["--resources", "gpu=4", "--set-resources", "prepare:gpu=3"],
            r"Slurm: prepare asked for 3 GPUs, but nodes of partition main have 1; choose another slurm_partition",
        ),
        (["--set-threads", "prepare=64"], r"Slurm: prepare asked for 64 threads, but nodes of partition main have 2"),
    ],
)
def test_what_the_cluster_lacks_is_told_before_any_job(
    fresh: Workflow, cluster: Cluster, options: list[str], message: str
) -> None:
    before = cluster.jobs()
    done = submitted(fresh, cluster, IMAGES, *options)
    assert done.returncode != 0
    assert len(re.findall(message, done.stdout)) == 1, done.stdout
    assert "Traceback" not in done.stdout
    assert cluster.jobs() == before


def test_more_time_than_a_partition_allows_is_cut_and_told(fresh: Workflow, cluster: Cluster) -> None:
    """Slurm would take such a job, and never start it."""
    before = set(cluster.jobs())
    done = submitted(fresh, cluster, IMAGES, "--default-resources", "slurm_partition=short")
    assert done.returncode == 0, done.stdout
    assert "Slurm: cut for prepare: 60 minutes, the limit of partition short" in done.stdout
    (job,) = set(cluster.jobs()) - before
    assert cluster.fact(job, "TimeLimit") == "01:00:00"


def test_a_group_asks_for_no_more_than_a_node_has(fresh: Workflow, cluster: Cluster) -> None:
    """Three jobs that could run at once on a node for two: Slurm would take such a group, and never start it."""
    before = set(cluster.jobs())
    done = submitted(fresh, cluster, "--resources", "gpu=0", "--", "results/digits/overlaps_id.csv")
    assert done.returncode == 0, done.stdout
    (job,) = set(cluster.jobs()) - before
    assert cluster.fact(job, "NumCPUs") == "2"


@pytest.fixture
def hiding(cluster: Cluster) -> Iterator[Callable[[Path], None]]:
    """Replaces the node by one that does not see a folder."""
    if os.geteuid():
        pytest.skip("only root can hide a folder from a node")

    def begin(*folder: Path) -> None:
        os.kill(int((cluster.folder / "slurmd.pid").read_text()), signal.SIGTERM)
        until(lambda: not (cluster.folder / "slurmd.pid").exists(), "end of slurmd")
        cluster.script("node", *map(str, folder))

    yield begin
    begin()


def test_without_a_shared_disk_one_sentence_says_so(
    fresh: Workflow, cluster: Cluster, hiding: Callable[[Path], None]
) -> None:
    hiding(fresh.place)
    done = submitted(fresh, cluster, IMAGES, "--retries", "0")
    assert done.returncode != 0
    told = rf"Slurm: jobs ended on node \S+ before they could write a log: the folder {fresh.place}, .* share"
    assert len(re.findall(told, done.stdout)) == 1, done.stdout


def test_weights_that_a_node_lacks_are_told_with_its_name(
    fresh: Workflow, cluster: Cluster, hiding: Callable[[Path], None], tmp_path: Path
) -> None:
    from toy_checkpoints import stable_diffusion_1

    weights = tmp_path / "weights"
    stable_diffusion_1().save_pretrained(weights)
    config = fresh.config
    config["generators"]["sd"] = {
        "kind": "stable-diffusion",
        "pretrained": {"from": str(weights), "prompt": "a photo of a {word}"},
        "images_per_class": 5,
        "block_size": 15,
    }
    fresh.config = config
    hiding(weights)
    done = submitted(fresh, cluster, "results/digits/generators/sd", "--retries", "0")
    assert done.returncode != 0
    assert re.search(rf"error: {weights}.* \(on node \S+\)", done.stdout), done.stdout
