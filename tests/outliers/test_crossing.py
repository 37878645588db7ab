"""BOOD's outliers: steps known in closed form, a loop with autograd as oracle, and all of them across the boundary."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch import Tensor

from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.outliers import cross
from synthood.outliers.cross import CrossedEmbeddings, crossed_embeddings
from synthood.outliers.crossing import CrossingSettings, across, ascent, crossed
from synthood.outliers.probe import probed

AXES = torch.eye(2)


def settings(**changes: object) -> CrossingSettings:
    return CrossingSettings.model_validate({"k": 3, "boundary_points": 8} | changes)


def outliers_of(
    embeddings: Tensor, labels: Tensor, words: Tensor, asked: CrossingSettings, names: str = "abcd"
) -> CrossedEmbeddings:
    return crossed_embeddings(embeddings, labels, words, list(names[: len(words)]), asked)


def scene(seed: int, classes: int = 3, each: int = 12, width: int = 10, spread: float = 0.25) -> tuple[Tensor, ...]:
    """Unit embeddings around random words, their labels, and the words, which are not unit."""
    random = torch.Generator().manual_seed(seed)
    words = torch.randn((classes, width), generator=random)
    labels = torch.arange(classes).repeat_interleave(each)
    noise = spread * torch.randn((len(labels), width), generator=random)
    return F.normalize(F.normalize(words)[labels] + noise), labels, words


@pytest.mark.parametrize("width", [2, 8])
@pytest.mark.parametrize("degrees", [1.0, 10.0, 30.0, 44.0])
@pytest.mark.parametrize("size", [0.001, 0.01, 0.07])
def test_steps_and_crossing_point_between_two_words_are_those_of_closed_form(
    width: int, degrees: float, size: float
) -> None:
    """Words share no coordinate: from (cos t, sin t) along both each step adds a to one, takes a of the other.

    The classes meet where both are equal, m coordinates of 1 / sqrt(m) each.
    """
    angle, each = np.radians(degrees), width // 2
    words = torch.eye(2).repeat_interleave(each, 1) / each**0.5
    point = (torch.tensor([np.cos(angle), np.sin(angle)]) @ words.double())[None]
    needed = int((np.cos(angle) - np.sin(angle)) / each**0.5 // (2 * size)) + 1
    found = crossed(point, words, 0, 1, settings(step_size=size, steps=1000, extra_steps=3))
    assert found.steps.tolist() == [needed]
    assert found.parents.tolist() == [0]
    pushed = point[0] + (needed + 3) * size * torch.tensor([-1.0, 1.0]).repeat_interleave(each)
    torch.testing.assert_close(found.made[0], F.normalize(pushed, dim=0).float())
    short = crossed(point, words, 0, 1, settings(step_size=size, steps=max(1, needed - 1)))
    assert len(short.parents) == (needed == 1)


def by_loops(embeddings: Tensor, labels: Tensor, words: Tensor, asked: CrossingSettings) -> list[list[object]]:
    """Label, parent, steps and outlier, one embedding at a time, by autograd on the cross-entropy itself."""
    words, found = F.normalize(words.double()), []

    def pushed(v: Tensor, label: int) -> Tensor:
        v = v.clone().requires_grad_()
        loss = F.cross_entropy(F.cosine_similarity(v[None], words)[None] / asked.temperature, torch.tensor([label]))
        return v.detach() + asked.step_size * torch.autograd.grad(loss, v)[0].sign()

    def outside(v: Tensor, label: int) -> bool:
        return int(F.cosine_similarity(v[None], words).argmax()) != label

    for label in range(len(words)):
        rows = []
        for index in (labels == label).nonzero().flatten().tolist():
            v = embeddings[index].double()
            for step in range(asked.steps + 1):
                if outside(v, label):
                    for _ in range(asked.extra_steps):
                        v = pushed(v, label) if outside(pushed(v, label), label) else v
                    rows.append([step, index, label, F.normalize(v, dim=0).float()])
                    break
                v = pushed(v, label)
        found += sorted(rows, key=lambda row: row[0])[: asked.boundary_points]
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("size", "extra"), [(0.01, 0), (0.03, 2), (0.3, 4)])
def test_outliers_are_those_of_loops_with_autograd(seed: int, size: float, extra: int) -> None:
    embeddings, labels, words = scene(seed)
    asked = settings(step_size=size, steps=60, extra_steps=extra, temperature=0.3)
    found = outliers_of(embeddings, labels, words, asked)
    expected = by_loops(embeddings, labels, words, asked)
    rows = zip(found.steps.tolist(), found.parents.tolist(), found.labels.tolist(), strict=True)
    assert list(rows) == [tuple(row[:3]) for row in expected]
    torch.testing.assert_close(found.embeddings, torch.stack([row[3] for row in expected]), atol=1e-6, rtol=0)


@examples(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.1, 1.0]))
def test_the_gradient_is_that_of_cross_entropy_up_to_a_factor(seed: int, temperature: float) -> None:
    embeddings, labels, words = scene(seed, classes=4)
    words = F.normalize(words.double())
    for label in range(4):
        points = (1.5 * embeddings[labels == label].double()).requires_grad_()
        cosines = F.normalize(points) @ words.T
        loss = F.cross_entropy(cosines / temperature, labels[labels == label], reduction="sum")
        gradient = torch.autograd.grad(loss, points)[0]
        factor = (1 - (cosines / temperature).softmax(1)[:, label, None]) / temperature
        found = factor * ascent(points, words, label, temperature)
        torch.testing.assert_close(found.detach(), gradient, atol=1e-9, rtol=1e-6)


def test_a_sure_class_has_a_direction_all_the_same() -> None:
    """At temperature 1e-4 the posterior of the other class is zero, and so is autograd's gradient."""
    point = torch.tensor([[0.9, 0.4]], dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(F.normalize(point) @ AXES.double() / 1e-4, torch.tensor([0]))
    assert torch.autograd.grad(loss, point)[0].abs().max() == 0
    found = ascent(point.detach(), AXES.double(), 0, 1e-4)
    assert found.sign().tolist() == [[-1.0, 1.0]]


@examples(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.005, 0.05, 0.5]), st.integers(0, 5), st.integers(1, 12))
def test_all_outliers_are_unit_and_across_and_the_nearest_come_first(
    seed: int, size: float, extra: int, wanted: int
) -> None:
    """Steps of 0.5 may lead back into the class; such are not taken."""
    embeddings, labels, words = scene(seed)
    asked = settings(step_size=size, steps=1000, extra_steps=extra, boundary_points=wanted)
    found = outliers_of(embeddings, labels, words, asked)
    assert len(found.labels) == 3 * wanted
    torch.testing.assert_close(found.embeddings.norm(dim=1), torch.ones(3 * wanted))
    assert torch.equal(found.labels, labels[found.parents])
    assert found.parents.unique().numel() == 3 * wanted
    everyone = outliers_of(embeddings, labels, words, settings(step_size=size, steps=1000, boundary_points=12))
    unit = F.normalize(words)
    for label in range(3):
        mine = found.labels == label
        assert bool(across(found.embeddings[mine].double(), unit.double(), label).all())
        steps = everyone.steps[everyone.labels == label]
        assert torch.equal(found.steps[mine], steps[:wanted])
        assert torch.equal(steps, steps.sort().values)
        away = (found.embeddings[mine] - embeddings[found.parents[mine]]).norm(dim=1)
        most = 2 * size * 10**0.5 * (found.steps[mine] + extra)  # the step's length, twice for the projection
        assert bool((away <= most + 1e-5).all())


