"""A real S3 server on loopback (moto's), and an API server of Kubernetes that records what it is asked."""

import importlib.util
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from checkouts import TIMES

NEEDED = ("boto3", "moto", "snakemake_storage_plugin_s3", "snakemake_executor_plugin_kubernetes", "kubernetes_validate")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
HERE = "127.0.0.1"
BUCKET = "synthood"
KEYS = {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "loopback-key", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "loopback-secret"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("storage")
            if MISSING:
                item.add_marker(pytest.mark.skip(f"needs {', '.join(MISSING)}: pip install 'synthood[storage-test]'"))


@dataclass
class Store:
    """A bucket on loopback."""

    address: str

    @property
    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.address,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )

    def options(self, prefix: str = f"s3://{BUCKET}") -> list[str]:
        """Those of Snakemake that put all results there."""
        named = ["--default-storage-provider", "s3", "--default-storage-prefix", prefix]
        return [*named, "--storage-s3-endpoint-url", self.address]

    def artefacts(self, below: str = "results/") -> dict[str, bytes]:
        """Bytes of all objects there without facts of the run, as `Workflow.artefacts` has those of a folder."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=below)
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
        read = {key: self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
        return {
            key.removeprefix(below): re.sub(TIMES, b"", data)
            for key, data in read.items()
            if not key.startswith(f"{below}logs/") and not key.rpartition("/")[2].startswith((".", "run_time."))
        }


def free_port() -> int:
    with socket.socket() as found:
        found.bind((HERE, 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", HERE, "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                socket.create_connection((HERE, port), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None
                time.sleep(0.1)
        found = Store(f"http://{HERE}:{port}")
        found.client.create_bucket(Bucket=BUCKET)
        yield found
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, and none from elsewhere."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
