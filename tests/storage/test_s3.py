"""Results in object storage: the same bytes, from any machine, and one sentence where the storage does not work."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from checkouts import HANGS, Workflow, checkout, warm_stages
from storage.conftest import BUCKET, KEYS, Store, free_port
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network

pytestmark = [pytest.mark.workflow, pytest.mark.usefixtures("keys")]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, finished: Workflow, store: Store) -> Workflow:
    """The code of `finished`, run with results in the bucket, and with resume states on a volume."""
    place = tmp_path_factory.mktemp("stored")
    workflow = checkout(place / "checkout", warm_stages(), finished)
    done = workflow.run(*store.options(), cores=1, SYNTHOOD_RESUME=str(place / "volume"), **KEYS)
    assert done.returncode == 0, done.stdout
    return workflow


def test_the_same_bytes_as_without_storage(finished: Workflow, stored: Workflow, store: Store) -> None:
    ours = {name: data for name, data in finished.artefacts().items() if "/.scores/" not in name}
    theirs = store.artefacts()
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_nothing_of_results_lies_in_the_folder(stored: Workflow) -> None:
    assert not (stored.place / "results").exists()


def test_finished_states_leave_the_volume(stored: Workflow) -> None:
    volume = (stored.place / ".resume").readlink()
    assert (volume / "digits" / "models").is_dir()
    assert [path for path in volume.rglob("*") if path.is_file()] == []


def test_another_machine_has_nothing_to_do(stored: Workflow, store: Store, tmp_path: Path) -> None:
    done = checkout(tmp_path / "other", of=stored).run("-n", *store.options())
    assert "Nothing to be done" in done.stdout, done.stdout


def test_another_machine_resumes_a_fit_from_the_volume(stored: Workflow, store: Store, tmp_path: Path) -> None:
    """One machine dies in the middle of a fit, and a second goes on from the state to the same bytes."""
    model, log = "results/digits/models/ce/seed0/model.safetensors", "logs/train/digits/ce/seed0.log"
    before, volume = store.artefacts(), tmp_path / "volume"
    command = [*store.options(), "--forcerun", "train", "--", model]
    variables = {"SYNTHOOD_RESUME": str(volume), "SYNTHOOD_SAVE_SECONDS": "0", "SYNTHOOD_STAGES": "off", **KEYS}
    first = checkout(tmp_path / "first", of=stored)
    dying = subprocess.Popen(
        first.command(*command, cores=1), cwd=first.place, env=os.environ | variables, start_new_session=True
    )
    ends = time.monotonic() + HANGS
    while not [path for path in volume.rglob("*") if path.is_file() and not path.name.startswith(".")]:
        assert dying.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.01)
    os.killpg(dying.pid, signal.SIGKILL)
    dying.wait()
    assert model.removeprefix("results/") not in store.artefacts()

    second = checkout(tmp_path / "second", of=stored)
    done = second.run(*store.options(), "--", model, cores=1, **variables)
    assert done.returncode == 0, done.stdout
    assert store.artefacts() == before
    written = store.client.get_object(Bucket=BUCKET, Key=f"results/{log}")["Body"].read().decode()
    assert "training: resumed at step" in written, written


def test_old_provenance_does_not_damn_what_another_machine_made(stored: Workflow, store: Store) -> None:
    copies = stored.place / ".snakemake" / "storage" / "s3" / BUCKET / "results"
    beside = copies / "digits" / "overlaps.csv.provenance.json"
    beside.write_text(f'{{"sha256": "{"0" * 64}"}}')
    done = stored.run(*store.options(), "--force", "results/tables/small.csv", cores=1)
    assert done.returncode == 0, done.stdout
    assert not beside.exists()


@contextmanager
def answering(code: int) -> Iterator[str]:
    """A server that answers every request so."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def refused(workflow: Workflow, address: str, **variables: str) -> str:
    """The sentence that refuses a run with this storage."""
    done = workflow.run("-n", *Store(address).options(), "--storage-s3-retries", "1", **variables)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    return next(line for line in done.stdout.splitlines() if line.startswith("storage s3://"))


@pytest.mark.parametrize(("code", "told"), [(403, "access refused (403)"), (500, "the server fails (500)")])
def test_a_storage_that_fails(fresh: Workflow, code: int, told: str) -> None:
    with answering(code) as address:
        assert told in refused(fresh, address)


def test_a_storage_that_does_not_answer(fresh: Workflow) -> None:
    assert "nothing answers" in refused(fresh, f"http://127.0.0.1:{free_port()}")


