"""Names of version 1: read as those of version 2, and gone from it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from synthood.config.keys import NAME, Key, all_keys
from synthood.config.load import load, load_file
from synthood.config.renames import RENAMES, Rename, renames_in, upgraded
from synthood.errors import SynthoodError

PROJECT = Path(__file__).parents[2]
SHIPPED = sorted([PROJECT / "config.yaml", PROJECT / "tests/config.yaml", *PROJECT.glob("configs/*.yaml")])
KEYS: dict[tuple[str, ...], list[Key]] = {}
for each in all_keys():
    KEYS.setdefault(tuple(step for step in each.path if isinstance(step, str)), []).append(each)


def downgraded(value: Any, path: tuple[str, ...] = ()) -> Any:
    """A raw configuration of version 2 as version 1."""
    if not isinstance(value, Mapping):
        return value
    here = renames_in(path)
    keys = {one.new: one.old for one in here if not one.of}
    values = {(one.of, one.new): one.old for one in here if one.of}
    result = {
        keys.get(key, key): downgraded(inner, (*path, key))
        if not isinstance(inner, str)
        else values.get((key, inner), inner)
        for key, inner in value.items()
    }
    return result if path else {**result, "version": 1}


@pytest.mark.parametrize("rename", RENAMES, ids=lambda rename: f"{rename.section}.{rename.old}")
def test_the_schema_has_the_new_name_alone(rename: Rename) -> None:
    section = tuple(NAME if step == "*" else step for step in rename.section.split("."))
    if rename.of:
        (key,) = KEYS[*section, rename.of]
        assert rename.new in key.node["enum"]
        assert rename.old not in key.node["enum"]
    else:
        assert (*section, rename.new) in KEYS
        assert (*section, rename.old) not in KEYS


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_configuration_reads_the_same_by_its_old_names(file: Path) -> None:
    raw = yaml.safe_load(file.read_text())
    old = downgraded(raw)
    assert upgraded(old) == raw
    assert load(old) == load(raw)


def test_an_old_name_in_version_2_is_unknown_and_the_new_one_named(edited: Callable[..., Any]) -> None:
    raw = edited({"recipes/kd/exposure": {"kind": "energy", "from": "digits-6-7", "id_at_most": -9.0}})
    with pytest.raises(SynthoodError) as caught:
        load(raw)
    assert str(caught.value) == "config: recipes.kd.exposure.id_at_most: unknown key; its name is now `m_in`"
    assert load({**raw, "version": 1}).recipes["kd"].exposure.m_in == -9


def test_both_names_are_refused_with_their_lines(tmp_path: Path) -> None:
    text = (PROJECT / "tests/config.yaml").read_text().replace("version: 2", "version: 1")
    text = text.replace("    baselines: [ce]\n", "    baselines: [ce]\n    bases: [ce]\n")
    file = tmp_path / "both.yaml"
    file.write_text(text)
    new = 1 + text.splitlines().index("    baselines: [ce]")
    with pytest.raises(SynthoodError) as caught:
        load_file(file)
    what = f"line {new + 1}: also given by its new name `baselines` on line {new}; keep that one"
    assert str(caught.value) == f"{file}: tables.small.bases: {what}"


def test_a_section_of_another_path_keeps_its_keys() -> None:
    raw = {"version": 1, "recipes": {"a": {"augmentation": {"shift": 2}, "synthetic": {"form": "weighted"}}}}
    assert upgraded(raw) == {**raw, "version": 2}


@pytest.mark.parametrize("raw", [{"version": 3, "tables": {"t": {"bases": []}}}, {"version": True}, [], "text"])
def test_what_is_not_version_1_is_left_alone(raw: Any) -> None:
    assert upgraded(raw) == raw


def test_most_shipped_configurations_have_old_names() -> None:
    raws = [yaml.safe_load(file.read_text()) for file in SHIPPED]
    assert sum(downgraded(raw) != {**raw, "version": 1} for raw in raws) > len(raws) / 2
