"""The largest of rows against topk."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthood.common.largest import WIDE, largest_values
from synthood.evaluation.detectors.rectifiers import among_largest


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 3 * WIDE), st.integers(1, 99), st.integers(0, 999), st.booleans())
def test_they_are_those_of_topk(count: int, width: int, share: int, seed: int, ties: bool) -> None:
    rows = torch.randn((count, width), generator=torch.Generator().manual_seed(seed)).relu()
    rows, k = rows.round() if ties else rows, max(1, width * share // 100)
    expected = rows.topk(k)
    found = largest_values(rows, k)
    assert torch.equal(found.sort(1, descending=True).values, expected.values)
    among = among_largest(rows, found)
    assert (among.sum(1) == k).all()
    assert torch.equal(rows.where(among, -1).topk(k).values, expected.values)


def test_as_a_graph() -> None:
    rows = torch.randn((3, 2 * WIDE), generator=torch.Generator().manual_seed(0))
    program = torch.export.export(Largest(), (rows,))
    torch.testing.assert_close(program.module()(rows), rows.topk(5).values.sum(1))


class Largest(torch.nn.Module):
    """Sum of the five largest."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return largest_values(rows, 5).sum(1)
