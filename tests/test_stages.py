"""A rule's named files and options are the parameters of its stage's function."""

import re
from collections.abc import Iterator
from importlib import import_module
from inspect import getsource
from pathlib import Path
from typing import get_type_hints

import pytest

from synthood.common.settings import Settings
from synthood.common.stage import Stage
from synthood.workflow.plan import Plan

FILES = sorted((Path(__file__).parents[1] / "rules").glob("*.smk"))
OF_ALL = {"settings", "threads", "save_seconds"}


def rules() -> Iterator[tuple[str, str, str]]:
    """Name, text and stage's module of every rule that has one."""
    for file in FILES:
        for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", file.read_text(), re.MULTILINE):
            if module := re.search(r'stage\(\s*"([\w.]+)"', body):
                yield name, body, module[1]


RULES = [pytest.param(body, module, id=name) for name, body, module in rules()]


def stage_of(module: str) -> Stage:
    stage: Stage = import_module(module).main
    return stage


def named(body: str, directive: str) -> list[str]:
    """The names that a directive gives, in order."""
    block = re.search(rf"^    {directive}:\n((?:        .*\n)+)", body, re.MULTILINE)
    if block is None:
        return []
    unpacked = [getsource(getattr(Plan, function)) for function in re.findall(r"unpack\(plan\.(\w+)\)", block[1])]
    together = [name for text in unpacked for name in re.findall(r'^ +"(\w+)": ', text, re.MULTILINE)]
    return [*together, *re.findall(r"^        (\w+)=", block[1], re.MULTILINE)]


@pytest.mark.parametrize(("body", "module"), RULES)
def test_a_rule_names_what_its_stage_takes(body: str, module: str) -> None:
    stage = stage_of(module)
    parameters = stage.command.parameters
    assert (named(body, "output") or ["output"]) == stage.command.outputs
    options = re.findall(r"(\w+)=", body[body.index("    shell:") :])
    given = [
        *(one for one in named(body, "input") if one not in ("compared", "stored")),
        *stage.command.outputs,
        *options,
    ]
    assert len(given) == len(set(given))
    switches = {one for one, option in parameters.items() if option.kind is bool}
    assert set(given) - switches == parameters.keys() - switches - OF_ALL


@pytest.mark.parametrize(("body", "module"), RULES)
def test_the_plan_s_settings_are_of_the_stage_s_class(body: str, module: str) -> None:
    function = re.search(r"settings=as_parameter\(plan\.(\w+)", body)
    assert function is not None
    if function[1] == "outlier_settings":  # of four stages
        return
    planned = get_type_hints(getattr(Plan, function[1]))["return"]
    option = stage_of(module).command.parameters.get("settings")
    assert planned is (option.kind if option else Settings)
