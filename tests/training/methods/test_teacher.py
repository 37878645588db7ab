"""Distillation of logits and features: its losses by formula, its gradients, and a teacher left alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthood.errors import SynthoodError
from synthood.training.methods.teacher import Distillation, Teacher, adapter, load_teacher
from synthood.training.methods.term import Batch
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.from_timm import TimmNetwork
from synthood.training.networks.architectures.residual import Network, ResNet
from synthood.training.networks.model import Classifier
from synthood.training.stability import beside_the_network
from synthood.training.terms.build import initialised
from synthood.training.terms.losses import cosine_distance

CLASSES = ["cat", "dog", "owl"]
COUNT = 6


@pytest.fixture
def student() -> ResNet:
    return build(Network(name="resnet8", width=8), 3, seed=0)


@pytest.fixture
def teacher() -> Classifier:
    """Wider than the student, with running statistics that have moved."""
    settings = Network(name="resnet8", width=12)
    network = build(settings, 3, seed=1)
    network(2 * images(9) + 1)
    return Classifier(settings, CLASSES, [0.5] * 3, [0.25] * 3, network.eval())


def images(seed: int) -> Tensor:
    return torch.randn((COUNT, 3, 8, 8), generator=torch.Generator().manual_seed(seed))


def batch_of(student: ResNet, inputs: Tensor | None = None) -> Batch:
    inputs = images(0) if inputs is None else inputs
    features = student.features(inputs)
    labels = torch.arange(COUNT) % 3
    return Batch(inputs, labels, torch.arange(COUNT), student.head(features), features, student.head, torch.Generator())


def term_of(teacher: Classifier, **changes: Any) -> Distillation:
    settings = Teacher.model_validate({"recipe": "t", "logit_weight": 0, "feature_weight": 0} | changes)
    term = initialised(Distillation(settings, teacher, 32), 0, "distillation")
    assert isinstance(term, Distillation)
    return term


def kl(target: Tensor, found: Tensor) -> float:
    """Mean over rows of KL(softmax(target) || softmax(found)), term by term."""
    p, q = (logits.detach().double().softmax(1) for logits in (target, found))
    return float((p * (p / q).log()).sum() / len(p))


def module_bytes(module: nn.Module) -> dict[str, bytes]:
    return {name: value.contiguous().numpy().tobytes() for name, value in module.state_dict().items()}


def test_logit_loss_is_its_formula(student: ResNet, teacher: Classifier) -> None:
    """T^2 KL at temperature T, times the weight; the teacher sees the very same inputs."""
    batch = batch_of(student)
    target = teacher.network(batch.inputs)
    losses = term_of(teacher, logit_weight=4, temperature=2.0)(batch)
    assert losses.keys() == {"logit_distillation"}
    assert losses["logit_distillation"].item() == pytest.approx(16 * kl(target / 2, batch.logits / 2), rel=1e-4)
    once = term_of(teacher, logit_weight=1)(batch)["logit_distillation"]
    assert once.item() == pytest.approx(kl(target, batch.logits), rel=1e-4)


def test_cosine_loss_is_its_formula(student: ResNet, teacher: Classifier) -> None:
    batch = batch_of(student)
    term = term_of(teacher, feature_weight=8)
    assert isinstance(term.projection, nn.Linear)
    assert term.projection.weight.shape == (48, 32)
    losses = term(batch)
    target, found = teacher.network.features(batch.inputs), term.projection(batch.features)
    expected = sum(1 - (f @ g / f.norm() / g.norm()).item() for f, g in zip(found, target, strict=True)) / COUNT
    assert losses.keys() == {"feature_distillation"}
    assert losses["feature_distillation"].item() == pytest.approx(8 * expected, rel=1e-4)


def test_released_loss_is_its_formula(student: ResNet, teacher: Classifier) -> None:
    """KL(softmax(A(g)) || softmax(h)), by hand from the adapter's four layers on the batch's own statistics."""
    batch = batch_of(student)
    term = term_of(teacher, feature_weight=8, feature_form="released")
    assert term.projection is not None
    losses = term(batch)

    def normed(x: Tensor) -> Tensor:
        return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()

    linear = term.projection[1]  # type: ignore[index]
    target = normed(F.relu(linear(normed(teacher.network.features(batch.inputs)))))
    assert losses.keys() == {"feature_distillation"}
    assert losses["feature_distillation"].item() == pytest.approx(8 * kl(target, batch.features), rel=1e-3)


@pytest.mark.parametrize("form", ["cosine", "released"])
def test_projection_and_network_receive_gradient(student: ResNet, teacher: Classifier, form: str) -> None:
    """Parameter by parameter: the released target is not detached, so the adapter itself comes to meet the student."""
    term = term_of(teacher, feature_weight=8, feature_form=form)
    assert len(list(term.parameters())) == (2 if form == "cosine" else 6)
    term(batch_of(student))["feature_distillation"].backward()
    student_side = [parameter for name, parameter in student.named_parameters() if not name.startswith("head")]
    for parameter in [*term.parameters(), *student_side]:
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().sum() > 0
    assert student.head.weight.grad is None
    assert all(parameter.grad is None for parameter in teacher.network.parameters())


def test_the_released_adapter_descends_by_itself(student: ResNet, teacher: Classifier) -> None:
    """The student held, the loss falls: what the papers' code allows, and cosine with a held target does not need."""
    term = term_of(teacher, feature_weight=1, feature_form="released")
    batch = batch_of(student)
    held = Batch(**(vars(batch) | {"features": batch.features.detach()}))
    optimizer = torch.optim.Adam(term.parameters(), 0.01)
    losses = []
    for _ in range(30):
        loss = term(held)["feature_distillation"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_the_student_is_drawn_to_the_teachers_logits(student: ResNet, teacher: Classifier) -> None:
    """d/dl T^2 KL / N = T (q - p) / N, through the term."""
    batch = batch_of(student)
    batch.logits.retain_grad()
    term_of(teacher, logit_weight=3, temperature=2.0)(batch)["logit_distillation"].backward()
    target = teacher.network(batch.inputs)
    expected = 3 * 2 * ((batch.logits / 2).softmax(1) - (target / 2).softmax(1)) / COUNT
    torch.testing.assert_close(batch.logits.grad, expected.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", ["cosine", "released"])
def test_the_teacher_stays_as_it_was(student: ResNet, teacher: Classifier, form: str) -> None:
    """Statistics too, although the term trains; its weights are no part of the term's state."""
    before = module_bytes(teacher.network)
    term = term_of(teacher, logit_weight=4, feature_weight=8, feature_form=form).train()
    optimizer = torch.optim.SGD([*student.parameters(), *term.parameters()], 0.1)
    for step in range(3):
        optimizer.zero_grad()
        torch.stack(list(term(batch_of(student, images(step))).values())).sum().backward()
        optimizer.step()
    assert module_bytes(teacher.network) == before
    assert not teacher.network.training
    assert {name.split(".")[0] for name in term.state_dict()} == {"projection"}


@pytest.mark.parametrize("form", ["cosine", "released"])
def test_a_feature_weight_of_zero_needs_no_projection(teacher: Classifier, form: str) -> None:
    assert list(term_of(teacher, logit_weight=4, feature_form=form).parameters()) == []


def test_no_weight_no_loss(student: ResNet, teacher: Classifier) -> None:
    assert term_of(teacher)(batch_of(student)) == {}


def test_adapter_is_the_released_one() -> None:
    """Normalisation, a layer to the student's width, rectifier, normalisation."""
    layers = list(adapter(48, 32))  # type: ignore[call-overload]
    assert [type(layer) for layer in layers] == [nn.BatchNorm1d, nn.Linear, nn.ReLU, nn.BatchNorm1d]
    assert (layers[0].num_features, layers[1].out_features, layers[3].num_features) == (48, 32, 32)


def test_cosine_distance_by_hand_with_its_target_held() -> None:
    """1 - cos is 0, 1 and 2 for vectors alike, at right angles and opposite, whatever their lengths."""
    found = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], requires_grad=True)
    target = torch.tensor([[5.0, 0.0], [0.0, 1.0], [-0.5, 0.0]], requires_grad=True)
    loss = cosine_distance(found, target)
    loss.backward()
    assert loss.item() == pytest.approx(1.0)
    assert target.grad is None
    assert found.grad is not None
    torch.testing.assert_close(found.grad, torch.tensor([[0.0, 0.0], [0.0, -1 / 6], [0.0, 0.0]]))


