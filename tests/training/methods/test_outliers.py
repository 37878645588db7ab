"""Contrast against outliers: losses by brute force, and who receives which gradient."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthood.errors import SynthoodError
from synthood.training.methods.outliers import (
    ClubContrast,
    Contrast,
    LatentContrast,
    OutlierTerms,
    TokenContrast,
    contrasts,
)
from synthood.training.methods.term import Batch
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network, ResNet
from synthood.training.outlier_set import OutlierSet, Space
from synthood.training.terms.build import initialised
from synthood.training.terms.mutual_information import gaussian_log_likelihood

CLASSES, FEATURES, COUNT = 3, 32, 24
HEAD = nn.Linear(FEATURES, CLASSES)
LABELS = np.arange(COUNT, dtype=np.int64) % CLASSES
ROWS = [4, 0, 5, 9, 13, 2, 20]
CONTRASTS = ["boundary_contrast", "latent_contrast"]
MakeOutliers = Callable[..., OutlierSet]


def settings(**changes: Any) -> OutlierTerms:
    return OutlierTerms.model_validate({"from": "oal"} | changes)


def of(outliers: OutlierSet, /, **changes: Any) -> list[Contrast]:
    """The terms with parameters of their own seed."""
    made = contrasts(settings(**changes), outliers, CLASSES, FEATURES)
    return [initialised(term, 0, term.name) for term in made]  # type: ignore[misc]


@pytest.fixture(scope="module")
def outliers(make_outliers: MakeOutliers) -> OutlierSet:
    return make_outliers(LABELS)


@pytest.fixture
def network() -> ResNet:
    return build(Network(name="resnet8", width=8), CLASSES, seed=0)


def batch_of(network: ResNet, rows: list[int] = ROWS, labels: Tensor | None = None, step: int = 0) -> Batch:
    """A training step on images whose labels are those of the rows, as far as there are rows."""
    chosen = torch.tensor(rows)
    labels = torch.from_numpy(LABELS)[chosen % COUNT] if labels is None else labels
    inputs = torch.randn((len(rows), 3, 8, 8), generator=torch.Generator().manual_seed(step + 1))
    features = network.features(inputs)
    random = torch.Generator().manual_seed(step)
    return Batch(inputs, labels, chosen, network.head(features), features, network.head, random)


def fixed_batch(features: Tensor, labels: Tensor, random: torch.Generator) -> Batch:
    """A step whose features are given; nothing else is asked for."""
    nothing = torch.zeros(len(labels))
    return Batch(nothing, labels, torch.arange(len(labels)), nothing, features, HEAD, random)


def parts_with_gradient(module: nn.Module) -> set[str]:
    found = set()
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), name
            if parameter.grad.abs().sum() > 0:
                found.add(name)
    return found


def names(module: nn.Module, *beginnings: str) -> set[str]:
    return {name for name, _ in module.named_parameters() if name.startswith(beginnings)}


# Gradients


@pytest.mark.parametrize("estimator", ["infonce", "club", "club-released"])
@pytest.mark.parametrize("negatives", ["outliers", "other-classes"])
def test_each_parameter_of_heads_and_network_receives_gradient(
    outliers: OutlierSet, network: ResNet, estimator: str, negatives: str
) -> None:
    terms = of(outliers, estimator=estimator, negatives=negatives)
    batch = batch_of(network)
    losses = [loss for term in terms for loss in term(batch).values()]
    torch.stack(losses).sum().backward()
    assert len(terms) == 2
    for term in terms:
        assert parts_with_gradient(term) == names(term, "projection.", "adapter.", "conditional.") == names(term, "")
    assert parts_with_gradient(network) == names(network, "stem.", "stages.")
    assert network.head.weight.grad is None  # the latents' cross-entropy holds the last layer


def test_the_contrast_alone_reaches_the_network(outliers: OutlierSet, network: ResNet) -> None:
    """Alignment and likelihood fit heads to the student, and leave the student alone."""
    for estimator in ("infonce", "club"):
        for term in of(outliers, estimator=estimator):
            for name, loss in term(batch_of(network)).items():
                network.zero_grad(set_to_none=True)
                loss.backward()
                reached = names(network, "stem.", "stages.") if name in CONTRASTS else set()
                assert parts_with_gradient(network) == reached, name


def test_energies_of_adapted_latents(outliers: OutlierSet, network: ResNet) -> None:
    """The logistic loss of the batch's energies against those of the adapter's outliers, without gradient into it."""
    boundary, latent = of(outliers, energy_weight=0.7)
    assert isinstance(latent, LatentContrast)
    with torch.no_grad():
        latent.log_weights.copy_(torch.tensor([0.3, -0.2, 0.1]))
    batch = batch_of(network)
    loss = latent(batch)["latent_energy"]
    latent_batch = batch_of(network)
    chosen = torch.randint(10, (len(ROWS),), generator=latent_batch.random)
    adapted = latent.adapter(latent.get_buffer("outliers")[chosen])
    logits = torch.cat([latent_batch.logits, adapted @ network.head.weight.T + network.head.bias]).tolist()
    scale, offset = latent.logistic.weight.item(), latent.logistic.bias.item()
    each = []
    for row, sign in zip(logits, [1] * len(ROWS) + [-1] * len(ROWS), strict=True):
        energy = math.log(sum(math.exp(z + a) for z, a in zip(row, [0.3, -0.2, 0.1], strict=True)))
        each.append(math.log(1 + math.exp(-sign * (scale * energy + offset))))
    assert float(loss.detach()) == pytest.approx(0.7 * sum(each) / len(each), abs=1e-6)
    loss.backward()
    assert parts_with_gradient(latent) == {"log_weights", "logistic.weight", "logistic.bias"}
    assert parts_with_gradient(network) == names(network, "")
    assert "latent_energy" not in boundary(batch_of(network))


@pytest.mark.parametrize("more", [{"latent_weight": 0.0}, {"estimator": "club"}, {"negatives": "other-classes"}])
def test_energies_need_the_adapter(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="energy_weight needs the adapter of outlier latents"):
        settings(energy_weight=1.0, **more)


def test_which_loss_teaches_which_head(outliers: OutlierSet, network: ResNet) -> None:
    """The adapter learns from ID latents alone, the conditional from likelihood alone, as released from the bound."""
    expected = {
        ("infonce", "boundary_alignment"): True,
        ("infonce", "boundary_contrast"): True,
        ("infonce", "latent_alignment"): True,
        ("infonce", "latent_contrast"): False,
        ("club", "boundary_likelihood"): True,
        ("club", "boundary_contrast"): False,
        ("club", "latent_likelihood"): True,
        ("club", "latent_contrast"): False,
        ("club-released", "boundary_contrast"): True,
        ("club-released", "latent_contrast"): True,
    }
    found = {}
    for estimator in ("infonce", "club", "club-released"):
        for term in of(outliers, estimator=estimator):
            for name, loss in term(batch_of(network)).items():
                term.zero_grad(set_to_none=True)
                loss.backward()
                taught = parts_with_gradient(term)
                assert taught in (set(), names(term, ""))
                found[estimator, name] = bool(taught)
    assert found == expected


@pytest.mark.parametrize("estimator", ["infonce", "club", "club-released"])
def test_outliers_and_prototypes_are_held(outliers: OutlierSet, network: ResNet, estimator: str) -> None:
    """They are buffers off the graph, and nothing that is stepped on."""
    for term in of(outliers, estimator=estimator):
        batch = batch_of(network)
        before = {name: value.clone() for name, value in term.named_buffers() if name != "prototypes"}
        optimizer = torch.optim.SGD(term.parameters(), 1.0)
        torch.stack(list(term(batch).values())).sum().backward()
        optimizer.step()
        assert {"id", "outliers"} <= before.keys()
        for name, value in term.named_buffers():
            assert not value.requires_grad, name
            assert name == "prototypes" or torch.equal(value, before[name])


# InfoNCE


def infonce_by_hand(
    queries: Tensor, labels: Tensor, prototypes: Tensor, others: Tensor, other_labels: Tensor | None
) -> float:
    """Spec 4.5, sample by sample in double precision; with labels of the others, those of its class are left out."""

    def unit(vector: Tensor) -> list[float]:
        values = vector.double().tolist()
        length = math.sqrt(sum(v * v for v in values))
        return [v / length for v in values]

    def likeness(one: list[float], other: list[float]) -> float:
        return math.exp(sum(a * b for a, b in zip(one, other, strict=True)) / 0.1)

    total = 0.0
    for query, label in zip(queries.detach(), labels.tolist(), strict=True):
        own = unit(query)
        towards = [likeness(own, unit(prototype)) for prototype in prototypes]
        against = sum(
            likeness(own, unit(other))
            for index, other in enumerate(others)
            if other_labels is None or int(other_labels[index]) != label
        )
        total -= math.log(towards[label] / (sum(towards) + against))
    return total / len(labels)


@pytest.mark.parametrize("negatives", ["outliers", "other-classes"])
def test_boundary_contrast_equals_brute_force(outliers: OutlierSet, network: ResNet, negatives: str) -> None:
    (term,) = of(outliers, negatives=negatives, latent_weight=0, boundary_weight=0.7)
    assert isinstance(term, TokenContrast)
    batch = batch_of(network)
    found = term(batch)["boundary_contrast"].item()
    again = batch_of(network)
    chosen = term.drawn(again)
    prototypes = torch.stack(
        [F.normalize(outliers.token.id[outliers.token.id_labels == c]).mean(0) for c in range(CLASSES)]
    )
    control = negatives == "other-classes"
    expected = infonce_by_hand(
        term.projection(again.features),
        again.labels,
        prototypes,
        term.get_buffer("outliers")[chosen],
        term.get_buffer("outlier_labels")[chosen] if control else None,
    )
    assert found == pytest.approx(0.7 * expected, rel=1e-4)
    source = outliers.token.id if control else outliers.token.outliers
    assert {tuple(row) for row in term.get_buffer("outliers").tolist()} == {tuple(row) for row in source.tolist()}


@pytest.mark.parametrize("negatives", ["outliers", "other-classes"])
def test_latent_contrast_equals_brute_force(outliers: OutlierSet, network: ResNet, negatives: str) -> None:
    """Queries are the features; outliers and prototypes come through the adapter."""
    (term,) = of(outliers, negatives=negatives, boundary_weight=0, latent_weight=0.3)
    assert isinstance(term, LatentContrast)
    batch = batch_of(network)
    found = term(batch)["latent_contrast"].item()
    again = batch_of(network)
    chosen = term.drawn(again)
    with torch.no_grad():
        adapted = F.normalize(term.adapter(outliers.latent.id[again.rows]))
        others = term.adapter(term.get_buffer("outliers")[chosen])
    prototypes = torch.stack([adapted[again.labels == c].mean(0) for c in range(CLASSES)])
    other_labels = term.get_buffer("outlier_labels")[chosen] if negatives == "other-classes" else None
    expected = infonce_by_hand(again.features, again.labels, prototypes, others, other_labels)
    assert found == pytest.approx(0.3 * expected, rel=1e-4)


def test_the_control_never_holds_a_sample_against_its_own_class(outliers: OutlierSet, network: ResNet) -> None:
    """Gradient into the samples drawn: exactly none from queries of their class, some from all others."""
    (term,) = of(outliers, negatives="other-classes", latent_weight=0)
    assert isinstance(term, TokenContrast)
    labels, prototypes = term.get_buffer("outlier_labels"), term.get_buffer("prototypes")
    for step in range(5):
        batch = batch_of(network, step=step)
        chosen = term.drawn(batch)
        for query, label in zip(batch.features.detach(), batch.labels, strict=True):
            alone = fixed_batch(query[None], label[None], batch.random)
            samples = term.get_buffer("outliers")[chosen].clone().requires_grad_()
            term.contrast(alone, term.projection(query[None]), prototypes, samples, chosen).backward()
            assert samples.grad is not None
            assert torch.equal(samples.grad.abs().sum(1) > 0, labels[chosen] != label)


def test_the_temperature_divides_the_cosines(outliers: OutlierSet, network: ResNet) -> None:
    """At a high one all are alike: log of the number of prototypes and outliers."""
    for term in of(outliers, temperature=1e6):
        losses = term(batch_of(network))
        found = losses[f"{term.name}_contrast"].item() / term.weight
        assert found == pytest.approx(math.log(CLASSES + len(ROWS)), abs=1e-4)


def test_latent_alignment_is_its_formula(outliers: OutlierSet, network: ResNet) -> None:
    (term,) = of(outliers, boundary_weight=0)
    assert isinstance(term, LatentContrast)
    batch = batch_of(network)
    found = term(batch)["latent_alignment"].item()
    expected = 0.0
    for row, label, feature in zip(batch.rows, batch.labels, batch.features, strict=True):
        adapted = term.adapter(outliers.latent.id[row][None])[0]
        cosine = adapted @ feature / adapted.norm() / feature.norm()
        expected += (1 - cosine - network.head(adapted).log_softmax(0)[label]).item() / len(batch.rows)
    assert found == pytest.approx(expected, rel=1e-4)


def test_boundary_alignment_is_its_formula(outliers: OutlierSet, network: ResNet) -> None:
    (term,) = of(outliers, latent_weight=0)
    assert isinstance(term, TokenContrast)
    batch = batch_of(network)
    cosines = F.cosine_similarity(term.projection(batch.features), outliers.token.id[batch.rows])
    assert term(batch)["boundary_alignment"].item() == pytest.approx((1 - cosines).mean().item(), rel=1e-5)


def test_prototypes_follow_the_means(outliers: OutlierSet) -> None:
    """A tenth of the way at each step, in closed form; a class that is absent stays."""
    (term,) = of(outliers, boundary_weight=0)
    assert isinstance(term, LatentContrast)
    first, second = (torch.randn((4, FEATURES), generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    term.follow(first, torch.tensor([0, 0, 1, 0]))
    mean = (first[0] + first[1] + first[3]) / 3
    torch.testing.assert_close(
        term.get_buffer("prototypes"), torch.stack([0.1 * mean, 0.1 * first[2], torch.zeros(FEATURES)])
    )
    term.follow(second, torch.tensor([0, 2, 2, 2]))
    expected = torch.stack([0.09 * mean + 0.1 * second[0], 0.1 * first[2], 0.1 * second[1:].mean(0)])
    torch.testing.assert_close(term.get_buffer("prototypes"), expected)


def test_prototypes_of_latents_are_kept_with_the_heads(outliers: OutlierSet, network: ResNet) -> None:
    """What training moves is in the state, what the files hold is not."""
    token, latent = of(outliers)
    latent(batch_of(network))
    assert set(token.state_dict()) == {"projection.weight", "projection.bias"}
    assert set(latent.state_dict()) == {"prototypes"} | {name for name, _ in latent.named_parameters()}
    assert latent.state_dict()["prototypes"].abs().sum() > 0


def test_synthetic_images_are_contrasted_but_not_aligned(outliers: OutlierSet, network: ResNet) -> None:
    """Rows from the number of training images on have no embedding of their own."""
    network.eval()  # so that an image's features do not depend on its batch
    mixed = [4, COUNT, 0, COUNT + 3, 5]
    for term in of(outliers):
        batch = batch_of(network, mixed)
        real = Batch(**(vars(batch) | {key: getattr(batch, key)[[0, 2, 4]] for key in ("labels", "rows", "features")}))
        aligned, alone = (term(each)[f"{term.name}_alignment"] for each in (batch, real))
        assert aligned.item() == pytest.approx(alone.item(), rel=1e-5)
        (gradient,) = torch.autograd.grad(term(batch)[f"{term.name}_contrast"], batch.features)
        assert (gradient.abs().sum(1) > 0).all()


def test_synthetic_images_leave_the_prototypes_alone(outliers: OutlierSet, network: ResNet) -> None:
    (term,) = of(outliers, boundary_weight=0)
    term(batch_of(network, [0, COUNT, COUNT + 1], labels=torch.tensor([0, 1, 2])))
    assert (term.get_buffer("prototypes").abs().sum(1) > 0).tolist() == [True, False, False]


# What is drawn


@pytest.mark.parametrize("negatives", ["outliers", "other-classes"])
def test_drawn_alike_is_evenly_of_the_samples_class(outliers: OutlierSet, negatives: str) -> None:
    """Or, for the control, evenly of the other classes; every outlier in its turn."""
    labels = torch.arange(CLASSES).repeat_interleave(6000)
    for term in of(outliers, estimator="club", negatives=negatives):
        batch = fixed_batch(torch.zeros(len(labels), FEATURES), labels, torch.Generator().manual_seed(0))
        chosen = term.drawn_alike(batch)
        own = term.get_buffer("outlier_labels")
        control = negatives == "other-classes"
        assert ((own[chosen] == labels) != control).all()
        for label in range(CLASSES):
            found = torch.bincount(chosen[labels == label], minlength=len(own))
            sizes = torch.bincount(own)[own]
            share = ((own != label) / 2 if control else (own == label).float()) / sizes
            spread = (6000 * share * (1 - share)).sqrt()
            assert ((found - 6000 * share).abs() <= 4.5 * spread).all()


def test_drawn_is_evenly_of_all_outliers(outliers: OutlierSet) -> None:
    (term,) = of(outliers, latent_weight=0)
    labels = torch.zeros(10_000, dtype=torch.int64)
    batch = fixed_batch(torch.zeros(10_000, FEATURES), labels, torch.Generator().manual_seed(0))
    found = torch.bincount(term.drawn(batch), minlength=10)
    assert ((found - 1000).abs() <= 4.5 * math.sqrt(900)).all()


def test_outliers_stand_with_their_labels_after_sorting(outliers: OutlierSet) -> None:
    for term, space in zip(of(outliers), (outliers.token, outliers.latent), strict=True):
        given = {(int(c), float(v.flatten()[0])) for c, v in zip(space.outlier_labels, space.outliers, strict=True)}
        kept = {
            (int(c), float(v.flatten()[0]))
            for c, v in zip(term.get_buffer("outlier_labels"), term.get_buffer("outliers"), strict=True)
        }
        assert given == kept
        assert term.get_buffer("counts").tolist() == [2, 5, 3]
        assert term.get_buffer("firsts").tolist() == [0, 2, 7]


# CLUB


def telling(term: ClubContrast) -> tuple[Tensor, Tensor]:
    """Features that depend on their class, with the conditional fitted to them by likelihood."""
    random = torch.Generator().manual_seed(3)
    labels = torch.arange(30) % CLASSES
    features = 2 * torch.eye(FEATURES)[labels] + 0.5 * torch.randn((30, FEATURES), generator=random)
    optimizer = torch.optim.Adam(term.conditional.parameters(), 0.01)
    for _ in range(100):
        loss = term(fixed_batch(features, labels, random))["boundary_likelihood"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return features, labels


def test_paired_club_is_positive_and_the_released_one_zero_in_the_mean(outliers: OutlierSet) -> None:
    """The same conditional, features and outliers, drawn a thousand times: the pairing is all that differs."""
    paired, released = (
        of(outliers, estimator=name, latent_weight=0, boundary_weight=1)[0] for name in ("club", "club-released")
    )
    assert isinstance(paired, ClubContrast)
    features, labels = telling(paired)
    released.load_state_dict(paired.state_dict())
    random, means, errors = torch.Generator().manual_seed(4), [], []
    for term in (paired, released):
        with torch.no_grad():
            values = [term(fixed_batch(features, labels, random))["boundary_contrast"] for _ in range(1000)]
        means.append(float(torch.stack(values).mean()))
        errors.append(float(torch.stack(values).std()) / math.sqrt(1000))
    assert means[0] > 1
    assert means[0] > 30 * errors[0]
    assert abs(means[1]) < 3 * errors[1]
    assert errors[1] < 0.05 * means[0]


def test_club_is_its_formula(outliers: OutlierSet, network: ResNet) -> None:
    """Mean over pairs less mean over all others, of latents that are drawn for each sample."""
    for estimator in ("club", "club-released"):
        (term,) = of(outliers, estimator=estimator, boundary_weight=0, latent_weight=0.4)
        assert isinstance(term, ClubContrast)
        found = term(batch_of(network))
        again = batch_of(network)
        chosen = term.drawn(again) if estimator == "club-released" else term.drawn_alike(again)
        given = term.get_buffer("outliers")[chosen].flatten(1)
        table = gaussian_log_likelihood(
            term.conditional.mean(given), term.conditional.log_variance(given), again.features
        ).tolist()
        count = len(ROWS)
        pairs = sum(table[i][i] for i in range(count)) / count
        rest = sum(table[i][j] for i in range(count) for j in range(count) if i != j) / count / (count - 1)
        assert found["latent_contrast"].item() == pytest.approx(0.4 * (pairs - rest), rel=1e-3, abs=1e-5)
        if estimator == "club":
            assert found["latent_likelihood"].item() == pytest.approx(-pairs, rel=1e-4)


def test_row_means_of_latents_by_hand(outliers: OutlierSet) -> None:
    """Over channels and rows, which leaves a number for each column; embeddings are left as they are."""
    token, latent = of(outliers, estimator="club-released", latent_form="row-mean")
    assert isinstance(token, ClubContrast)
    assert isinstance(latent, ClubContrast)
    made = latent.given(outliers.latent.outliers)
    assert made.shape == (10, 6)
    assert made[3, 2].item() == pytest.approx(outliers.latent.outliers[3, :, :, 2].mean().item(), abs=1e-6)
    assert torch.equal(token.given(outliers.token.outliers), outliers.token.outliers)
    (whole,) = of(outliers, estimator="club", boundary_weight=0)
    assert isinstance(whole, ClubContrast)
    assert torch.equal(whole.given(outliers.latent.outliers), outliers.latent.outliers.reshape(10, 96))


# Weights and mistakes


@pytest.mark.parametrize("estimator", ["infonce", "club", "club-released"])
def test_weights_scale_the_contrast_alone(outliers: OutlierSet, network: ResNet, estimator: str) -> None:
    light = of(outliers, estimator=estimator, boundary_weight=0.1, latent_weight=0.2)
    heavy = of(outliers, estimator=estimator, boundary_weight=0.5, latent_weight=0.4)
    for one, other, factor in zip(light, heavy, (5, 2), strict=True):
        losses, more = one(batch_of(network)), other(batch_of(network))
        assert losses.keys() == more.keys()
        for name in losses:
            expected = losses[name].item() * (factor if name in CONTRASTS else 1)
            assert more[name].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("estimator", ["infonce", "club", "club-released"])
def test_a_weight_of_zero_leaves_the_term_out(outliers: OutlierSet, estimator: str) -> None:
    for weights, expected in (
        ({}, ["boundary", "latent"]),
        ({"boundary_weight": 0}, ["latent"]),
        ({"latent_weight": 0}, ["boundary"]),
    ):
        assert [term.name for term in of(outliers, estimator=estimator, **weights)] == expected


def test_a_class_without_outliers_is_an_error(make_outliers: MakeOutliers) -> None:
    without = make_outliers(LABELS, per_class=(2, 0, 3))
    for name, weights in (("boundary", {"latent_weight": 0}), ("latent", {"boundary_weight": 0})):
        with pytest.raises(SynthoodError, match=f"{name}: no outlier of class 1"):
            of(without, **weights)
    with pytest.raises(SynthoodError, match="boundary: no outlier of class 2"):
        of(make_outliers(LABELS, per_class=(2, 1)))
    assert len(of(without, negatives="other-classes")) == 2  # it takes no outliers


def test_the_seed_alone_decides_the_heads(outliers: OutlierSet) -> None:
    torch.manual_seed(1)
    first = of(outliers)[1]
    torch.manual_seed(2)
    second = of(outliers)[1]
    other = initialised(of(outliers)[1], 1, "latent")
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key])
        assert key == "prototypes" or not torch.equal(value, other.state_dict()[key])


def test_other_classes_of_a_space_are_its_id_samples(outliers: OutlierSet) -> None:
    space: Space = outliers.token.other_classes()
    assert torch.equal(space.outliers, outliers.token.id)
    assert torch.equal(space.outlier_labels, outliers.token.id_labels)
