"""The training loop: reproducible, resumable, told apart by what it is given, and plain about mistakes."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.common.ranks import Ranks
from synthood.common.seeds import derived_seed, generator
from synthood.errors import SynthoodError
from synthood.training.augmentation.settings import Augmentation
from synthood.training.batches import Composition
from synthood.training.fit import History, accuracy, features_of, learning_rate, train, weights_of_classes
from synthood.training.forward import Compiled
from synthood.training.methods.outliers import OutlierTerms
from synthood.training.methods.teacher import Teacher
from synthood.training.methods.term import Context
from synthood.training.networks import model
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier, logits_and_features
from synthood.training.outlier_set import OutlierSet, Space
from synthood.training.settings import RecipeSettings, Synthetic, TrainSettings
from synthood.training.step import Step
from synthood.training.terms.build import terms_of

CPU = torch.device("cpu")
OUTLIERS = OutlierTerms.model_validate({"from": "oal"})
HALF, WHOLE = (Synthetic.model_validate({"from": "g", "alpha": alpha}) for alpha in (0.5, 1.0))


class Interrupted(ResumeFile):
    """Saves after every step, and breaks off once `last` steps are saved."""

    def __init__(self, path: Path, last: int) -> None:
        super().__init__(path, "job", save_seconds=0)
        self.last = last

    def save(self, name: str, state: dict[str, Any]) -> None:
        super().save(name, state)
        if state["step"] == self.last:
            raise KeyboardInterrupt


class Trainer:
    """Trains on the same tiny sets each time."""

    def __init__(self, make_images: Any, make_settings: Any) -> None:
        self.make_images, self.make_settings = make_images, make_settings
        self.real, self.validation = make_images(20, 0), make_images(9, 1)
        self.synthetic = make_images(7, 2)

    def __call__(
        self, images: ImageSet | None = None, /, seed: int = 0, resume: ResumeFile | None = None, **changes: Any
    ) -> tuple[Classifier, History]:
        """`images` are the synthetic ones; `changes` go into the recipe, models and outliers apart."""
        classifier, _, history = self.with_terms(images, seed, resume, **changes)
        return classifier, history

    def with_terms(
        self, images: ImageSet | None = None, /, seed: int = 0, resume: ResumeFile | None = None, **changes: Any
    ) -> tuple[Classifier, nn.ModuleDict, History]:
        """The same with what was learned beside the network; `outlier_set` are the outliers themselves."""
        given = {key: changes.pop(key) for key in ("warm_start", "teacher_model") if key in changes}
        given["outliers"] = changes.pop("outlier_set", None)
        settings: TrainSettings = self.make_settings(**changes)
        resume = resume or ResumeFile(None, "")
        return train(settings, seed, self.real, self.validation, images, CPU, resume, **given)


@pytest.fixture
def trainer(make_images: Any, make_settings: Any) -> Trainer:
    return Trainer(make_images, make_settings)


def module_bytes(module: nn.Module) -> dict[str, bytes]:
    return {key: value.contiguous().numpy().tobytes() for key, value in module.state_dict().items()}


def state_bytes(classifier: Classifier) -> dict[str, bytes]:
    return module_bytes(classifier.network)


def test_the_same_seed_gives_the_same_file(trainer: Trainer, tmp_path: Path) -> None:
    torch.manual_seed(1)
    first, history = trainer()
    torch.manual_seed(2)  # global randomness plays no part
    second, again = trainer()
    other, _ = trainer(seed=1)
    assert state_bytes(first) == state_bytes(second)
    assert history == again
    assert state_bytes(first) != state_bytes(other)
    first.save(tmp_path / "a")
    second.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_alpha_1_equals_training_without_synthetic_images(trainer: Trainer) -> None:
    plain, history = trainer()
    whole, same = trainer(trainer.synthetic, synthetic=WHOLE)
    assert state_bytes(plain) == state_bytes(whole)
    assert history == same
    half, other = trainer(trainer.synthetic, synthetic=HALF)
    assert state_bytes(plain) != state_bytes(half)
    assert history != other


def test_synthetic_images_and_labels_are_learned(trainer: Trainer) -> None:
    """Either changed, and the weights change."""
    first, _ = trainer(trainer.synthetic, synthetic=HALF)
    relabelled = ImageSet(trainer.synthetic.images, trainer.synthetic.labels[::-1].copy(), trainer.real.classes)
    redrawn = trainer.make_images(7, 3)
    states = [state_bytes(trainer(other, synthetic=HALF)[0]) for other in (relabelled, redrawn)]
    assert state_bytes(first) not in states


def test_normalisation_comes_from_the_real_images(trainer: Trainer) -> None:
    classifier, _ = trainer(trainer.synthetic, synthetic=HALF)
    pixels = trainer.real.images.reshape(-1, 3) / 255
    assert classifier.mean == pytest.approx(pixels.mean(0), abs=1e-6)
    assert classifier.deviation == pytest.approx(pixels.std(0), abs=1e-6)


def test_class_weights_weigh_cross_entropy(trainer: Trainer) -> None:
    """The first step's loss is the batch's mean of w_y l_i, by scikit-learn's formula."""
    batch = Composition(20, 0, 20, 20, 0).epoch(0)[0]
    changes = {"epochs": 1, "batch_size": 20, "augmentation": Augmentation(), "precision": "float32"}
    _, history = trainer(class_weights="balanced", **changes)
    pixels, labels = torch.from_numpy(trainer.real.images)[batch], torch.from_numpy(trainer.real.labels)[batch]
    network = build(trainer.make_settings().recipe.network, 3, derived_seed(0, "network")).train()
    mean, deviation = (torch.tensor(each) for each in model.channel_statistics(trainer.real.images))
    logits = network(((pixels / 255 - mean) / deviation).permute(0, 3, 1, 2))
    counts = np.bincount(trainer.real.labels)
    assert len(set(counts)) > 1
    each = F.cross_entropy(logits, labels, reduction="none").detach()
    expected = sum(float(one) * 20 / (3 * counts[label]) for one, label in zip(each, labels, strict=True)) / 20
    assert history[0]["cross_entropy"] == pytest.approx(expected, rel=1e-4)
    assert history[0]["cross_entropy"] != pytest.approx(float(each.mean()), rel=1e-4)


