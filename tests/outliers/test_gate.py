"""The gate keeps what is neither its intended class nor near any ID image, and says where it keeps nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.generators.diffusion import sampling
from synthood.outliers.gate import Verdict, gate, mahalanobis, main, shares
from synthood.outliers.gate_settings import GateSettings
from synthood.training.networks.model import Classifier, logits_and_features

SETTINGS = GateSettings(classifier="ce", keep_per_class=2, k=1, percentile=90.0)
DIRECTIONS, KNOWN = torch.eye(4), torch.arange(2)


def test_each_reason_by_hand() -> None:
    train = DIRECTIONS[:2].repeat(5, 1)
    validation = train + 0.01 * torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    sure, unsure = torch.tensor([9.0, 0.0]), torch.tensor([0.0, 1.0])
    cases = [
        (unsure, DIRECTIONS[2], True),  # far from ID, and not its class
        (sure, DIRECTIONS[2], False),  # still its class
        (unsure, DIRECTIONS[1], False),  # another ID class
        (unsure, 7 * DIRECTIONS[3], True),  # far whatever its length
    ]
    logits, features = (torch.stack([case[i] for case in cases]) for i in (0, 1))
    labels = torch.zeros(4, dtype=torch.int64)
    verdict = gate(logits, features, labels, train, KNOWN.repeat(5), validation, SETTINGS)
    assert verdict.accepted.tolist() == [case[2] for case in cases]
    assert verdict.kept.tolist() == [0, 3]
    torch.testing.assert_close(verdict.posterior, logits.softmax(1)[:, 0])
    torch.testing.assert_close(verdict.confidence, logits.softmax(1).max(1).values)
    assert verdict.prediction.tolist() == [1, 0, 1, 1]
    torch.testing.assert_close(verdict.distance, torch.tensor([2**0.5, 2**0.5, 0.0, 2**0.5]), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("bound", "accepted"),
    [
        ({}, [True] * 4),
        ({"max_confidence": 0.95}, [True, False, False, True]),
        ({"max_confidence": 0.7}, [True] + [False] * 3),
    ],
)
def test_what_is_surely_any_class_is_rejected(bound: dict[str, float], accepted: list[bool]) -> None:
    """All lie far from ID images and none is its class 0; the likeliest has 0.6, 0.98, 1 and 0.9."""
    posteriors = torch.tensor([[0.1, 0.6, 0.3], [0.01, 0.98, 0.01], [0.0, 1.0, 0.0], [0.05, 0.05, 0.9]])
    labels = torch.zeros(4, dtype=torch.int64)
    settings = GateSettings.model_validate(SETTINGS.model_dump() | bound)
    bank = DIRECTIONS[:2]
    verdict = gate(posteriors.log(), DIRECTIONS[2].expand(4, 4), labels, bank, KNOWN, bank, settings)
    assert verdict.accepted.tolist() == accepted
    torch.testing.assert_close(verdict.confidence, torch.tensor([0.6, 0.98, 1.0, 0.9]))


def test_accept_all_lets_everything_through() -> None:
    """Its own class, another class, an ID image; the first wanted ones of each class are kept all the same."""
    labels = torch.tensor([1, 0, 0, 0])
    logits = torch.tensor([[0.0, 9.0], [9.0, 0.0], [0.0, 9.0], [0.0, 0.0]])
    settings = GateSettings.model_validate(SETTINGS.model_dump() | {"accept": "all", "max_confidence": 0.6})
    strict = settings.model_copy(update={"accept": "outliers"})
    found, refused = (
        gate(logits, DIRECTIONS[:1].expand(4, 4), labels, DIRECTIONS[:2], KNOWN, DIRECTIONS[:2], each)
        for each in (settings, strict)
    )
    assert not refused.accepted.any()
    assert found.accepted.tolist() == [True] * 4
    assert found.kept.tolist() == [1, 2, 0]
    assert torch.equal(found.distance, refused.distance)
    assert shares(found, labels, ["cat", "dog"]) == {"cat": 1.0, "dog": 1.0}


def test_the_stage_writes_its_verdict_and_the_images(
    folder: Path,
    pipeline: StableDiffusionPipeline,
    judge: Classifier,
    judge_file: Path,
    train_file: Path,
    tmp_path: Path,
) -> None:
    latents = torch.randn((6, 4, 8, 8), generator=torch.Generator().manual_seed(0)).half()
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    write_tensors(tmp_path / "latents", {"latents": latents.numpy(), "labels": labels.numpy()}, {})
    settings = SETTINGS.model_copy(update={"accept": "all"})
    arguments = {
        "settings": settings.canonical(),
        "output": tmp_path / "gate.safetensors",
        "generator": folder,
        "latents": tmp_path / "latents",
        "classifier": judge_file,
        "train": train_file,
        "val": train_file,
    }
    main([part for key, value in arguments.items() for part in (f"--{key}", str(value))])
    arrays, header = read_tensors(tmp_path / "gate.safetensors")
    images = sampling.decoded(pipeline, latents.float()).numpy()
    logits, _ = logits_and_features(judge, images, torch.device("cpu"))
    assert np.array_equal(arrays["images"], images)
    np.testing.assert_allclose(arrays["confidence"], logits.softmax(1).max(1).values, atol=1e-6)
    assert arrays["kept"].tolist() == [0, 1, 3, 4]
    assert arrays["id_distance"].shape == (14,)
    assert arrays["labels"].tolist() == labels.tolist()
    assert header == {"classes": ["cat", "dog"], "accepted": {"cat": 1.0, "dog": 1.0}}


@pytest.mark.parametrize("broken", ["latents", "classifier"])
def test_what_is_not_finite_is_told(
    folder: Path,
    judge_file: Path,
    train_file: Path,
    tmp_path: Path,
    broken: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A latent of a file, or a judge; before, the image was black and its posterior not a number."""
    latents = torch.zeros((3, 4, 8, 8)).half()
    if broken == "latents":
        latents[2, 1, 0, 0] = float("inf")
        told = "latents: outlier 2 of class 'dog': its latents are not finite; make them again"
    else:
        spoiled = Classifier.load(judge_file)
        spoiled.network.head.bias.data[0] = float("nan")
        with pytest.raises(
            SynthoodError, match=r"the fitted network: head\.bias is not finite; lower the learning rate"
        ):
            spoiled.save(tmp_path / "judge")
        arrays, header = read_tensors(judge_file)
        write_tensors(tmp_path / "judge", arrays | {"head.bias": np.full(2, np.nan, np.float32)}, header)
        judge_file = tmp_path / "judge"
        told = "image 0: the classifier's logits or features are not finite; the classifier is broken"
    write_tensors(tmp_path / "latents", {"latents": latents.numpy(), "labels": np.array([0, 0, 1])}, {})
    arguments = {
        "settings": SETTINGS.canonical(),
        "output": tmp_path / "gate.safetensors",
        "generator": folder,
        "latents": tmp_path / "latents",
        "classifier": judge_file,
        "train": train_file,
        "val": train_file,
    }
    with pytest.raises(SystemExit):
        main([part for key, value in arguments.items() for part in (f"--{key}", str(value))])
    assert told in capsys.readouterr().err
    assert not (tmp_path / "gate.safetensors").exists()


