"""RankFeat: maps without their largest singular value, by SVD; logits of the rest of the network; pytorch-ood."""

import pytest
import torch
from pytorch_ood.detector import RankFeat as Oracle
from torch import Tensor

from synthood.evaluation.detectors.of_model.rankfeat import RankFeatMethod, without_largest
from synthood.evaluation.probe import BatchView
from synthood.training.networks.model import inputs_of
from toy_models import classifier, pictures, probe_of

MODEL = classifier()
PROBE = probe_of(MODEL)


def by_svd(maps: Tensor) -> Tensor:
    u, s, v = torch.linalg.svd(maps.flatten(2).double(), full_matrices=False)
    s[:, 0] = 0
    return ((u * s[:, None]) @ v).view_as(maps).to(maps.dtype)


@pytest.mark.parametrize("shape", [(4, 3, 5, 5), (4, 30, 2, 3)])
def test_the_largest_singular_value_is_gone(shape: tuple[int, ...]) -> None:
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(without_largest(maps), by_svd(maps), rtol=1e-4, atol=1e-5)


def test_maps_of_rank_one_and_of_zeros_leave_nothing() -> None:
    one = torch.rand(6)[:, None] * torch.rand(9)
    maps = torch.stack([one.view(6, 3, 3), torch.zeros(6, 3, 3)])
    assert without_largest(maps).abs().max() < 1e-6


@pytest.mark.parametrize("stages", ["last", "last-but-one", "both"])
def test_logits_of_the_rest_of_the_network(stages: str) -> None:
    """Averaged over the two stages before the energy."""
    look = BatchView(PROBE, next(inputs_of(MODEL, pictures(10, 1).images, torch.device("cpu"), 10)))
    with torch.no_grad():
        first = PROBE.network.stem(look.inputs)
        one, two, three = list(PROBE.network.stages)
        second = two(one(first))
        last = PROBE.head(by_svd(three(second)).mean((2, 3)))
        before = PROBE.head(three(by_svd(second)).mean((2, 3)))
    logits = {"last": last, "last-but-one": before, "both": (last + before) / 2}[stages]
    found = RankFeatMethod(PROBE, []).statistic(look, {"stages": stages})
    torch.testing.assert_close(found, logits.logsumexp(1), rtol=1e-4, atol=1e-4)


def test_pytorch_ood_has_the_last_stage_alone() -> None:
    look = BatchView(PROBE, next(inputs_of(MODEL, pictures(10, 1).images, torch.device("cpu"), 10)))
    oracle = Oracle(lambda x: look.mapped.maps[-1], lambda maps: PROBE.head(maps.mean((2, 3))))
    found = RankFeatMethod(PROBE, []).statistic(look, {"stages": "last"})
    torch.testing.assert_close(found, -oracle.predict(look.inputs), rtol=1e-4, atol=1e-4)
