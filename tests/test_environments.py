"""The environments of conda hold the tested versions, and all that the package asks for."""

import ast
import functools
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from synthood.workflow.code import NOT_RESULTS, PACKAGE_ROOT, modules_behind

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


def test_every_package_of_an_extra_has_a_tested_version() -> None:
    """Also those that were added by hand: the command that writes the file would add them."""
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for requirement in (one for packages in extras.values() for one in packages if not one.startswith("synthood[")):
        name = re.split(r"[\[<>=!]", requirement)[0].lower()
        assert any(pin.lower() == name for pin, _ in PINS), name


def test_the_constraints_hold_no_address_and_never_the_broken_torch() -> None:
    assert "://" not in (PROJECT / "envs" / "constraints.txt").read_text()
    assert ("torch", "2.15.0") in PINS
    assert ("torchvision", "0.29.2") in PINS


def rules() -> Iterator[tuple[str, str, str]]:
    """Name, module and conda environment of every rule."""
    for file in sorted((PROJECT / "rules").glob("*.smk")):
        for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", file.read_text(), re.MULTILINE):
            module = re.search(r'stage\(\s*"([\w.]+)"|python -m (synthood[\w.]*)', body)
            environment = re.search(r'conda:\s+"\.\./envs/(\w+)\.yaml"', body)
            assert module is not None, name
            assert environment is not None, name
            yield name, module[1] or module[2], environment[1]


@functools.cache
def named_in(file: Path) -> set[str]:
    """Packages that a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(str(node.module).partition(".")[0])
    return names


distributions = functools.cache(packages_distributions)


def imported(module: str) -> set[str]:
    """Distributions that the module and all behind it import."""
    unseen = [PACKAGE_ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in NOT_RESULTS]
    names = set[str]().union(*map(named_in, [*modules_behind(module).values(), *filter(Path.is_file, unseen)]))
    others = names - {"synthood"} - sys.stdlib_module_names
    return {distributions().get(name, [name])[0].lower().replace("_", "-") for name in others}


@pytest.mark.parametrize(("name", "module", "environment"), list(rules()))
def test_an_environment_has_what_its_rules_import(name: str, module: str, environment: str) -> None:
    """But what is an extra of this package, whose absence the code reports with the extra's name."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = {
        re.split(r"[\[<>=!]", one)[0]
        for key in ("lora", "onnx", "serve", "timm")
        for one in project["optional-dependencies"][key]
    }
    packages = yaml.safe_load((PROJECT / "envs" / f"{environment}.yaml").read_text())["dependencies"][-1]["pip"]
    has = {package.partition("==")[0] for package in packages} | {"pydantic-core"}  # of pydantic
    has |= {"starlette"} if "fastapi" in extras else set()
    has |= {"snakemake", "snakemake-interface-logger-plugins"}  # of `synthood run`, which no rule calls
    assert imported(module) - extras - has == set()
