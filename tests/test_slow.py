"""The list of slow tests is of tests that exist."""

import ast

import pytest

from checkouts import PROJECT

NAMES = (PROJECT / "tests" / "slow.txt").read_text().split()


@pytest.mark.parametrize("file", sorted({name.partition("::")[0] for name in NAMES}))
def test_what_is_listed_as_slow_is_there(file: str) -> None:
    defined = {node.name for node in ast.parse((PROJECT / file).read_text()).body if isinstance(node, ast.FunctionDef)}
    listed = {name.partition("::")[2] for name in NAMES if name.partition("::")[0] == file}
    assert listed == {""} or listed <= defined, "tests/slow.txt is old: pytest --record-slow writes it anew"
