"""The environments of conda hold the tested versions, and all that the package asks for."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[1]
ENVIRONMENTS = sorted((PROJECT / "envs").glob("*.yaml"))
PINS = re.findall(r"^([\w.-]+)==([^\s;]+)", (PROJECT / "envs" / "constraints.txt").read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_versions_are_the_tested_ones(path: Path) -> None:
    packages = yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]
    for package in packages:
        name, _, version = package.partition("==")
        assert (name, version) in PINS, package


def test_every_dependency_has_a_tested_version_and_a_reason() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    reasons = (PROJECT / "CONTRIBUTING.md").read_text()
    for requirement in project["dependencies"]:
        name = re.split(r"[\[<>=!]", requirement)[0]
        assert any(pin == name for pin, _ in PINS), name
        assert re.search(rf"^\|.*\b{re.escape(name)}\b", reasons, re.MULTILINE), name
        assert re.search(r"[>=]=", requirement), f"{name} has no lower bound"


def test_the_constraints_hold_no_address_and_never_the_broken_torch() -> None:
    assert "://" not in (PROJECT / "envs" / "constraints.txt").read_text()
    assert ("torch", "2.15.0") in PINS
    assert ("torchvision", "0.29.2") in PINS