def test_class_weights_act_within_either_kind() -> None:
    """Synthetic images of equal classes have the weight 1, whatever the real ones' classes."""
    real, made = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1])
    recipe = RecipeSettings.model_validate(
        {"network": {"name": "resnet8"}, "epochs": 1, "batch_size": 4, "learning_rate": 0.1}
        | {"class_weights": "balanced", "synthetic": {"from": "g", "alpha": 0.75, "form": "weighted", "share": 0.5}}
    )
    found = weights_of_classes(recipe, ["a", "b"], [real, made], CPU)
    assert found is not None
    torch.testing.assert_close(found, torch.tensor([[2 / 3, 2], [1, 1]]))
    step = Step(recipe, *[None] * 4, 2, 4, 0, 1, found)  # type: ignore[arg-type]
    weights = step._weights(torch.tensor([True, True, False, False]), torch.tensor([0, 1, 0, 1]))
    assert weights is not None
    assert weights.tolist() == pytest.approx([0.375 * 2 / 3, 0.375 * 2, 0.125, 0.125])


@pytest.mark.parametrize("changes", [{"sampling": "balanced"}, {"class_weights": {"dog": 3.0}}])
def test_a_balanced_training_resumes_to_the_same_bytes(
    trainer: Trainer, tmp_path: Path, changes: dict[str, Any]
) -> None:
    changes |= {"synthetic": HALF}
    with pytest.raises(KeyboardInterrupt):
        trainer(trainer.synthetic, resume=Interrupted(tmp_path / "state", 3), **changes)
    resumed, _ = trainer(trainer.synthetic, resume=ResumeFile(tmp_path / "state", "job"), **changes)
    whole, _ = trainer(trainer.synthetic, **changes)
    plain, _ = trainer(trainer.synthetic, synthetic=HALF)
    assert state_bytes(resumed) == state_bytes(whole) != state_bytes(plain)


