"""A frozen backbone: cached features, heads that are trained on them, and the models that come out."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from command_lines import writing
from synthood.common.images import ImageSet, write_images
from synthood.common.iterate import ResumeFile
from synthood.errors import SynthoodError
from synthood.evaluation import extract
from synthood.evaluation.feature_files import FeatureFolder
from synthood.training import backbone_features
from synthood.training import train as stage
from synthood.training.fit import train
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.from_torchvision import TorchvisionNetwork
from synthood.training.networks.frozen import FeatureSet, backbone_digest, drawn_view, open_features
from synthood.training.networks.model import Classifier, inputs_of, logits_and_features
from synthood.training.networks.pretrained import initial
from synthood.training.settings import RecipeSettings, TrainSettings

NAME = "torchvision/shufflenet_v2_x0_5"
CPU = torch.device("cpu")
HEADS = [{"kind": "linear"}, {"kind": "cosine", "scale": 8.0}, {"kind": "mlp", "width": 12}]
VIEWS = {"augmentation": {"flip": True, "shift": 2}, "views": 2}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, make_images: Any) -> Path:
    """Weights of another task with statistics of their own, images of four sets, and features of them."""
    place = tmp_path_factory.mktemp("frozen")
    other = build(TorchvisionNetwork(name=NAME), 7, seed=3)
    seen = torch.from_numpy(make_images(24, 0, side=32).images).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        for _ in range(30):
            other((seen - seen.mean()) / seen.std())
    save_file({key: value.contiguous() for key, value in other.state_dict().items()}, place / "weights.safetensors")
    for name, count, seed in (("train", 24, 0), ("val", 9, 1), ("test", 12, 2), ("block0", 15, 4)):
        write_images(place / f"{name}.safetensors", make_images(count, seed, side=32))
    outliers = make_images(10, 3, side=32)
    write_images(place / "out.safetensors", ImageSet.out_of_distribution(255 - outliers.images))
    for name in ("train", "val", "test", "block0", "out"):
        features(place, name, {})
        features(place, name, VIEWS)
    return place


def features(place: Path, name: str, more: dict[str, Any]) -> Path:
    output = place / f"{name}-{more.get('views', 0)}.safetensors"
    settings = {"network": network(place), **more}
    given = ["--images", place / f"{name}.safetensors", "--train", place / "train.safetensors"]
    line = ["--settings", json.dumps(settings), *given, *writing(backbone_features.main, [output])]
    backbone_features.main([str(part) for part in line])
    return output


def network(place: Path, **more: Any) -> dict[str, Any]:
    return {"name": NAME, "pretrained": str(place / "weights.safetensors"), "freeze": "backbone"} | more


def recipe(place: Path, **more: Any) -> RecipeSettings:
    given = {"network": network(place), "epochs": 2, "batch_size": 8, "learning_rate": 0.01, "optimizer": "adamw"}
    return RecipeSettings.model_validate_json(json.dumps(given | more))


def opened(place: Path, name: str, views: int = 0) -> FeatureSet:
    return open_features(place / f"{name}-{views}.safetensors")


def fitted(place: Path, settings: RecipeSettings, **more: Any) -> tuple[Classifier, Any, list[dict[str, float]]]:
    synthetic = opened(place, "block0", settings.views) if settings.synthetic else None
    exposed = opened(place, "out", settings.views).images if settings.exposure else None
    sets = opened(place, "train", settings.views), opened(place, "val"), synthetic
    return train(TrainSettings(recipe=settings), 0, *sets, CPU, ResumeFile(None, ""), exposed=exposed, **more)


def test_the_clean_view_is_what_the_pretrained_network_gives(place: Path) -> None:
    found = opened(place, "test", 2)
    whole = initial(TorchvisionNetwork(**network(place)), 3, seed=9).eval()
    images = backbone_features.opened(place / "test.safetensors")
    classifier = Classifier(TorchvisionNetwork(name=NAME), found.classes, found.mean, found.deviation, whole)
    expected = logits_and_features(classifier, images.images, CPU)[1]
    assert found.images.shape == (12, 3, 1024)
    np.testing.assert_allclose(found.images[:, 0], expected, atol=1e-5)
    np.testing.assert_array_equal(found.labels, images.labels)
    assert np.abs(found.images[:, 1] - found.images[:, 2]).max() > 0.01
    assert found.backbone == backbone_digest(whole)


def test_an_augmented_view_depends_on_its_image_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = opened(place, "test", 2).images
    monkeypatch.setattr(backbone_features, "BATCH", 5)
    output = features(place, "test", VIEWS)
    np.testing.assert_allclose(open_features(output).images, expected, atol=1e-5)


def test_a_view_is_drawn_for_each_sample() -> None:
    sets = torch.arange(2000).view(1000, 2, 1).float()
    drawn = drawn_view(sets, torch.Generator().manual_seed(0))[:, 0]
    second = drawn - 2 * torch.arange(1000)
    assert set(second.tolist()) == {0.0, 1.0}
    assert 430 < second.sum() < 570
    assert torch.equal(drawn_view(sets[:, :1], torch.Generator()), sets[:, 0])


def test_a_linear_head_starts_small(place: Path) -> None:
    rate = {"learning_rate": 1e-9, "final_learning_rate": 0.0}
    classifier, _, history = fitted(place, recipe(place, **rate))
    assert float(classifier.network.head.weight.detach().std()) == pytest.approx(1e-3, rel=1e-3)
    assert history[0]["loss"] == pytest.approx(math.log(3), abs=0.01)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head["kind"])
@pytest.mark.parametrize("views", [0, 2])
def test_extraction_from_cached_features_gives_the_ordinary_numbers(
    place: Path, tmp_path: Path, head: dict[str, Any], views: int
) -> None:
    settings = TrainSettings(recipe=recipe(place, network=network(place, head=head), **(VIEWS if views else {})))
    outputs = [tmp_path / name for name in ("model.safetensors", "history.csv", "heads.safetensors")]
    given = ["--train", place / f"train-{views}.safetensors", "--val", place / "val-0.safetensors", "--seed", 0]
    line = ["--settings", settings.canonical(), *given, *writing(stage.main, outputs)]
    stage.main([str(part) for part in line])
    names, clean = ["train", "val", "test", "out"], {"train": views}
    images = [place / f"{name}.safetensors" for name in names]
    cached = [place / f"{name}-{clean.get(name, 0)}.safetensors" for name in names]
    for name, more in (("ordinary", []), ("cached", ["--cached", *cached])):
        folder = writing(extract.main, [tmp_path / name])
        extract.main([str(part) for part in ["--model", outputs[0], "--images", *images, *more, *folder]])
    ordinary, quick = (FeatureFolder(tmp_path / name) for name in ("ordinary", "cached"))
    for name in names:
        one, other = ordinary.part(name), quick.part(name)
        torch.testing.assert_close(one.logits, other.logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(one.features, other.features, atol=1e-5, rtol=1e-5)
        assert torch.equal(one.labels, other.labels)
    model = Classifier.load(outputs[0])
    assert backbone_digest(model.network) == opened(place, "val").backbone
    if head["kind"] == "cosine":
        torch.testing.assert_close(model.network.head.weight.norm(dim=1), torch.ones(3))
        torch.testing.assert_close(ordinary.part("test").features.norm(dim=1), torch.full((12,), 8.0))
        assert not model.network.head.bias.any()


def test_features_of_other_images_are_refused(place: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    fitted(place, recipe(place))[0].save(model)
    given = ["--model", model, "--images", place / "test.safetensors", "--cached", place / "val-0.safetensors"]
    with pytest.raises(SystemExit):
        extract.main([str(part) for part in [*given, *writing(extract.main, [tmp_path / "features"])]])


RECIPES: dict[str, dict[str, Any]] = {
    "composition": {"synthetic": {"from": "biggan", "alpha": 0.5}},
    "weighted": {"synthetic": {"from": "biggan", "alpha": 0.8, "form": "weighted", "share": 0.5}},
    "dropout": {"dropout": 0.5},
    "smoothing": {"label_smoothing": 0.1},
    "average": {"weight_average": 0.9},
    "logitnorm": {"normalisation": {"kind": "logitnorm"}, "learning_rate": 1e-4},
    "t2fnorm": {"normalisation": {"kind": "t2fnorm"}},
    "godin": {"normalisation": {"kind": "godin"}},
    "mixup": {"mixing": {"kind": "mixup"}},
    "regmixup": {"mixing": {"kind": "regmixup"}},
    "supcon": {"contrastive": {"kind": "supcon"}},
    "cider": {"contrastive": {"kind": "cider"}},
    "npos": {
        "contrastive": {
            "kind": "npos",
            "start": 0.0,
            "queue": 3,
            "k": 1,
            "boundary_points": 2,
            "candidates": 4,
            "keep_per_point": 2,
        }
    },
    "vos": {"virtual_outliers": {"start": 0.0, "queue": 4, "candidates": 20}},
    "gcos": {"shell_outliers": {"start": 0.0, "queue": 4, "inner": 0.3, "outer": 0.6}},
    "oe": {"exposure": {"kind": "uniform", "from": "out"}},
    "energy": {"exposure": {"kind": "energy", "from": "out"}},
    "logistic": {"exposure": {"kind": "logistic", "from": "out"}},
    "mcd": {"exposure": {"kind": "discrepancy", "from": "out"}},
    "mixoe": {"exposure": {"kind": "mixed", "operation": "mixup", "from": "out"}},
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("head", [HEADS[0], HEADS[2]], ids=lambda head: head["kind"])
def test_methods_on_cached_features(place: Path, name: str, head: dict[str, Any]) -> None:
    """Each learns, repeats itself, and leaves the backbone as it was."""
    settings = recipe(place, network=network(place, head=head), **RECIPES[name], **VIEWS)
    first, _, history = fitted(place, settings)
    second, _, again = fitted(place, settings)
    plain, _, _ = fitted(place, recipe(place, network=network(place, head=head), **VIEWS))
    assert history == again
    assert history[-1]["loss"] < history[0]["loss"] or name in ("oe", "mixup", "mcd", "energy", "vos")
    state, other = first.network.state_dict(), second.network.state_dict()
    assert all(torch.equal(state[key], other[key]) for key in state)
    assert backbone_digest(first.network) == opened(place, "val").backbone
    alone = head["kind"] == "linear" and name in ("supcon", "cider", "npos")
    assert torch.equal(first.network.head.weight, plain.network.head.weight) == alone


def test_a_teacher_and_a_warm_start_on_the_same_features(place: Path, tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    taught, _, _ = fitted(place, recipe(place, epochs=5))
    taught.save(path)
    student = recipe(place, teacher={"recipe": "t", "logit_weight": 50.0, "feature_weight": 1.0}, epochs=5)
    learned, _, history = fitted(place, student, teacher_model=path)
    plain, _, _ = fitted(place, recipe(place, epochs=5, label_smoothing=0.3))
    features = torch.from_numpy(opened(place, "test").images[:, 0])
    wanted = taught.network.head(features)
    near, far = ((model.network.head(features) - wanted).abs().mean() for model in (learned, plain))
    assert near < far
    assert history[-1]["logit_distillation"] < history[0]["logit_distillation"]
    still = recipe(place, warm_start="t", learning_rate=1e-9, final_learning_rate=0.0)
    started, _, _ = fitted(place, still, warm_start=path)
    torch.testing.assert_close(started.network.head.weight, taught.network.head.weight, atol=1e-5, rtol=1e-4)


def test_models_of_another_backbone_are_refused(place: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    other = build(TorchvisionNetwork(name=NAME), 3, seed=8)
    found = opened(place, "val")
    Classifier(TorchvisionNetwork(name=NAME), found.classes, found.mean, found.deviation, other).save(path)
    with pytest.raises(SynthoodError, match=r"other\.safetensors: its backbone has other weights"):
        fitted(place, recipe(place, teacher={"recipe": "t"}), teacher_model=path)
    with pytest.raises(SynthoodError, match=r"other\.safetensors: its backbone has other weights"):
        fitted(place, recipe(place, warm_start="t"), warm_start=path)


def test_images_and_features_are_not_confused(place: Path, make_images: Any, make_settings: Any) -> None:
    nothing = ResumeFile(None, "")
    images = make_images(24, 0, side=32)
    with pytest.raises(SynthoodError, match="the recipe needs features of a frozen backbone"):
        train(TrainSettings(recipe=recipe(place)), 0, images, images, None, CPU, nothing)
    cached = opened(place, "train")
    with pytest.raises(SynthoodError, match="the recipe cannot take features of a frozen backbone"):
        train(make_settings(), 0, cached, cached, None, CPU, nothing)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"rotation": {}}, "rotation cannot learn from cached features: it turns images"),
        ({"mixing": {"kind": "cutmix"}}, "mixing.kind cutmix cannot learn from cached features: it puts boxes"),
        ({"consistency": {}}, "consistency cannot learn from cached features: it mixes augmented images"),
        ({"outliers": {"from": "oal"}}, "outliers cannot learn from cached features: its contrast moves the features"),
        ({"exposure": {"kind": "mixed", "from": "out"}}, "operation cutmix cannot learn from cached features"),
        ({"augmentation": {"flip": True}}, "augmentation without views"),
        ({"views": 2}, "views without augmentation"),
        ({"augmentation": {"pixmix": {"pictures": "p"}}, "views": 1}, "pixmix.pictures does not go with a frozen"),
        ({"network": {"name": NAME, "freeze": "backbone"}}, "freeze needs weights that are worth keeping"),
        ({"network": {"name": "resnet8"}, "views": 2}, "views are of cached features"),
    ],
)
def test_what_needs_pixels_is_refused_by_name(place: Path, more: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        recipe(place, **more)


@pytest.mark.parametrize("head", HEADS[1:], ids=lambda head: head["kind"])
def test_a_head_above_a_network_that_is_trained_as_a_whole(place: Path, tmp_path: Path, head: dict[str, Any]) -> None:
    images = backbone_features.opened(place / "train.safetensors")
    settings = recipe(place, network=network(place, head=head, freeze="none"), epochs=1)
    model, _, _ = train(TrainSettings(recipe=settings), 0, images, images, None, CPU, ResumeFile(None, ""))
    model.save(tmp_path / "model")
    again = Classifier.load(tmp_path / "model")
    inputs = next(inputs_of(model, images.images, CPU))
    torch.testing.assert_close(again.network(inputs), model.network.eval()(inputs))
    assert backbone_digest(again.network) != opened(place, "val").backbone
