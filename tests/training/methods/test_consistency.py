"""AugMix's consistency: the divergence of three posteriors, and what is mixed."""

import math

import pytest
import torch

from synthood.training.augmentation.policies import augmixed
from synthood.training.methods.consistency import AugMixConsistency, Consistency, jensen_shannon
from synthood.training.methods.term import AuxiliaryInputs, Batch
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from toy_training import batch_of, normal, random, reaches

MEANS, DEVIATIONS = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
LABELS = torch.tensor([0, 1, 2])


def entropy(chances: list[float]) -> float:
    return -math.fsum(p * math.log(p) for p in chances)


def test_divergence_is_the_entropy_of_the_mixture_less_the_mean_entropy() -> None:
    logits = normal(3, 5, 4)
    chances = logits.detach().softmax(2)
    for sample, found in enumerate(jensen_shannon(logits).tolist()):
        own = [chances[view, sample].tolist() for view in range(3)]
        mixture = [math.fsum(p) / 3 for p in zip(*own, strict=True)]
        assert found == pytest.approx(entropy(mixture) - math.fsum(map(entropy, own)) / 3, abs=1e-6)
    assert torch.autograd.gradcheck(jensen_shannon, logits)


def test_divergence_is_none_of_equals_and_log_3_at_most() -> None:
    alike = normal(1, 2, 4).expand(3, 2, 4)
    torch.testing.assert_close(jensen_shannon(alike), torch.zeros(2).double(), atol=1e-12, rtol=0)
    apart = 1000 * torch.eye(4)[:3, None]
    assert jensen_shannon(apart).tolist() == pytest.approx([math.log(3)])


def test_two_mixes_of_the_pixels_go_beside() -> None:
    pixels = torch.rand((4, 3, 8, 8), generator=random())
    means, deviations = (torch.tensor(values)[:, None, None] for values in (MEANS, DEVIATIONS))
    term = AugMixConsistency(Consistency(width=2), MEANS, DEVIATIONS)
    found = term.auxiliary_inputs((pixels - means) / deviations, LABELS, random(1)).inputs * deviations + means
    stream = random(1)
    expected = torch.cat([augmixed(pixels, Consistency(width=2), stream) for _ in range(2)])
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
    assert (found[:4] - found[4:]).abs().max() > 0.1
    assert not term.state_dict()


@pytest.mark.parametrize("weights", [None, [0.5, 0.2, 0.3]])
def test_loss_weighs_samples_and_reaches_the_network(weights: list[float] | None) -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    term = AugMixConsistency(Consistency(weight=3.0), MEANS, DEVIATIONS)
    own = batch_of(network, LABELS, weights=None if weights is None else torch.tensor(weights))
    asked = term.auxiliary_inputs(own.inputs, LABELS, random())
    logits = network(asked.inputs)
    batch = Batch(**(vars(own) | {"auxiliary": {"consistency": AuxiliaryInputs(asked.inputs, logits=logits)}}))
    loss = term(batch)["consistency"]
    each = jensen_shannon(torch.stack([own.logits, logits[:3], logits[3:]])).tolist()
    expected = 3 * math.fsum(a * b for a, b in zip(weights or [1 / 3] * 3, each, strict=True))
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-6)
    assert reaches(network, loss)
