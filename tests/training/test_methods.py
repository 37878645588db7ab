"""Every method in the training loop: it learns, changes the result, resumes to the same bytes, and can be loaded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.errors import SynthoodError
from synthood.training.batches import sample_weights
from synthood.training.fit import History, train
from synthood.training.networks.model import Classifier, logits_and_features
from synthood.training.settings import RecipeSettings, TrainSettings
from synthood.training.terms.losses import cross_entropy
from toy_training import random

CPU = torch.device("cpu")
SYNTHETIC = {"synthetic": {"from": "g", "alpha": 0.5}}
NPOS = {"queue": 4, "k": 2, "boundary_points": 3, "points_per_step": 2, "candidates": 20, "keep_per_point": 3}
EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE = EXAMPLES / "custom_loss/center_loss.py"
PATCH = {"file": str(EXAMPLES / "custom_augmentation/patch_gaussian.py"), "function": "patch_gaussian"}
MIXER = {"kind": "custom", "file": str(EXAMPLES / "custom_network/conv_mixer.py"), "class": "ConvMixer"}
METHODS: dict[str, dict[str, Any]] = {
    "randaugment": {"augmentation": {"randaugment": {}}},
    "resized-crop": {"augmentation": {"resized_crop": {}}},
    "augmix": {"augmentation": {"augmix": {}}},
    "pixmix": {"augmentation": {"pixmix": {"fractals": 4}}},
    "cutmix": {"mixing": {"kind": "cutmix"}},
    "mixup": {"mixing": {"kind": "mixup", "probability": 0.5}},
    "regmixup": {"mixing": {"kind": "regmixup"}},
    "logitnorm": {"normalisation": {"kind": "logitnorm", "temperature": 0.2}},
    "t2fnorm": {"normalisation": {"kind": "t2fnorm"}},
    "dropout": {"dropout": 0.3},
    "exposure": {"exposure": {"kind": "uniform", "from": "o"}},
    "energy": {"exposure": {"kind": "energy", "from": "o", "m_in": -3.0, "m_out": -1.0}},
    "logistic": {"exposure": {"kind": "logistic", "from": "o", "weight": 0.5}},
    "rotation": {"rotation": {}},
    "supcon": {"contrastive": {"kind": "supcon", "dimensions": 8}},
    "cider": {"contrastive": {"kind": "cider", "dimensions": 8}},
    "godin": {"normalisation": {"kind": "godin"}},
    "godin-euclid": {"normalisation": {"kind": "godin", "similarity": "euclid"}},
    "mixoe": {"exposure": {"kind": "mixed", "from": "o"}},
    "mcd": {"exposure": {"kind": "discrepancy", "from": "o", "start": 0.3}},
    "consistency": {"consistency": {"width": 1, "weight": 1.0}},
    "npos": {"contrastive": {"kind": "npos", "dimensions": 8, "start": 0.2, **NPOS}},
    "vaze": {"label_smoothing": 0.1, "restarts": 1, "augmentation": {"randaugment": {"operations": 1}}},
    "vos": {"virtual_outliers": {"queue": 4, "candidates": 50, "start": 0.2}},
    "gcos": {"shell_outliers": {"queue": 4, "inner": 0.5, "outer": 0.8, "start": 0.2, "calibration": "pooled"}},
    "gcos-old": {
        "shell_outliers": {"queue": 4, "inner": 0.3, "outer": 0.6, "start": 0.0, "refit": 4, "loss": "logistic"}
    },
    "ascood": {
        "network": {"name": "resnet8", "width": 8, "head": {"kind": "standardised"}},
        "attributed_outliers": {"strength": 3.0, "final_strength": 1.0, "weight": 0.3},
    },
    "ascood-shuffle": {"attributed_outliers": {"form": "shuffle", "weight": 0.3}},
    "custom": {"custom": {"file": str(EXAMPLE), "class": "CenterLoss", "values": {"weight": 0.1}}},
    "custom-network": {
        "network": MIXER | {"values": {"width": 8, "depth": 1, "patch": 2}},
        "augmentation": {"custom": PATCH | {"values": {"side": 3}}},
    },
    "together": {"exposure": {"kind": "uniform", "from": "o"}, "rotation": {}, "mixing": {"kind": "regmixup"}},
}
BASE = {
    "network": {"name": "resnet8", "width": 8},
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 0.05,
    "augmentation": {"shift": 1, "flip": True},
}


class Interrupted(ResumeFile):
    """Saves after every step, and breaks off once `last` steps are saved."""

    def __init__(self, path: Path, last: int) -> None:
        super().__init__(path, "job", save_seconds=0)
        self.last = last

    def save(self, name: str, state: dict[str, Any]) -> None:
        super().save(name, state)
        if state["step"] == self.last:
            raise KeyboardInterrupt


def recipe(name: str | None, **more: Any) -> RecipeSettings:
    method = METHODS[name] if name else {}
    augmentation = {"augmentation": BASE["augmentation"] | method.get("augmentation", {})}  # type: ignore[operator]
    return RecipeSettings.model_validate(BASE | method | augmentation | more)


class Trainer:
    def __init__(self, make_images: Any) -> None:
        self.real, self.validation, self.synthetic = make_images(20, 0), make_images(9, 1), make_images(7, 2)

    def __call__(self, settings: RecipeSettings, resume: ResumeFile | None = None) -> tuple[Classifier, History]:
        synthetic: ImageSet | None = self.synthetic if settings.synthetic else None
        whole = TrainSettings(recipe=settings, precision="float32")
        resume = resume or ResumeFile(None, "")
        exposed = 255 - self.real.images if settings.exposure else None
        classifier, _, history = train(whole, 0, self.real, self.validation, synthetic, CPU, resume, exposed=exposed)
        return classifier, history


@pytest.fixture
def trainer(make_images: Any) -> Trainer:
    return Trainer(make_images)


@pytest.fixture(scope="module")
def plain(make_images: Any) -> list[bytes]:
    """What training gives without a method."""
    return state_bytes(Trainer(make_images)(recipe(None, **SYNTHETIC))[0])


def state_bytes(classifier: Classifier) -> list[bytes]:
    return [value.contiguous().numpy().tobytes() for value in classifier.network.state_dict().values()]


@pytest.mark.parametrize("name", list(METHODS))
def test_method_changes_the_result_and_resumes_to_the_same_bytes(
    trainer: Trainer, plain: list[bytes], name: str, tmp_path: Path
) -> None:
    whole, history = trainer(recipe(name, **SYNTHETIC))
    assert state_bytes(whole) != plain
    with pytest.raises(KeyboardInterrupt):
        trainer(recipe(name, **SYNTHETIC), Interrupted(tmp_path, 4))
    resumed, same = trainer(recipe(name, **SYNTHETIC), ResumeFile(tmp_path, "job"))
    assert state_bytes(resumed) == state_bytes(whole)
    assert same == history


@pytest.mark.parametrize("name", list(METHODS))
def test_method_learns_and_its_file_gives_the_same_logits(trainer: Trainer, name: str, tmp_path: Path) -> None:
    classifier, history = trainer(recipe(name, epochs=10, learning_rate=0.1))
    assert history[-1]["cross_entropy"] < 0.9 * history[0]["cross_entropy"]
    assert history[-1]["val_accuracy"] > 0.55
    classifier.save(tmp_path / "model")
    images = trainer.validation.images
    expected = logits_and_features(classifier, images, CPU)
    found = logits_and_features(Classifier.load(tmp_path / "model"), images, CPU)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert np.isfinite(expected[0].numpy()).all()


def test_outlier_images_that_the_recipe_names_must_be_given(trainer: Trainer) -> None:
    whole = TrainSettings(recipe=recipe("exposure"), precision="float32")
    with pytest.raises(SynthoodError, match="the recipe names outlier images, and none is given"):
        train(whole, 0, trainer.real, trainer.validation, None, CPU, ResumeFile(None, ""))


def test_exposure_lowers_confidence_on_outliers(trainer: Trainer) -> None:
    def confidence(classifier: Classifier) -> float:
        logits, _ = logits_and_features(classifier, 255 - trainer.real.images, CPU)
        return float(logits.softmax(1).amax(1).mean())

    plain, _ = trainer(recipe(None, epochs=10, learning_rate=0.1))
    exposed, _ = trainer(recipe("exposure", epochs=10, learning_rate=0.1))
    assert confidence(exposed) < confidence(plain) - 0.1


def test_images_that_are_no_squares_cannot_be_turned(trainer: Trainer) -> None:
    for images in (trainer.real, trainer.validation):
        object.__setattr__(images, "images", np.ascontiguousarray(images.images[:, :6]))
    with pytest.raises(SynthoodError, match="images of 6 x 8 pixels cannot be turned by 90 degrees"):
        trainer(recipe("rotation"))


@pytest.mark.parametrize("form", ["cosine", "euclid"])
def test_a_divided_layer_is_settled_in_the_average_too(trainer: Trainer, form: str) -> None:
    more = {"kind": "godin", "similarity": form}
    for average in (None, 0.5):
        classifier, _ = trainer(recipe(None, normalisation=more, weight_average=average))
        head = classifier.network.head
        if form == "cosine":
            torch.testing.assert_close(head.weight.norm(dim=1), torch.ones(3))
            assert not head.bias.any()
        else:
            torch.testing.assert_close(head.bias, -head.weight.square().sum(1) / 4)


def test_released_vos_leaves_the_network_as_cross_entropy_does(trainer: Trainer) -> None:
    """Its energies carry no gradient, so only the logistic layer learns."""
    plain, _ = trainer(recipe(None))
    released, history = trainer(recipe(None, virtual_outliers={"queue": 2, "start": 0.0, "implementation": "released"}))
    assert state_bytes(released) == state_bytes(plain)
    assert history[-1]["virtual_outliers"] > 0


WEIGHTED = {"from": "g", "alpha": 0.75, "form": "weighted", "share": 0.5}


def test_weights_equal_the_composition_at_its_share(trainer: Trainer) -> None:
    """alpha = n_real / B: the same losses up to rounding; elsewhere not."""
    terms: dict[str, Any] = {"rotation": {}, "exposure": {"kind": "mixed", "from": "o"}, "label_smoothing": 0.1}
    terms |= {"consistency": {"width": 1, "weight": 0.5}}
    composed, history = trainer(recipe(None, **terms, synthetic={"from": "g", "alpha": 0.5}))
    weighted, same = trainer(recipe(None, **terms, synthetic={"from": "g", "alpha": 0.5, "form": "weighted"}))
    _, other = trainer(recipe(None, **terms, synthetic=WEIGHTED))
    for key in ("loss", "cross_entropy", "rotation", "exposure", "consistency"):
        assert same[0][key] == pytest.approx(history[0][key], abs=1e-4)
        assert other[0][key] != pytest.approx(history[0][key], abs=1e-4)
    for one, two in zip(composed.network.parameters(), weighted.network.parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=2e-3, rtol=0)


def test_the_objective_is_two_weighted_means(trainer: Trainer) -> None:
    logits, labels = torch.randn((6, 3), generator=random(), dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    is_real = torch.tensor([True, False, True, True, False, False])
    weights = sample_weights(is_real, 0.7)
    assert float(weights.sum()) == pytest.approx(1)
    apart = [torch.nn.functional.cross_entropy(logits[chosen], labels[chosen]) for chosen in (is_real, ~is_real)]
    found = cross_entropy(logits, labels, 0.0, weights)
    assert float(found) == pytest.approx(float(0.7 * apart[0] + 0.3 * apart[1]), abs=1e-6)


def test_weights_and_shares_of_the_settings() -> None:
    made = recipe(None, synthetic=WEIGHTED)
    assert (made.real_per_batch, made.effective_alpha, made.weighted) == (4, 0.75, True)
    alone = recipe(None, synthetic=WEIGHTED | {"share": None})
    assert (alone.real_per_batch, alone.effective_alpha) == (6, 0.75)
    assert not recipe(None, synthetic={"from": "g", "alpha": 1.0, "form": "weighted"}).weighted


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"mixing": {"kind": "cutmix"}}, "`mixing.kind cutmix` is not; take form: composition"),
        ({"contrastive": {"kind": "supcon"}}, "`contrastive.kind supcon` is not"),
        ({"contrastive": {"kind": "npos"}}, "`contrastive.kind npos` is not"),
        ({"virtual_outliers": {}}, "`virtual_outliers` is not"),
        ({"outliers": {"from": "o"}}, "`outliers` is not"),
        ({"teacher": {"recipe": "t", "feature_form": "released"}}, "`teacher` is not"),
        ({"synthetic": {"from": "g", "alpha": 0.5, "share": 0.5}}, "share goes with form: weighted"),
        ({"synthetic": WEIGHTED | {"share": 0.01}}, "take share from 1/8 to just below 1"),
    ],
)
def test_where_only_the_composition_holds(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(None, **({"synthetic": WEIGHTED} | more))


def test_virtual_outliers_need_features_as_they_are() -> None:
    with pytest.raises(ValidationError, match="which t2fnorm does not train on"):
        recipe("t2fnorm", virtual_outliers={})


def test_shells_need_features_as_they_are() -> None:
    with pytest.raises(ValidationError, match="which t2fnorm does not train on"):
        recipe("t2fnorm", shell_outliers={})


def test_attributions_need_pixels() -> None:
    frozen = {"name": "timm/resnet18", "pretrained": "weights", "freeze": "backbone"}
    with pytest.raises(ValidationError, match="attributed_outliers cannot learn from cached features: its outliers"):
        RecipeSettings.model_validate(BASE | {"network": frozen, "augmentation": {}, "attributed_outliers": {}})


@pytest.mark.parametrize(
    "more",
    [
        {"shell_outliers": {"calibration": "pooled", "queue": 40}},
        {"virtual_outliers": {"queue": 40}},
        {"contrastive": {"kind": "npos", **NPOS, "queue": 40}},
    ],
)
def test_a_class_whose_queue_is_never_full_is_refused(make_images: Any, more: dict[str, Any]) -> None:
    """One image of the class `owl`, seen once an epoch."""
    trainer, place = Trainer(make_images), next(iter(more))
    trainer.real.labels[trainer.real.labels == 2] = 1
    trainer.real.labels[0] = 2
    name = "contrastive.kind npos" if place == "contrastive" else place
    message = (
        f"{name}: class owl has 1 training images, which 39 epochs show 39 times, so that its queue of 40 features"
    )
    with pytest.raises(SynthoodError, match=message):
        trainer(recipe(None, epochs=39, **more))
    balanced = recipe(None, epochs=39, sampling="balanced", **more)
    for method in balanced.methods:
        method.check_classes({"cat": 6, "dog": 13, "owl": 1}, balanced)


def test_methods_that_want_the_last_layer_as_it_is() -> None:
    with pytest.raises(ValidationError, match="which godin divides as it is"):
        recipe("godin", dropout=0.1)
    for kind in ("logitnorm", "t2fnorm", "godin"):
        with pytest.raises(ValidationError, match="needs two last layers alike"):
            recipe("mcd", normalisation={"kind": kind})


@pytest.mark.parametrize("kind", ["mixed", "discrepancy"])
def test_exposures_of_whole_labels_refuse_blended_ones(kind: str) -> None:
    with pytest.raises(ValidationError, match=f"blends labels, which `exposure.kind {kind}` needs whole"):
        recipe(None, mixing={"kind": "cutmix"}, exposure={"kind": kind, "from": "o"})
    recipe(None, mixing={"kind": "cutmix"}, exposure={"kind": "uniform", "from": "o"})


@pytest.mark.parametrize("kind", ["cutmix", "mixup"])
def test_blended_labels_refuse_terms_of_whole_ones(kind: str) -> None:
    with pytest.raises(ValidationError, match="blends labels, which `outliers` needs whole"):
        recipe(None, mixing={"kind": kind}, outliers={"from": "oal"})
    recipe(None, mixing={"kind": "regmixup"}, outliers={"from": "oal"})