def test_missing_credentials(fresh: Workflow, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    assert "no credentials; set SNAKEMAKE_STORAGE_S3" in refused(fresh, store.address, HOME=str(tmp_path))


@pytest.fixture
def raw_in_storage(fresh: Workflow, store: Store, tmp_path: Path) -> Workflow:
    """A checkout whose configuration reads an array file, a folder of pictures and weights, all in the bucket."""
    workflow = checkout(tmp_path / "raw", warm_stages(), fresh)
    config = workflow.config
    config["datasets"]["digits"]["near"]["digits-8"] = {"kind": "arrays", "path": "data/near.npz", "size": 32}
    config["datasets"]["digits"]["far"]["pictures"] = {"kind": "folders", "path": "data/pictures", "size": 32}
    config["recipes"]["imported"] = {
        "kind": "checkpoint",
        "path": "data/weights.pt",
        "network": config["recipes"]["ce"]["network"],
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
    }
    config["tables"]["small"]["recipes"].append("imported")
    workflow.config = config
    torch.save(build(Network(name="resnet8", width=8), 3, seed=0).state_dict(), tmp_path / "weights.pt")
    store.client.upload_file(str(tmp_path / "weights.pt"), BUCKET, "raw/data/weights.pt")
    random = np.random.default_rng(0)
    np.savez(tmp_path / "near.npz", images=random.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8))
    store.client.upload_file(str(tmp_path / "near.npz"), BUCKET, "raw/data/near.npz")
    for number in range(4):
        name = f"{number}.png"
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(tmp_path / name)
        store.client.upload_file(str(tmp_path / name), BUCKET, f"raw/data/pictures/class/{name}")
    return workflow


RAW = [f"results/digits/images/{part}.safetensors" for part in ("digits-8", "pictures")]
MODEL = "results/digits/models/imported/seed0/model.safetensors"


def test_raw_data_may_be_in_storage(raw_in_storage: Workflow, store: Store, tmp_path: Path) -> None:
    workflow = raw_in_storage
    stored = {"SYNTHOOD_RAW": f"s3://{BUCKET}/raw", **KEYS}
    options = store.options(f"s3://{BUCKET}/of-raw")
    done = workflow.run(*options, "--", *RAW, MODEL, cores=1, **stored)
    assert done.returncode == 0, done.stdout
    again = workflow.run(*options, "--", *RAW, MODEL, cores=1, **stored)
    assert "Nothing to be done" in again.stdout, again.stdout
    found = store.artefacts("of-raw/results/")

    local = checkout(tmp_path / "local", warm_stages(), workflow)  # the same files on this machine
    for name in ("near.npz", "weights.pt", *(f"pictures/class/{number}.png" for number in range(4))):
        (local.place / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        store.client.download_file(BUCKET, f"raw/data/{name}", str(local.place / "data" / name))
    done = local.run("--", *RAW, MODEL, cores=1)
    assert done.returncode == 0, done.stdout
    assert found == local.artefacts()
    refused = local.run("-n", "--storage-s3-endpoint-url", store.address, **stored)
    assert f"data/near.npz: there, and in SYNTHOOD_RAW=s3://{BUCKET}/raw too" in refused.stdout, refused.stdout


def test_changed_raw_data_in_storage_are_read_again(raw_in_storage: Workflow, store: Store, tmp_path: Path) -> None:
    workflow = raw_in_storage
    stored = {"SYNTHOOD_RAW": f"s3://{BUCKET}/raw", **KEYS}
    options = ["--storage-s3-endpoint-url", store.address]  # results on this machine
    assert (done := workflow.run(*options, "--", *RAW, cores=1, **stored)).returncode == 0, done.stdout
    before = workflow.artefacts()
    np.savez(tmp_path / "near.npz", images=np.zeros((12, 32, 32, 3), np.uint8))
    store.client.upload_file(str(tmp_path / "near.npz"), BUCKET, "raw/data/near.npz")
    assert (done := workflow.run(*options, "--", *RAW, cores=1, **stored)).returncode == 0, done.stdout
    after = workflow.artefacts()
    assert {name for name in before if before[name] != after[name]} == {"digits/images/digits-8.safetensors"}


def test_raw_data_that_storage_lacks(raw_in_storage: Workflow, store: Store) -> None:
    store.client.delete_object(Bucket=BUCKET, Key="raw/data/near.npz")
    stored = {"SYNTHOOD_RAW": f"s3://{BUCKET}/raw", **KEYS}
    done = raw_in_storage.run("-n", *store.options(f"s3://{BUCKET}/none"), "--", *RAW, **stored)
    assert done.returncode == 1
    assert f"s3://{BUCKET}/raw/data/near.npz" in done.stdout, done.stdout
