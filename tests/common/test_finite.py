"""Numbers that are not finite never become pixels or weights."""

import pytest
import torch
from torch import nn

from synthood.common.finite import after, check_rows, check_state, numbered, to_uint8
from synthood.common.iterate import Iteration, ResumeFile
from synthood.errors import SynthoodError


def test_grey_levels_are_rounded_and_cut() -> None:
    levels = torch.tensor([[-3.0, 0.49, 0.51, 254.6, 255.4, 1e30]])
    assert to_uint8(levels).tolist() == [[0, 0, 1, 255, 255, 255]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_pixel_names_its_image(bad: float) -> None:
    """Whichever the half of a batch; its neighbours are fine."""
    levels = torch.full((5, 3, 4, 4), 100.0)
    levels[3, 1, 2, 2] = bad
    with pytest.raises(SynthoodError, match=r"^image 13: decoded pixels are not finite; correct it$"):
        to_uint8(levels, after(10, numbered), "correct it")
    assert to_uint8(levels[:3]).eq(100).all()


def test_half_precision_and_integers_pass() -> None:
    check_rows(torch.tensor([[65504.0], [0.0]]).half(), numbered, "numbers", "")
    check_state({"counter": torch.tensor(3), "weight": torch.ones(2)}, "", "")
    with pytest.raises(SynthoodError, match="image 1: numbers are"):
        check_rows(torch.tensor([[65504.0], [1e5]]).half(), numbered, "numbers", "")


def test_a_fit_whose_last_step_breaks_its_weights_is_told() -> None:
    """The loss of the last step is that of the weights before it."""
    network = nn.Linear(2, 1)
    loop = Iteration("toy", 3, ResumeFile(None, ""), {"network": network})

    def fit() -> None:
        for step in loop:
            loop.check(step, 0.1, loss=1.0)
            if step == 2:
                network.weight.data[0, 1] = float("inf")

    with pytest.raises(SynthoodError, match="toy: network after the last step: weight is not finite; lower the"):
        fit()
