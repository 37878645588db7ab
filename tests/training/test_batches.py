"""SIO's composition of batches."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from synthood.errors import SynthoodError
from synthood.training.batches import Composition, balanced_order, class_weights, sample_weights


def parted(composition: Composition, epoch: int) -> tuple[list[list[int]], list[list[int]]]:
    """Real and synthetic indices of each batch; the latter from 0."""
    batches = [batch.tolist() for batch in composition.epoch(epoch)]
    real = [[i for i in batch if i < composition.real] for batch in batches]
    return real, [[i - composition.real for i in batch if i >= composition.real] for batch in batches]


@settings(max_examples=60, deadline=None)
@given(
    real=st.integers(2, 60),
    synthetic=st.integers(1, 60),
    batch=st.integers(2, 16),
    share=st.floats(0, 1),
    epoch=st.integers(0, 3),
)
def test_an_epoch_of_real_and_synthetic_images(real: int, synthetic: int, batch: int, share: float, epoch: int) -> None:
    batch = min(batch, real)
    kept = max(1, min(batch - 1, round(batch * share)))
    composition = Composition(real, synthetic, batch, kept, seed=5)
    steps = math.ceil(real / batch)
    own, made = parted(composition, epoch)
    assert composition.steps_per_epoch == len(own) == steps
    assert all(len(one) == kept for one in own)
    assert all(len(one) == batch - kept for one in made)
    for drawn, available in ((own, real), (made, synthetic)):
        counts = torch.bincount(torch.tensor([i for one in drawn for i in one]), minlength=available)
        assert len(counts) == available
        share = int(counts.sum()) / available  # an image comes again only when all are used
        assert set(counts.tolist()) <= {math.floor(share), math.ceil(share)}


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 50), st.integers(2, 50), st.integers(0, 3))
def test_without_synthetic_images_an_epoch_is_a_permutation(real: int, batch: int, epoch: int) -> None:
    batch = min(batch, real)
    batches = Composition(real, 0, batch, batch, seed=1).epoch(epoch)
    assert [len(one) for one in batches[:-1]] == [batch] * (len(batches) - 1)
    assert sorted(torch.cat(batches).tolist()) == list(range(real))


def test_alpha_1_equals_no_synthetic_images() -> None:
    for epoch in range(3):
        with_them, without = (Composition(21, count, 8, 8, seed=3).epoch(epoch) for count in (7, 0))
        assert [one.tolist() for one in with_them] == [one.tolist() for one in without]


def test_synthetic_images_come_again_in_the_same_order_when_they_run_short() -> None:
    composition = Composition(real=12, synthetic=3, batch_size=4, real_per_batch=2, seed=0)
    _, made = parted(composition, 0)
    assert [len(one) for one in made] == [2, 2, 2]
    assert torch.bincount(torch.tensor(made).flatten()).tolist() == [2, 2, 2]
    assert sorted(made[0] + made[1]) != sorted(made[0]) * 2  # the third comes before the first again


def test_synthetic_images_are_drawn_anew_in_each_epoch() -> None:
    composition = Composition(real=12, synthetic=40, batch_size=4, real_per_batch=2, seed=0)
    first, second = (parted(composition, epoch)[1] for epoch in (0, 1))
    assert {i for one in first for i in one} != {i for one in second for i in one}


def test_real_images_of_an_epoch_do_not_depend_on_the_share() -> None:
    """The same order of real images, cut into shorter pieces."""
    own, _ = parted(Composition(24, 10, 8, 5, seed=2), 1)
    plain = torch.cat(Composition(24, 0, 8, 8, seed=2).epoch(1)).tolist()
    assert [set(one) for one in own] == [set(plain[5 * step : 5 * step + 5]) for step in range(3)]


def test_batches_are_mixed() -> None:
    """Real and synthetic images do not stand in two blocks."""
    batches = Composition(64, 64, 32, 16, seed=0).epoch(0)
    assert all(4 <= int((one[:16] < 64).sum()) <= 12 for one in batches)


@pytest.mark.parametrize("kept", [3, 8])
def test_seed_and_epoch_decide_alone(kept: int) -> None:
    def flat(seed: int, epoch: int) -> list[int]:
        return torch.cat(Composition(40, 40, 8, kept, seed).epoch(epoch)).tolist()

    assert flat(0, 1) == flat(0, 1)
    assert flat(0, 1) != flat(0, 2)
    assert flat(0, 1) != flat(1, 1)


def test_every_real_image_gets_its_turn_over_the_epochs() -> None:
    composition = Composition(real=20, synthetic=20, batch_size=5, real_per_batch=2, seed=0)
    seen = {i for epoch in range(12) for one in parted(composition, epoch)[0] for i in one}
    assert seen == set(range(20))


@settings(max_examples=60, deadline=None)
@given(real=st.integers(1, 20), synthetic=st.integers(1, 20), alpha=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_weights_share_alpha_among_real_samples(real: int, synthetic: int, alpha: float, seed: int) -> None:
    """In any order; at alpha = n_real / B they are those of a plain mean."""
    order = torch.randperm(real + synthetic, generator=torch.Generator().manual_seed(seed))
    is_real = order < real
    weights = sample_weights(is_real, alpha)
    assert weights[is_real].tolist() == pytest.approx([alpha / real] * real)
    assert weights[~is_real].tolist() == pytest.approx([(1 - alpha) / synthetic] * synthetic)
    plain = sample_weights(is_real, real / (real + synthetic))
    assert plain.tolist() == pytest.approx([1 / (real + synthetic)] * (real + synthetic))


LABELS = torch.tensor([0] * 20 + [1] * 3 + [2] * 7)


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(1, 12), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_a_balanced_order_has_rounds_of_all_classes(counts: list[int], seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    order = balanced_order(labels, torch.Generator().manual_seed(seed))
    assert len(order) == len(labels)
    assert all(len(one.unique()) == len(one) for one in labels[order].split(len(counts)))
    for label in range(len(counts)):  # an image comes again only when all of its class are used
        own = torch.bincount(order, minlength=len(labels))[labels == label]
        assert int(own.max() - own.min()) <= 1


def test_balanced_batches_of_both_kinds() -> None:
    labels = torch.cat([LABELS, torch.tensor([2, 2, 2, 2, 1, 0])])
    composition = Composition(30, 6, 6, 3, seed=0, labels=labels)
    assert all(
        sorted(labels[batch].tolist()) == [0, 0, 1, 1, 2, 2] for epoch in (0, 1) for batch in composition.epoch(epoch)
    )
    plain = Composition(30, 0, 6, 6, seed=0, labels=LABELS)
    epochs = [torch.cat(plain.epoch(epoch)) for epoch in range(8)]
    assert all(torch.bincount(LABELS[one]).tolist() == [10, 10, 10] for one in epochs)
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.cat(epochs).unique().tolist() == list(range(30))
    assert torch.equal(epochs[1], torch.cat(plain.epoch(1)))


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS.numpy())
    found = class_weights(LABELS, ["a", "b", "c"], "balanced")
    assert found.tolist() == pytest.approx(expected)
    assert float(found[LABELS].mean()) == pytest.approx(1)


def test_weights_by_name() -> None:
    assert class_weights(LABELS, ["a", "b", "c"], {"c": 0.5, "a": 2}).tolist() == [2, 1, 0.5]
    with pytest.raises(SynthoodError, match=r"class_weights\.hats: no class of the data set; did you mean 'hat'\?"):
        class_weights(LABELS, ["hat", "shoe"], {"hats": 2})
