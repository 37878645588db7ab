"""`profiles/kubernetes`: what it asks of a cluster is valid, small, and works in an empty folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from checkouts import PROJECT, Workflow
from storage.conftest import BUCKET, KEYS, Store
from storage.kubernetes_api import Api

pytestmark = [pytest.mark.workflow, pytest.mark.usefixtures("keys")]
VERSIONS = ("1.29", "1.33", "1.37")
MOST_FILES = 40


def submitted(
    folder: Path, store: Store, api: Api, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Snakemake with the profile, as a user starts it, from a folder that `synthood sources` wrote."""
    written = subprocess.run(
        [sys.executable, "-m", "synthood.cli", "sources", str(PROJECT / "tests" / "config.yaml"), str(folder)],
        check=True,
        text=True,
        capture_output=True,
    )
    assert "run Snakemake there" in written.stdout
    named = ["--profile", "profiles/kubernetes", "--container-image", "example.org/synthood:1"]
    named += store.options(f"s3://{BUCKET}/{folder.name}")
    named += ["--kubernetes-persistent-volumes", "resume:/resume"]
    return Workflow(folder).run(
        *named, "--seconds-between-status-checks", "1", *options,
        cores=None, KUBECONFIG=str(api.kubeconfig()), **variables,
    )  # fmt: skip


def check(body: dict[str, object]) -> None:
    import kubernetes_validate

    for version in VERSIONS:
        kubernetes_validate.validate(body, version, strict=True)


def test_a_job_runs_in_an_empty_folder(finished: Workflow, store: Store, tmp_path: Path) -> None:
    api = Api(tmp_path / "cluster", rule="prepare")
    image = "digits/images/test.safetensors"
    done = submitted(tmp_path / "one", store, api, f"results/{image}")
    assert done.returncode == 0, (done.stdout, api.logs)
    assert store.artefacts("one/results/")[image] == finished.artefacts()[image]
    (name,) = api.jobs
    check(api.jobs[name])
    pod = api.folder(name)
    archived = [path for path in pod.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    assert len(archived) <= MOST_FILES, archived


def test_a_fit_asks_for_its_gpu_memory_and_volume(finished: Workflow, store: Store, tmp_path: Path) -> None:
    for name in ("images/train.safetensors", "images/val.safetensors", "images/test.safetensors", "overlaps_id.csv"):
        source = finished.place / "results" / "digits" / name
        store.client.upload_file(str(source), BUCKET, f"two/results/digits/{name}")
    api = Api(tmp_path / "cluster", rule="none")
    target, volume = "results/digits/models/ce/seed0/model.safetensors", str(tmp_path / "volume")
    done = submitted(tmp_path / "two", store, api, target, "--retries", "0", SYNTHOOD_RESUME=volume)
    assert done.returncode == 1
    (secret,), (fit,) = api.secrets.values(), api.jobs.values()
    check(secret)
    check(fit)
    assert {"synthood_resume", "synthood_sources"} <= secret["data"].keys()
    assert not Path(volume).exists()  # who only submits has no such volume
    spec = fit["spec"]["template"]["spec"]
    assert "--allowed-rules train" in spec["containers"][0]["args"][1]
    asked = spec["containers"][0]["resources"]["requests"]
    assert (asked["nvidia.com/gpu"], asked["memory"]) == ("1", "16000M")
    assert {"name": "resume", "mountPath": "/resume"} in spec["containers"][0]["volumeMounts"]


def test_an_image_of_another_version_is_refused(store: Store, tmp_path: Path) -> None:
    api = Api(tmp_path / "cluster", rule="prepare")
    api.changed["synthood_sources"] = "other"
    done = submitted(tmp_path / "three", store, api, "results/digits/images/test.safetensors", "--retries", "0")
    assert done.returncode == 1
    assert "build the image from the same version of synthood" in "".join(api.logs.values())


def test_keys_reach_jobs_by_a_secret_alone(store: Store, tmp_path: Path) -> None:
    api = Api(tmp_path / "cluster", rule="none")
    submitted(tmp_path / "four", store, api, "results/digits/images/test.safetensors", "--retries", "0")
    (job,) = api.jobs.values()
    text = " ".join(job["spec"]["template"]["spec"]["containers"][0]["args"])
    assert [value for value in KEYS.values() if value in text] == []
