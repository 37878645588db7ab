"""Detectors of few distinct confidences are named, and how many pairs of ID images tie is counted by pairs."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthood.evaluation.ties import tied, tied_share


@given(st.lists(st.integers(0, 5), max_size=12))
def test_the_share_is_that_of_pairs(values: list[int]) -> None:
    pairs = list(combinations(values, 2))
    expected = sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0
    assert tied_share(np.array(values, np.float32)) == pytest.approx(expected)


def test_detectors_beyond_the_limit_on_id_test_images() -> None:
    """Twenty levels tie in 4 of 99 pairs, ten in 9 of 99; OOD images have no part in it."""
    count = np.arange(100)
    frame = pd.DataFrame({"part": "test", "many": count, "twenty": count % 20, "ten": count % 10})
    other = frame.assign(part="away", many=0)
    found = list(tied(pd.concat([frame, other]), ["many", "twenty", "ten"]))
    assert found == [("ten", 10, pytest.approx(9 / 99))]
