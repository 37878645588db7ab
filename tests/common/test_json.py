"""Figures as JSON has them."""

import json

from synthood.common.json import finite_json


def test_what_is_no_number_becomes_null_at_every_depth_and_the_rest_six_digits() -> None:
    made = finite_json({"a": [1], "b": {"c": float("nan"), "d": 1 / 3, "e": {"f": float("inf")}, "n": 4}})
    assert made == {"a": [1], "b": {"c": None, "d": 0.333333, "e": {"f": None}, "n": 4}}
    assert json.loads(json.dumps(made, allow_nan=False)) == made
