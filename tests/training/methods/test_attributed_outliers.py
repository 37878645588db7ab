"""ASCOOD: attributions, what they change, the loss, and that they raise the logit of their class."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synthood.common.iterate import ResumeFile
from synthood.training.fit import train
from synthood.training.methods.attributed_outliers import (
    AttributedOutliers,
    AttributionSynthesis,
    attribution,
    divergence_from_uniform,
    largest,
    shuffled,
)
from synthood.training.methods.term import AuxiliaryInputs, Context
from synthood.training.networks.architectures.base import ImageNetwork, build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier, logits_and_features
from synthood.training.settings import RecipeSettings, TrainSettings
from toy_training import batch_of, normal, random, reaches

CPU = torch.device("cpu")


class OneLayer(ImageNetwork):
    """Logits W x + b of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 4 * 4, 3)

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def classifier_of(network: ImageNetwork) -> Classifier:
    return Classifier(Network(name="resnet8", width=8), ["a", "b", "c"], [0.5] * 3, [0.2] * 3, network)


def term_of(network: ImageNetwork, **more: Any) -> AttributionSynthesis:
    return AttributionSynthesis(AttributedOutliers(**more), Context(8, 3, classifier=classifier_of(network)))


def test_attribution_of_a_linear_network_is_its_weights() -> None:
    network, labels = OneLayer(), torch.tensor([2, 0, 1, 2])
    found = attribution(network, torch.randn(4, 3, 4, 4, generator=random()), labels)
    torch.testing.assert_close(found, network.head.weight.detach()[labels].view(4, 3, 4, 4))


def test_attribution_is_that_of_finite_differences() -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0).double().eval()
    inputs, labels = torch.randn(2, 3, 8, 8, generator=random(), dtype=torch.float64), torch.tensor([1, 2])
    found = attribution(network, inputs, labels)
    for place in [(0, 0, 0, 0), (0, 2, 5, 3), (1, 1, 7, 7), (1, 0, 2, 6)]:
        step = torch.zeros_like(inputs)
        step[place] = 1e-6
        with torch.no_grad():
            ends = [network(inputs + sign * step)[place[0], labels[place[0]]] for sign in (1, -1)]
        assert float(found[place]) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-9)


def test_attribution_leaves_the_network_as_it_was() -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    attribution(network, torch.randn(4, 3, 8, 8, generator=random()), torch.tensor([0, 1, 2, 0]))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 1.0])
def test_the_largest_gradients_of_each_image_are_left(share: float) -> None:
    gradient = torch.randn(3, 3, 4, 4, generator=random())
    count = max(1, int(share * 48))
    for found, own in zip(largest(gradient, share).flatten(1), gradient.flatten(1), strict=True):
        bar = np.sort(np.abs(own.numpy()))[-count]
        assert torch.equal(found, torch.where(own.abs() >= float(bar), own, 0))


def test_shuffled_pixels_change_places_among_themselves() -> None:
    inputs = torch.arange(2 * 3 * 25.0).view(2, 3, 5, 5)
    gradient = torch.randn(2, 3, 5, 5, generator=random(3))
    found = shuffled(inputs, gradient, 0.3, random())
    scores = gradient.exp().sum(1).flatten(1)
    moved = 0
    for image in range(2):
        top = set(scores[image].topk(7).indices.tolist())
        before, after = inputs[image].flatten(1).T.tolist(), found[image].flatten(1).T.tolist()
        assert all(after[place] == before[place] for place in range(25) if place not in top)
        assert sorted(after) == sorted(before)  # pixels move with all channels
        moved += sum(after[place] != before[place] for place in top)
    assert moved > 6


def test_the_loss_is_its_formula() -> None:
    logits = normal(5, 4)
    found = divergence_from_uniform(logits)
    posteriors = logits.detach().softmax(1).numpy()
    expected = [sum(0.25 * math.log(0.25 / p) for p in row) for row in posteriors]
    assert found.detach().numpy() == pytest.approx(expected)
    assert torch.autograd.gradcheck(divergence_from_uniform, (logits,))
    assert divergence_from_uniform(torch.full((1, 7), 3.0)).item() == pytest.approx(0, abs=1e-6)
    # The gradient of the paper's Proposition 1: p - 1 / C.
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    assert gradient.numpy() == pytest.approx(posteriors - 0.25)


