"""The file of what was foretold."""

import json

import pytest

from synthood.common.forecasts import FILE, Foretold, read, write


def test_later_forecasts_are_added(tmp_path):
    assert read(tmp_path) == {}
    assert write(tmp_path, {"results/a": Foretold(1.5, 0.25), "results/b": Foretold(2, 1)}) == tmp_path / FILE
    write(tmp_path, {"results/b": Foretold(3, 1)})
    assert read(tmp_path) == {"results/a": (1.5, 0.25), "results/b": (3, 1)}
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2, "jobs": {}}', '{"format": 1, "jobs": {"a": 1}}', '{"format": 1, "jobs": []}'],
)
def test_what_cannot_be_read_is_no_forecast(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert read(tmp_path) == {}


def test_what_is_no_number_is_left_out(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"format": 1, "jobs": {"a": [1, 2], "b": [float("nan"), 1]}}))
    assert read(tmp_path) == {"a": (1, 2)}