@pytest.mark.parametrize("last", [1, 3, 4, 6])
def test_resumed_equals_undisturbed(
    trainer: Trainer, tmp_path: Path, capsys: pytest.CaptureFixture[str], last: int
) -> None:
    """Broken off within an epoch, between two, and after the last step."""
    with pytest.raises(KeyboardInterrupt):
        trainer(trainer.synthetic, resume=Interrupted(tmp_path / "state", last), synthetic=HALF)
    capsys.readouterr()
    resumed, history = trainer(trainer.synthetic, resume=ResumeFile(tmp_path / "state", "job"), synthetic=HALF)
    assert f"resumed at step {last} of 6" in capsys.readouterr().out
    whole, expected = trainer(trainer.synthetic, synthetic=HALF)
    assert state_bytes(resumed) == state_bytes(whole)
    assert history == expected


def test_state_of_another_job_is_left(trainer: Trainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        trainer(seed=1, resume=Interrupted(tmp_path, 4))
    classifier, _ = trainer(resume=ResumeFile(tmp_path, "another"))
    assert "resumed" not in capsys.readouterr().out
    assert state_bytes(classifier) == state_bytes(trainer()[0])


def test_a_loss_that_is_not_finite_is_named(trainer: Trainer) -> None:
    with pytest.raises(SynthoodError) as caught:
        trainer(learning_rate=1e30)
    found = re.search(
        r"cross_entropy became (nan|inf) at epoch (\d), step (\d) with learning rate (\S+);", str(caught.value)
    )
    assert found is not None
    epoch, step = int(found[2]), int(found[3])
    assert epoch == step // 3
    rate = learning_rate(trainer.make_settings(learning_rate=1e30).recipe, step, 6)
    assert found[4] == f"{rate:.3g}"


def test_history_has_a_row_per_epoch(trainer: Trainer) -> None:
    classifier, history = trainer()
    assert [row["epoch"] for row in history] == [0, 1]
    recipe = trainer.make_settings().recipe
    assert [row["learning_rate"] for row in history] == [learning_rate(recipe, step, 6) for step in (2, 5)]
    assert history[-1]["val_accuracy"] == accuracy(classifier, trainer.validation)
    assert not classifier.network.training


def test_who_wants_to_know_is_told_after_each_epoch(trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[History] = []
    _, _, history = train(
        trainer.make_settings(),
        0,
        trainer.real,
        trainer.validation,
        None,
        CPU,
        ResumeFile(None, ""),
        on_epoch=lambda so_far: told.append(list(so_far)),
    )
    assert told == [history[:1], history]
    lines = [line for line in capsys.readouterr().out.splitlines() if "end of epoch" in line]
    assert lines[1] == "training: end of epoch 1: " + ", ".join(
        f"{key} {history[1][key]:.4g}" for key in ("loss", "accuracy", "val_accuracy")
    )


@pytest.mark.parametrize("choice", ["on", "off", "auto", "graphs"])
def test_the_network_is_compiled_on_demand(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, choice: str) -> None:
    """By a compiler that leaves the arithmetic alone; `auto` compiles on GPUs, which alone have graphs."""
    compiled: list[object] = []

    def compile_eagerly(function: Any, dynamic: bool, mode: str | None) -> Any:
        compiled.append(mode)
        return original(function, backend="eager", dynamic=dynamic)

    original = torch.compile
    monkeypatch.setattr(torch, "compile", compile_eagerly)
    classifier, _ = trainer(compile=choice)
    assert compiled == [None] * (choice in ("on", "graphs"))
    assert state_bytes(classifier) == state_bytes(trainer(compile="off")[0])


@pytest.mark.parametrize(
    ("device", "ranks", "steps", "draws", "graphs"),
    [
        ("cuda", 1, 5000, False, True),
        ("cuda", 1, 5000, True, None),
        ("cuda", 1, 4999, False, None),
        ("cuda", 2, 5000, False, None),
        ("cpu", 1, 5000, False, None),
    ],
)
def test_long_trainings_on_one_gpu_are_replayed_as_graphs(
    monkeypatch: pytest.MonkeyPatch, device: str, ranks: int, steps: int, draws: bool, graphs: bool | None
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, dynamic, mode: function)
    recipe = RecipeSettings(network=Network(name="resnet8"), epochs=1, batch_size=2, learning_rate=1.0)
    network = build(recipe.network, 3, seed=0)
    network.draws = draws
    found = features_of(network, recipe, torch.device(device), Ranks(0, ranks), steps)
    assert (found.graphs if isinstance(found, Compiled) else None) == graphs


def test_training_learns_the_toy(trainer: Trainer) -> None:
    _, history = trainer(epochs=12, learning_rate=0.1)
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    assert history[-1]["val_accuracy"] > 0.6


def schedule(total: int, **changes: Any) -> list[float]:
    values = {"network": Network(name="resnet8"), "epochs": 1, "batch_size": 2, "learning_rate": 1.0}
    recipe = RecipeSettings(**(values | {"final_learning_rate": 0.2} | changes))
    return [learning_rate(recipe, step, total) for step in range(total)]


def test_learning_rate_by_hand() -> None:
    """Four steps up, four down the cosine from 1 to 0.2, whose end would be step 8."""
    falling = [0.2 + 0.4 * (1 + math.cos(math.pi * k / 4)) for k in range(4)]
    assert schedule(8, warmup=0.5) == pytest.approx([0.25, 0.5, 0.75, 1.0, *falling])
    assert schedule(4) == pytest.approx(falling)
    assert schedule(12, restarts=2) == pytest.approx(3 * falling)
    assert schedule(12, warmup=1 / 3, restarts=1) == pytest.approx([0.25, 0.5, 0.75, 1.0, *2 * falling])
    assert schedule(3, warmup=0.99) == pytest.approx([1 / 3, 2 / 3, 1.0])


@pytest.fixture
def other_model(trainer: Trainer, tmp_path: Path) -> Path:
    classifier, _ = trainer(seed=5)
    classifier.save(tmp_path / "other")
    return tmp_path / "other"


def test_warm_start_copies_the_weights(trainer: Trainer, other_model: Path) -> None:
    """With a learning rate of almost nothing they stay; the running statistics move on."""
    still = {"learning_rate": 1e-12, "final_learning_rate": 1e-12}
    warm, _ = trainer(warm_start=other_model, **still)
    cold, _ = trainer(**still)
    weights = dict(Classifier.load(other_model).network.named_parameters())
    for name, parameter in warm.network.named_parameters():
        torch.testing.assert_close(parameter, weights[name], rtol=0, atol=1e-9)
    assert not torch.allclose(cold.network.head.weight, weights["head.weight"], atol=1e-3)


def test_warm_start_changes_the_result(trainer: Trainer, other_model: Path) -> None:
    assert state_bytes(trainer(warm_start=other_model)[0]) != state_bytes(trainer()[0])


def test_warm_start_from_another_network_is_an_error(trainer: Trainer, other_model: Path) -> None:
    with pytest.raises(SynthoodError, match="other: a warm start needs the same network and classes"):
        trainer(warm_start=other_model, network=Network(name="resnet8", width=9))


def test_teacher_changes_the_result_and_its_weight_counts(trainer: Trainer, other_model: Path) -> None:
    plain = state_bytes(trainer()[0])
    taught, again, weaker, hotter = (
        state_bytes(trainer(teacher_model=other_model, teacher=Teacher(recipe="t", **values))[0])
        for values in ({}, {}, {"logit_weight": 1.0}, {"temperature": 3.0})
    )
    assert taught == again
    assert len({tuple(state.values()) for state in (plain, taught, weaker, hotter)}) == 4


def test_teacher_draws_the_student_to_itself(trainer: Trainer, other_model: Path) -> None:
    teacher = Classifier.load(other_model)
    target, _ = logits_and_features(teacher, trainer.real.images, CPU)

    def distance(**changes: Any) -> float:
        logits, _ = logits_and_features(trainer(epochs=8, **changes)[0], trainer.real.images, CPU)
        return float((logits.softmax(1) - target.softmax(1)).abs().mean())

    taught = distance(teacher_model=other_model, teacher=Teacher(recipe="t", logit_weight=20.0))
    assert taught < 0.8 * distance()


def test_teacher_of_other_classes_is_an_error(trainer: Trainer, other_model: Path) -> None:
    others = ["cat", "dog", "yak"]
    trainer.real, trainer.validation = (trainer.make_images(*which, classes=others) for which in ((20, 0), (9, 1)))
    with pytest.raises(SynthoodError, match=r"other: the teacher's classes are .*; distil a teacher of the same"):
        trainer(teacher_model=other_model, teacher=Teacher(recipe="t"))


def test_without_terms_training_is_stochastic_gradient_descent_on_cross_entropy(trainer: Trainer) -> None:
    """To the last bit, written out here again; nothing is learned beside the network."""
    found, terms, history = trainer.with_terms()
    recipe = trainer.make_settings().recipe
    network = build(recipe.network, 3, derived_seed(0, "network")).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    batches = [batch for epoch in (0, 1) for batch in Composition(20, 0, 8, 8, 0).epoch(epoch)]
    images, labels = torch.from_numpy(trainer.real.images), torch.from_numpy(trainer.real.labels)
    prepared = recipe.augmentation.prepared(found.normalised, 8, 8, 0, torch.device("cpu"))
    for step, chosen in enumerate(batches):
        optimizer.param_groups[0]["lr"] = learning_rate(recipe, step, 6)
        inputs = prepared(images[chosen], generator(0, "augmentation", step))
        loss = F.cross_entropy(network(inputs.contiguous(memory_format=torch.channels_last)), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert module_bytes(network) == state_bytes(found)
    assert len(terms) == 0
    columns = ["epoch", "loss", "cross_entropy", "accuracy", "learning_rate", "val_accuracy"]
    assert [list(row) for row in history] == [columns, columns]
    assert all(row["loss"] == row["cross_entropy"] for row in history)


def test_a_teacher_of_no_weight_changes_nothing(trainer: Trainer, other_model: Path) -> None:
    silent = Teacher(recipe="t", logit_weight=0)
    assert state_bytes(trainer(teacher_model=other_model, teacher=silent)[0]) == state_bytes(trainer()[0])


TERMS = {
    "logit_distillation",
    "feature_distillation",
    "boundary_alignment",
    "boundary_contrast",
    "latent_alignment",
    "latent_contrast",
}


@pytest.fixture
def everything(trainer: Trainer, other_model: Path, make_outliers: Any) -> dict[str, Any]:
    """Changes of a recipe that distils a teacher and contrasts both kinds of outliers."""
    return {
        "teacher_model": other_model,
        "teacher": Teacher(recipe="t", feature_weight=8.0),
        "outlier_set": make_outliers(trainer.real.labels),
        "outliers": OUTLIERS,
    }


def test_terms_are_reproducible(trainer: Trainer, everything: dict[str, Any]) -> None:
    torch.manual_seed(1)
    first, terms, history = trainer.with_terms(**everything)
    torch.manual_seed(2)
    second, same, again = trainer.with_terms(**everything)
    _, other, _ = trainer.with_terms(seed=1, **everything)
    assert state_bytes(first) == state_bytes(second)
    assert module_bytes(terms) == module_bytes(same)
    assert history == again
    assert all(value != module_bytes(other)[key] for key, value in module_bytes(terms).items())
    assert not terms.training


@pytest.mark.parametrize("last", [1, 3, 4, 6])
@pytest.mark.parametrize("form", ["cosine", "released"])
def test_resumed_terms_equal_undisturbed_ones(
    trainer: Trainer, everything: dict[str, Any], tmp_path: Path, last: int, form: str
) -> None:
    """Heads, their optimiser's moments, prototypes, and the statistics of the released adapter."""
    everything["teacher"] = Teacher.model_validate({"recipe": "t", "feature_weight": 8.0, "feature_form": form})
    with pytest.raises(KeyboardInterrupt):
        trainer.with_terms(resume=Interrupted(tmp_path / "state", last), **everything)
    resumed, terms, history = trainer.with_terms(resume=ResumeFile(tmp_path / "state", "job"), **everything)
    whole, expected_terms, expected = trainer.with_terms(**everything)
    assert state_bytes(resumed) == state_bytes(whole)
    assert module_bytes(terms) == module_bytes(expected_terms)
    assert history == expected


@pytest.mark.parametrize("estimator", ["club", "club-released"])
def test_resumed_club_equals_undisturbed(
    trainer: Trainer, everything: dict[str, Any], tmp_path: Path, estimator: str
) -> None:
    everything["outliers"] = OUTLIERS.model_copy(update={"estimator": estimator})
    with pytest.raises(KeyboardInterrupt):
        trainer.with_terms(resume=Interrupted(tmp_path / "state", 4), **everything)
    resumed, terms, _ = trainer.with_terms(resume=ResumeFile(tmp_path / "state", "job"), **everything)
    whole, expected, _ = trainer.with_terms(**everything)
    assert state_bytes(resumed) == state_bytes(whole)
    assert module_bytes(terms) == module_bytes(expected)


def test_history_has_a_column_for_each_term(trainer: Trainer, everything: dict[str, Any]) -> None:
    """They sum to the loss, weights being part of them."""
    _, terms, history = trainer.with_terms(**everything)
    assert list(terms) == ["distillation", "boundary", "latent"]
    for row in history:
        names = TERMS | {"cross_entropy"}
        assert row.keys() == names | {"epoch", "loss", "accuracy", "learning_rate", "val_accuracy"}
        assert row["loss"] == pytest.approx(sum(row[name] for name in names), rel=1e-5)
        assert all(math.isfinite(value) and value > 0 for name, value in row.items() if name in names)


def test_each_term_changes_the_network(trainer: Trainer, everything: dict[str, Any]) -> None:
    without = {
        "boundary": {"outliers": OUTLIERS.model_copy(update={"boundary_weight": 0.0})},
        "latent": {"outliers": OUTLIERS.model_copy(update={"latent_weight": 0.0})},
        "both": {"outliers": None},
        "features": {"teacher": Teacher(recipe="t")},
        "teacher": {"teacher": None},
        "nothing": {},
    }
    states = {tuple(state_bytes(trainer(**(everything | change))[0]).values()) for change in without.values()}
    assert len(states) == len(without)


def test_the_heads_have_a_learning_rate_of_their_own(trainer: Trainer, everything: dict[str, Any]) -> None:
    """With almost none they stay where the seed put them, while the network moves."""
    _, still, _ = trainer.with_terms(head_learning_rate=1e-12, **everything)
    _, moved, _ = trainer.with_terms(**everything)
    features = trainer()[0].network.head.in_features
    begun = terms_of([OUTLIERS], Context(features, 3, outliers=everything["outlier_set"]), seed=0)
    for name, parameter in begun.named_parameters():
        torch.testing.assert_close(still.get_parameter(name), parameter, rtol=0, atol=1e-9)
        assert not torch.allclose(moved.get_parameter(name), parameter, rtol=0, atol=1e-4)


def test_terms_learn(trainer: Trainer, everything: dict[str, Any]) -> None:
    _, history = trainer(epochs=12, head_learning_rate=1e-2, **everything)
    for name in TERMS:
        assert history[-1][name] < history[0][name]
    assert history[-1]["boundary_alignment"] < 0.5 * history[0]["boundary_alignment"]


def test_outliers_and_synthetic_images_go_together(trainer: Trainer, everything: dict[str, Any]) -> None:
    """Rows of synthetic images lie beyond the embeddings of the real ones."""
    mixed, history = trainer(trainer.synthetic, synthetic=HALF, **everything)
    plain, _ = trainer(**everything)
    assert state_bytes(mixed) != state_bytes(plain)
    assert all(math.isfinite(row["loss"]) for row in history)


@pytest.mark.parametrize("change", ["club", "club-released", "released features"])
def test_a_last_batch_of_one_image_is_trained_on(trainer: Trainer, everything: dict[str, Any], change: str) -> None:
    """17 images in batches of 8."""
    trainer.real = ImageSet(trainer.real.images[:17], trainer.real.labels[:17], trainer.real.classes)
    trainer(epochs=1, seed=5)[0].save(everything["teacher_model"])
    token, latent = everything["outlier_set"].token, everything["outlier_set"].latent
    everything["outlier_set"] = OutlierSet(
        *(Space(s.id[:17], s.id_labels[:17], s.outliers, s.outlier_labels) for s in (token, latent))
    )
    if change == "released features":
        everything["teacher"] = Teacher(recipe="t", feature_weight=8.0, feature_form="released")
    else:
        everything["outliers"] = OUTLIERS.model_copy(update={"estimator": change})
    _, history = trainer(epochs=1, **everything)
    assert math.isfinite(history[0]["loss"])


def test_outliers_that_the_recipe_names_must_be_given(trainer: Trainer) -> None:
    with pytest.raises(SynthoodError, match="the recipe names outliers, and none is given"):
        trainer(outliers=OUTLIERS)


def test_outliers_that_the_recipe_does_not_name_change_nothing(trainer: Trainer, everything: dict[str, Any]) -> None:
    given, terms, _ = trainer.with_terms(
        outlier_set=everything["outlier_set"], teacher_model=everything["teacher_model"]
    )
    assert state_bytes(given) == state_bytes(trainer()[0])
    assert len(terms) == 0


@pytest.mark.parametrize("which", ["validation", "synthetic"])
def test_sets_of_other_classes_or_sizes_are_errors(trainer: Trainer, which: str) -> None:
    sets = {"validation": trainer.validation, "synthetic": trainer.synthetic}
    sets[which] = trainer.make_images(7, 2, classes=["cat", "owl", "dog"])
    trainer.validation = sets["validation"]
    with pytest.raises(SynthoodError, match=rf"the {which} images have classes \['cat', 'owl', 'dog'\]"):
        trainer(sets["synthetic"], synthetic=HALF)
    sets[which] = trainer.make_images(7, 2, side=10)
    trainer.validation = sets["validation"]
    with pytest.raises(SynthoodError, match=rf"the {which} images are \(10, 10, 3\), the training images \(8, 8, 3\)"):
        trainer(sets["synthetic"], synthetic=HALF)


def test_a_batch_larger_than_the_set_is_an_error(trainer: Trainer) -> None:
    with pytest.raises(SynthoodError, match="batch_size 21 is larger than the 20 training images"):
        trainer(batch_size=21)


def test_missing_synthetic_images_are_an_error(trainer: Trainer) -> None:
    with pytest.raises(SynthoodError, match=r"alpha 0\.5 asks for synthetic images, and none are given"):
        trainer(None, synthetic=HALF)


def test_a_class_that_the_synthetic_images_lack_is_an_error(trainer: Trainer) -> None:
    without = ImageSet(trainer.synthetic.images, trainer.synthetic.labels % 2, trainer.real.classes)
    with pytest.raises(SynthoodError, match=r"the synthetic images have none of 1 of the 3 classes \(owl\); make more"):
        trainer(without, synthetic=HALF)
    assert len(trainer(without, synthetic=WHOLE)[1]) == 2  # of which none are used


def test_logits_and_features_do_not_depend_on_batches(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, _ = trainer(epochs=1)
    classifier.network.train()
    logits, features = logits_and_features(classifier, trainer.real.images, CPU)
    assert (logits.shape, features.shape) == ((20, 3), (20, 32))
    assert (logits.dtype, features.dtype) == (torch.float32, torch.float32)
    head = classifier.network.head
    torch.testing.assert_close(logits, features @ head.weight.detach().T + head.bias.detach())
    monkeypatch.setattr(model, "EVALUATION_BATCH", 3)
    for whole, pieces in zip(
        (logits, features), logits_and_features(classifier, trainer.real.images, CPU), strict=True
    ):
        torch.testing.assert_close(whole, pieces)


def test_accuracy_by_hand(trainer: Trainer) -> None:
    """A head that always says class 1."""
    classifier, _ = trainer(epochs=1)
    with torch.no_grad():
        classifier.network.head.weight.zero_()
        classifier.network.head.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    assert accuracy(classifier, trainer.validation) == pytest.approx(np.mean(trainer.validation.labels == 1))