def test_outliers_are_their_formula_and_the_strength_takes_its_course() -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0).eval()
    inputs, labels = torch.randn(4, 3, 8, 8, generator=random()), torch.tensor([0, 1, 2, 0])
    chosen = largest(attribution(network, inputs, labels), 0.2)
    for form, sign in (("gradient", 1), ("subtracted", -1)):
        term = term_of(network, form=form, share=0.2, strength=30.0, final_strength=10.0)
        for progress, strength in ((0.0, 30.0), (0.5, 20.0), (0.75, 15.0)):
            found = term.auxiliary_inputs(inputs, labels, random())
            torch.testing.assert_close(found.inputs, inputs + sign * strength * chosen)
            assert found.targets.tolist() == [1, 1, 1, 1]
            following = {0.0: 0.5, 0.5: 0.75, 0.75: 1.0}[progress]
            auxiliary = {"attributed_outliers": AuxiliaryInputs(found.inputs, found.targets, torch.zeros(4, 3))}
            term(batch_of(network, labels, auxiliary=auxiliary, progress=following))  # type: ignore[arg-type]  # any network


def test_noise_knows_nothing_of_the_images() -> None:
    term = term_of(OneLayer(), form="noise", strength=0.1)
    found = [
        term.auxiliary_inputs(i, torch.zeros(9).long(), random())
        for i in (torch.zeros(9, 3, 8, 8), torch.ones(9, 3, 8, 8))
    ]
    assert torch.equal(found[0].inputs, found[1].inputs)
    assert float(found[0].inputs.std()) == pytest.approx(0.1, rel=0.1)


def test_images_without_a_gradient_have_no_part() -> None:
    network = OneLayer()
    with torch.no_grad():
        network.head.weight[1] = 0
    labels = torch.tensor([0, 1, 2, 1])
    inputs = torch.randn(4, 3, 4, 4, generator=random())
    term = term_of(network, weight=2.0)
    found = term.auxiliary_inputs(inputs, labels, random())
    assert found.targets.tolist() == [1, 0, 1, 0]
    logits = torch.randn(4, 3, generator=random())
    resnet = build(Network(name="resnet8", width=8), 3, seed=0)
    auxiliary = {"attributed_outliers": AuxiliaryInputs(found.inputs, found.targets, logits)}
    each = divergence_from_uniform(logits)
    loss = term(batch_of(resnet, labels, auxiliary=auxiliary))["attributed_outliers"]  # type: ignore[arg-type]  # any network
    assert float(loss) == pytest.approx(2 * float(each[0] + each[2]) / 4)
    weights = torch.tensor([0.7, 0.1, 0.1, 0.1])
    weighted = term(batch_of(resnet, labels, auxiliary=auxiliary, weights=weights))  # type: ignore[arg-type]  # any network
    assert float(weighted["attributed_outliers"]) == pytest.approx(2 * float(0.7 * each[0] + 0.1 * each[2]))


def test_pixels_that_are_not_finite_make_the_loss_say_so() -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    inputs, labels = torch.full((2, 3, 8, 8), torch.nan), torch.tensor([0, 1])
    found = term_of(network).auxiliary_inputs(inputs, labels, random())
    assert divergence_from_uniform(network(found.inputs)).isnan().all()


def test_the_loss_reaches_the_network() -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0).train()
    inputs, labels = torch.randn(6, 3, 8, 8, generator=random()), torch.tensor([0, 1, 2, 0, 1, 2])
    term = term_of(network)
    found = term.auxiliary_inputs(inputs, labels, random())
    auxiliary = {"attributed_outliers": AuxiliaryInputs(found.inputs, found.targets, network(found.inputs))}
    loss = term(batch_of(network, labels, auxiliary=auxiliary))["attributed_outliers"]  # type: ignore[arg-type]  # any network
    assert reaches(network, loss)  # type: ignore[arg-type]  # any network


@pytest.mark.parametrize("head", ["linear", "standardised"])
def test_attributions_raise_the_logit_of_their_class_on_new_images(make_images: Any, head: str) -> None:
    settings = RecipeSettings.model_validate(
        {
            "network": {"name": "resnet8", "width": 8, "head": {"kind": head}},
            "epochs": 8,
            "batch_size": 8,
            "learning_rate": 0.1,
        }
    )
    data = make_images(24, 0), make_images(60, 1)
    classifier, _, _ = train(
        TrainSettings(recipe=settings, precision="float32"), 0, *data, None, CPU, ResumeFile(None, "")
    )
    new = make_images(120, 2)
    inputs, labels = classifier.normalised(torch.from_numpy(new.images)), torch.from_numpy(new.labels)
    term = AttributionSynthesis(AttributedOutliers(strength=1.0), Context(8, 3, classifier=classifier))
    classifier.network.eval()
    changed = term.auxiliary_inputs(inputs, labels, random()).inputs
    with torch.no_grad():
        before, after = (classifier.network(each).gather(1, labels[:, None]) for each in (inputs, changed))
    assert (after > before).float().mean() >= 0.95
    logits, _ = logits_and_features(classifier, new.images, CPU)
    torch.testing.assert_close(logits.gather(1, labels[:, None]), before)