def test_only_the_wanted_number_of_a_class_is_kept() -> None:
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    logits = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(3, 1)
    verdict = gate(logits, DIRECTIONS[2].expand(6, 4), labels, DIRECTIONS[:2], KNOWN, DIRECTIONS[:2], SETTINGS)
    assert verdict.kept.tolist() == [0, 2, 1, 3]


def test_a_class_without_any_is_named_with_all_shares() -> None:
    accepted = torch.tensor([True, False, False, False])
    nothing = torch.zeros(4)
    verdict = Verdict(nothing, nothing, nothing, nothing, accepted, torch.tensor([0]), nothing)
    with pytest.raises(SynthoodError, match=r"no outlier of class dog \(accepted: cat 50\.0%, dog 0\.0%\)"):
        shares(verdict, torch.tensor([0, 0, 1, 1]), ["cat", "dog"])
    assert shares(verdict, torch.tensor([0, 1, 1, 1]), ["cat"]) == {"cat": 1.0}


def test_mahalanobis_distance_by_hand() -> None:
    """Two classes around (0,0) and (10,0), whose shared covariance is diag(4,1) but for the shrinkage."""
    around = torch.tensor([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]])
    train = torch.cat([around, around + torch.tensor([10.0, 0.0])])
    queries = torch.tensor([[0.0, 3.0], [10.0, 0.0], [14.0, 0.0], [4.0, 0.0]])
    along, across = 0.99 * 4 + 0.01 * 2.5, 0.99 * 1 + 0.01 * 2.5
    expected = torch.tensor([3 / across**0.5, 0.0, 4 / along**0.5, 4 / along**0.5])
    labels = torch.tensor([3] * 4 + [7] * 4)  # any labels, in order of the classes
    torch.testing.assert_close(mahalanobis(queries, train, labels), expected, atol=1e-5, rtol=0)


def test_the_density_of_features_can_decide_in_the_neighbours_place() -> None:
    """Far along the classes' own direction of spread is near by density, and far by neighbours."""
    random = torch.Generator().manual_seed(0)
    train = torch.randn((200, 2), generator=random) * torch.tensor([1.0, 0.01]) + torch.tensor([3.0, 3.0])
    labels = torch.zeros(200, dtype=torch.int64)
    queries = torch.tensor([[3.0, 3.2], [3.5, 3.0]])
    logits = torch.tensor([[0.0, 1.0]]).repeat(2, 1)
    settings = SETTINGS.model_copy(update={"distance": "density", "max_posterior": 0.9})
    verdict = gate(logits, queries, torch.zeros(2, dtype=torch.int64), train, labels, train, settings)
    assert verdict.accepted.tolist() == [True, False]
    assert torch.equal(verdict.id_distance, mahalanobis(train, train, labels))


def test_more_neighbours_than_training_images_are_told() -> None:
    settings = SETTINGS.model_copy(update={"k": 3})
    with pytest.raises(SynthoodError, match=r"gate\.k is 3, but there are only 2 training images"):
        gate(
            torch.zeros(1, 2),
            DIRECTIONS[:1],
            torch.zeros(1, dtype=torch.int64),
            DIRECTIONS[:2],
            KNOWN,
            DIRECTIONS[:2],
            settings,
        )