@examples(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_embeddings_and_the_length_of_words_do_not_matter(seed: int) -> None:
    embeddings, labels, words = scene(seed)
    asked = settings(steps=1000, boundary_points=12)
    first = outliers_of(embeddings, labels, words, asked)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    lengths = torch.arange(1, 4.0)[:, None]
    other = outliers_of(embeddings[order], labels[order], 7 * lengths * words, asked)
    back = order[other.parents].argsort()
    torch.testing.assert_close(other.embeddings[back], first.embeddings[first.parents.argsort()])
    assert torch.equal(other.steps[back], first.steps[first.parents.argsort()])


def test_what_is_given_stays_as_it_is() -> None:
    embeddings, _, words = scene(1)
    points = embeddings[:12].double()
    before = points.clone()
    crossed(points, words.double(), 0, 5, settings(steps=1000))
    assert torch.equal(points, before)


def test_the_same_bytes_and_fewer_where_fewer_cross() -> None:
    embeddings, labels, words = scene(3)
    one, two = (outliers_of(embeddings, labels, words, settings()) for _ in range(2))
    assert all(torch.equal(value, vars(two)[name]) for name, value in vars(one).items())
    most = int(one.steps.max()) - 1
    few = outliers_of(embeddings, labels, words, settings(steps=most))
    assert torch.equal(few.steps, one.steps[one.steps <= most])
    assert torch.equal(few.embeddings, one.embeddings[one.steps <= most])


def test_an_embedding_of_another_class_takes_no_steps_to_cross() -> None:
    embeddings, labels, words = scene(1)
    embeddings[5] = F.normalize(words)[2]
    found = outliers_of(embeddings, labels, words, settings(extra_steps=0))
    assert (int(found.parents[0]), int(found.steps[0])) == (5, 0)
    torch.testing.assert_close(found.embeddings[0], embeddings[5])


def test_what_cannot_be_pushed_is_refused() -> None:
    embeddings, labels, words = scene(0)

    def refused(message: str, *given: Tensor, **changes: object) -> None:
        with pytest.raises(SynthoodError) as caught:
            outliers_of(*(given or (embeddings, labels, words)), settings(**changes))
        assert message in str(caught.value)

    refused(
        "no embedding of class 'a' changes class within crossing.steps 1; raise it or crossing.step_size (0.0001)",
        steps=1,
        step_size=1e-4,
    )
    one = torch.cat([torch.arange(13), torch.arange(24, 36)])
    refused("class 'b' has 1 embeddings; crossing.k (3) must be below", embeddings[one], labels[one], words)
    refused("class 'b' has 1 embeddings; crossing.k (1) must be below", embeddings[one], labels[one], words, k=1)
    refused("crossing.boundary_points (13) not above that", boundary_points=13)
    equal = embeddings.clone()
    equal[12:24] = equal[12]
    refused("all 12 embeddings of class 'b' are equal; its images are one image", equal, labels, words)
    for change, message in ((float("nan"), "is not finite"), (float("inf"), "is not finite"), (0.0, "has length")):
        broken = embeddings.clone()
        broken[7] *= change
        refused(f"embedding 7, of class 'a', {message}", broken, labels, words)
    for change, message in ((float("nan"), "is not finite"), (0.0, "is zero")):
        bad = words.clone()
        bad[1] *= change
        refused(f"the vector of the word of class 'b' {message}; fit the generator again", embeddings, labels, bad)
    refused("vectors are 9 wide, the embeddings 10; run embed again", embeddings, labels, words[:, :9])
    with pytest.raises(SynthoodError, match=r"2 class words for 3 classes; 'c' has none; run embed again"):
        crossed_embeddings(embeddings, labels, words[:2], ["a", "b", "c"], settings())
    with pytest.raises(SynthoodError, match=r"3 class words for 2 classes; run embed again"):
        crossed_embeddings(embeddings, labels, words, ["a", "b"], settings())
    refused("'a' is the only class, so there is no boundary to cross", embeddings[:12], labels[:12], words[:1])


def test_the_stage_reads_the_words_and_asks_a_second_classifier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embeddings, labels, words = scene(2)
    header = {"classes": ["a", "b", "c"], "space": {"encoder": "text-aligned", "anchors": "token", "text_encoder": "f"}}
    given_arrays = {"embeddings": embeddings.numpy(), "labels": labels.numpy(), "anchors": words.numpy()}
    write_tensors(tmp_path / "embeddings", given_arrays, header)
    asked = settings(extra_steps=2, boundary_points=12)
    places = ["--embeddings", str(tmp_path / "embeddings"), "--output", str(tmp_path / "boundary")]
    cross.main(["--settings", asked.canonical(), *places])
    arrays, found = read_tensors(tmp_path / "boundary")
    assert found == header
    expected = outliers_of(embeddings, labels, words, asked)
    own, probe = probed(embeddings, labels, expected.embeddings, expected.parents, 3)
    assert arrays.keys() == {*vars(expected), "probe", "probe_of_id", "id_labels"}
    for name, values in (vars(expected) | {"probe": probe, "probe_of_id": own, "id_labels": labels}).items():
        np.testing.assert_array_equal(arrays[name], values.numpy(), err_msg=name)
    shares = (
        f"{(probe != expected.labels).float().mean():.1%}, of ID embeddings in {(own != labels).float().mean():.1%}"
    )
    assert f"a second classifier sees another class in {shares}" in capsys.readouterr().out
    few = settings(steps=int(expected.steps[:12].max()) - 1, boundary_points=12)
    cross.main(["--settings", few.canonical(), *places[:-1], str(tmp_path / "few")])
    assert ", only 1" in (out := capsys.readouterr().out)
    assert "of 'a'" in out