def test_a_teacher_of_another_normalisation_sees_the_same_pixels(student: ResNet, teacher: Classifier) -> None:
    """The loss is that of pixels normalised by the teacher's own mean and deviation."""
    pixels = torch.rand((COUNT, 8, 8, 3), generator=torch.Generator().manual_seed(4))
    ours = Classifier(Network(name="resnet8", width=8), CLASSES, [0.1, 0.2, 0.3], [0.3, 0.2, 0.1], student)
    settings = Teacher(recipe="t", logit_weight=1.0)
    inputs, theirs = (c.normalised((255 * pixels).round().to(torch.uint8)) for c in (ours, teacher))
    term = Distillation(settings, teacher, 32, ours)
    assert term.state_dict().keys().isdisjoint({"scale", "shift"})
    torch.testing.assert_close(term.seen(inputs), theirs, atol=1e-6, rtol=1e-6)
    batch = batch_of(student, inputs)
    expected = kl(teacher.network(theirs), batch.logits)
    assert term(batch)["logit_distillation"].item() == pytest.approx(expected, rel=1e-3)
    same = Distillation(settings, teacher, 32, replace(ours, mean=teacher.mean, deviation=teacher.deviation))
    assert same.seen(inputs) is inputs


def test_a_teacher_of_another_size_of_images_resizes_them(student: ResNet) -> None:
    settings = Network(name="resnet8", width=8, image_size=16)
    network = build(settings, 3, seed=1)
    network(images(9))
    teacher = Classifier(settings, CLASSES, [0.5] * 3, [0.25] * 3, network.eval())
    batch = batch_of(student)
    enlarged = F.interpolate(batch.inputs, (16, 16), mode="bilinear", align_corners=False)
    expected = kl(teacher.network(enlarged), batch.logits)
    assert term_of(teacher, logit_weight=1)(batch)["logit_distillation"].item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (["cat", "dog", "yak"], r"classes are cat, dog, yak \(3 in all\), the student's cat, dog, owl \(3 in all\)"),
        (["dog", "cat", "owl"], r"classes are dog, cat, owl .* of the same classes in the same order"),
        ([f"c{i}" for i in range(9)], r"classes are c0, c1, c2, c3, \.\.\. \(9 in all\)"),
    ],
)
def test_a_teacher_of_other_classes_is_refused(classes: list[str], told: str, student: ResNet, tmp_path: Path) -> None:
    settings = Network(name="resnet8", width=8)
    network = build(settings, len(classes), seed=0)
    Classifier(settings, classes, [0.5] * 3, [0.25] * 3, network).save(tmp_path / "model.safetensors")
    own = Classifier(settings, CLASSES, [0.5] * 3, [0.25] * 3, student)
    with pytest.raises(SynthoodError, match=told):
        load_teacher(tmp_path / "model.safetensors", own, torch.device("cpu"))


