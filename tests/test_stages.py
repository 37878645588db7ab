"""A rule's named files and options are the parameters of its stage's function."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest

from synthood.common.settings import Settings
from synthood.common.stage import Stage
from synthood.workflow.plan import Plan

FILES = sorted((Path(__file__).parents[1] / "rules").glob("*.smk"))
OF_ALL = {"settings", "threads", "save_seconds"}


def rules() -> Iterator[tuple[str, str, Stage]]:
    """Name, text and stage of every rule that has one."""
    for file in FILES:
        for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", file.read_text(), re.MULTILINE):
            if module := re.search(r'stage\(\s*"([\w.]+)"', body):
                yield name, body, import_module(module[1]).main


RULES = [pytest.param(*rule, id=rule[0]) for rule in rules()]


def named(body: str, directive: str) -> list[str]:
    """The names that a directive gives, in order."""
    block = re.search(rf"^    {directive}:\n((?:        .*\n)+)", body, re.MULTILINE)
    return re.findall(r"^        (\w+)=", block[1], re.MULTILINE) if block else []


@pytest.mark.parametrize(
    ("name", "body", "stage"), list(rules()), ids=lambda value: value if len(str(value)) < 20 else ""
)
def test_a_rule_names_what_its_stage_takes(name: str, body: str, stage: Stage) -> None:
    parameters = stage.command.parameters
    assert (named(body, "output") or ["output"]) == stage.command.outputs
    options = re.findall(r"(\w+)=", body[body.index("    shell:") :])
    given = [*(one for one in named(body, "input") if one != "compared"), *stage.command.outputs, *options]
    assert len(given) == len(set(given))
    switches = {one for one, option in parameters.items() if option.kind is bool}
    assert set(given) - switches == parameters.keys() - switches - OF_ALL


@pytest.mark.parametrize(
    ("name", "body", "stage"), list(rules()), ids=lambda value: value if len(str(value)) < 20 else ""
)
def test_the_plan_s_settings_are_of_the_stage_s_class(name: str, body: str, stage: Stage) -> None:
    function = re.search(r"settings=as_parameter\(plan\.(\w+)", body)
    assert function is not None
    if function[1] == "outlier_settings":  # of four stages
        return
    planned = get_type_hints(getattr(Plan, function[1]))["return"]
    option = stage.command.parameters.get("settings")
    assert planned is (option.kind if option else Settings)
