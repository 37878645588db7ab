"""The folder of features: what is written is read, and what is broken is named."""

from pathlib import Path

import pytest
import torch

from synthood.common.tensors import write_tensors
from synthood.errors import SynthoodError
from synthood.evaluation.feature_files import FeatureFolder, write_head, write_part
from synthood.evaluation.features import Features, Reference, check_head, checked_reference


def features(count: int, offset: float = 0.0) -> Features:
    values = torch.arange(count * 3, dtype=torch.float32).view(count, 3) + offset
    return Features(values[:, :2].contiguous(), values, torch.arange(count) % 2)


def equal(a: Features, b: Features) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("logits", "features", "labels"))


def test_parts_and_reference_come_back_as_written(tmp_path: Path) -> None:
    parts = {"train": features(4), "val": features(3, 1.0), "test": features(2, 2.0)}
    weight, bias = torch.arange(6.0).view(2, 3), torch.tensor([1.0, -1.0])
    for name, part in parts.items():
        write_part(tmp_path, name, part)
    write_head(tmp_path, weight, bias)
    folder = FeatureFolder(tmp_path)
    assert all(equal(folder.part(name), part) for name, part in parts.items())
    reference = folder.reference()
    assert equal(reference.train, parts["train"])
    assert equal(reference.val, parts["val"])
    assert torch.equal(reference.weight, weight)
    assert torch.equal(reference.bias, bias)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["logits", "features"])
def test_values_that_are_not_finite_are_named_by_file(tmp_path: Path, where: str, value: float) -> None:
    broken = features(3)
    getattr(broken, where)[1, 1] = value
    write_part(tmp_path, "val", broken)
    with pytest.raises(SynthoodError, match=r"val\.safetensors: logits or features are not finite"):
        FeatureFolder(tmp_path).part("val")


@pytest.mark.parametrize("which", ["logits", "features", "labels"])
def test_lengths_must_agree(tmp_path: Path, which: str) -> None:
    x = features(4)
    arrays = {name: getattr(x, name).numpy() for name in ("logits", "features", "labels")}
    arrays[which] = arrays[which][:3]
    write_tensors(tmp_path / "test.safetensors", arrays, {})
    with pytest.raises(SynthoodError, match=r"test\.safetensors: logits, features and labels differ in length"):
        FeatureFolder(tmp_path).part("test")


def test_empty_part_is_an_error(tmp_path: Path) -> None:
    write_part(tmp_path, "test", features(0))
    with pytest.raises(SynthoodError, match="are empty"):
        FeatureFolder(tmp_path).part("test")


def test_missing_folder_and_part_are_named(tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match="nowhere: not found"):
        FeatureFolder(tmp_path / "nowhere")
    with pytest.raises(SynthoodError, match=r"near\.safetensors: not found"):
        FeatureFolder(tmp_path).part("near")


def test_a_file_without_features_is_named(tmp_path: Path) -> None:
    write_head(tmp_path, torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(SynthoodError, match=r"head\.safetensors: not a file that this stage reads"):
        FeatureFolder(tmp_path).part("head")


def test_half_precision_is_read_as_single(tmp_path: Path) -> None:
    """Values that float16 holds exactly."""
    x = features(4)
    write_part(tmp_path, "val", Features(x.logits.half(), x.features.half(), x.labels.int()))
    found = FeatureFolder(tmp_path).part("val")
    assert equal(found, x)
    assert (found.logits.dtype, found.features.dtype, found.labels.dtype) == (torch.float32, torch.float32, torch.int64)


def test_logits_and_features_are_tables(tmp_path: Path) -> None:
    x = features(4)
    write_part(tmp_path, "val", Features(x.logits, x.features[:, :, None, None], x.labels))
    with pytest.raises(SynthoodError, match=r"val\.safetensors: expected logits \[N,C\], features \[N,D\]"):
        FeatureFolder(tmp_path).part("val")


def changed(**parts: object) -> Reference:
    """A sound reference of two classes and three features with some of its tensors changed."""
    weight, bias = torch.arange(6.0).view(2, 3), torch.tensor([1.0, -1.0])
    x = features(4)
    part = Features(x.features @ weight.T + bias, x.features, x.labels)
    return Reference(**{"train": part, "val": part, "weight": weight, "bias": bias, **parts})


def with_labels(*labels: int) -> Features:
    x = features(len(labels))
    return Features(x.logits, x.features, torch.tensor(labels))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"weight": torch.zeros(2, 4)}, r"a head of shape \[2, 4\] and \[2\] does not fit 3 features and 2 logits"),
        ({"weight": torch.zeros(3, 3)}, r"a head of shape \[3, 3\] and \[2\] does not fit 3 features and 2 logits"),
        ({"bias": torch.zeros(3)}, r"a head of shape \[2, 3\] and \[3\] does not fit"),
        ({"val": Features(torch.zeros(2, 2), torch.zeros(2, 5), torch.zeros(2).long())}, "differ in shape"),
        ({"train": with_labels(0, -1)}, "training labels lie outside 0 to 1"),
        ({"val": with_labels(0, 2)}, "validation labels lie outside 0 to 1"),
    ],
)
def test_a_reference_that_does_not_fit_together_is_an_error(parts: dict[str, object], message: str) -> None:
    with pytest.raises(SynthoodError, match=f"here: .*{message}"):
        checked_reference(changed(**parts), "here")


def test_one_class_is_no_classifier() -> None:
    one = Features(torch.zeros(2, 1), torch.zeros(2, 3), torch.zeros(2).long())
    with pytest.raises(SynthoodError, match="here: one logit only"):
        checked_reference(Reference(one, one, torch.zeros(1, 3), torch.zeros(1)), "here")


def test_a_sound_head_is_accepted_in_half_precision_too() -> None:
    sound = changed()
    check_head(checked_reference(sound, "here"), "here")
    rough = Features(sound.val.logits.half().float() * 1.001, sound.val.features, sound.val.labels)
    check_head(changed(val=rough), "here")
    with pytest.raises(SynthoodError, match="here: the head's weights do not give the logits"):
        check_head(changed(weight=sound.weight.flip(1)), "here")


def test_small_parts_lie_in_memory_as_tensors_do(tmp_path: Path) -> None:
    """Aligned, so that products round as those of the same numbers that no file held."""
    write_part(tmp_path, "val", features(9))
    write_head(tmp_path, torch.ones(2, 3), torch.ones(2))
    part = FeatureFolder(tmp_path).part("val")
    assert all(tensor.data_ptr() % 64 == 0 for tensor in (part.logits, part.features, part.labels))