def test_a_teacher_that_takes_another_resolution_is_told(student: ResNet) -> None:
    settings = TimmNetwork(name="timm/test_vit")
    teacher = Classifier(settings, CLASSES, [0.5] * 3, [0.25] * 3, build(settings, 3, seed=0))
    with pytest.raises(
        SynthoodError, match=r"test_vit: takes images of 160 x 160 pixels, got 8 x 8; set network\.image"
    ):
        term_of(teacher, logit_weight=1)(batch_of(student))


def test_the_teacher_may_see_the_students_inputs(student: ResNet, teacher: Classifier) -> None:
    """`own`: the pixels by its own normalisation; `student`: the very numbers that the student sees, as released."""
    batch = batch_of(student)
    taught = Classifier(Network(name="resnet8", width=8), CLASSES, [0.4, 0.5, 0.6], [0.2, 0.25, 0.5], student)
    found = {}
    for inputs in ("own", "student"):
        settings = Teacher.model_validate({"recipe": "t", "logit_weight": 1, "inputs": inputs})
        found[inputs] = Distillation(settings, teacher, 32, taught)(batch)["logit_distillation"].item()
    pixels = batch.inputs * torch.tensor([0.2, 0.25, 0.5]).view(3, 1, 1) + torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)
    own = teacher.network((pixels - 0.5) / 0.25)
    assert found["own"] == pytest.approx(kl(own, batch.logits), rel=1e-3)
    assert found["student"] == pytest.approx(kl(teacher.network(batch.inputs), batch.logits), rel=1e-3)
    assert found["own"] != pytest.approx(found["student"], rel=1e-2)


def test_its_adapter_may_have_a_rate_of_its_own(teacher: Classifier) -> None:
    term = term_of(teacher, feature_weight=8, feature_form="released", learning_rate=0.01)
    groups = beside_the_network(nn.ModuleDict({"distillation": term, "other": nn.Linear(1, 1)}), 1e-4)
    assert {rate: len(own) for rate, own in groups.items()} == {0.01: 6, 1e-4: 2}
    assert beside_the_network(nn.ModuleDict({"d": term_of(teacher, feature_weight=8)}), 1e-4).keys() == {1e-4}
