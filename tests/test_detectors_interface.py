"""The Python interface: arrays in, confidence out, mistakes told in one sentence."""

from typing import Any

import numpy as np
import pytest
import torch

from synthood.detectors import fit, names, score
from synthood.errors import SynthoodError
from synthood.evaluation import detectors
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.kinds import Knn
from toy_features import EVERY, READING, part, toy_reference

REFERENCE: Reference = toy_reference()
HEAD = (REFERENCE.weight, REFERENCE.bias)
TEST = part(50, 7, *HEAD, far=0.5)


def arrays(x: Features) -> tuple[np.ndarray, ...]:
    return tuple(tensor.numpy() for tensor in (x.logits, x.features, x.labels))


def fitted(name: str, train: Any = None, val: Any = None, head: Any = HEAD, **more: Any) -> Any:
    return fit(name, train or arrays(REFERENCE.train), val or arrays(REFERENCE.val), head, **more)


@pytest.mark.parametrize("settings", EVERY, ids=lambda one: one.kind)
def test_every_detector_gives_what_the_stage_gives(settings: Any) -> None:
    values = settings.candidates()[0]
    found = score(fitted(settings.kind, **values), TEST.logits.numpy(), TEST.features.numpy())
    assert (found.dtype, found.shape) == (np.float32, (50,))
    assert found == pytest.approx(detectors.fit(settings, REFERENCE)(TEST).numpy(), rel=1e-4, abs=1e-5)


def test_names_are_the_kinds() -> None:
    assert names() == sorted({settings.kind for settings in [*EVERY, *READING]})


def test_a_list_is_searched() -> None:
    found = fitted("knn", ood_validation=arrays(part(80, 8, *HEAD, far=1.0)), k=[1, 20, 401])
    assert found.search["chosen"].sum() == 1
    best = int(found.search.loc[found.search["chosen"], "candidate"].item().split(":")[1].strip(" }"))
    expected = detectors.fit(Knn(kind="knn", k=best), REFERENCE)(TEST)
    assert score(found, TEST.logits, TEST.features) == pytest.approx(expected.numpy(), rel=1e-4, abs=1e-6)
    assert "left out: knn: k 401" in found.search["note"].iloc[2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_precisions_are_taken(dtype: torch.dtype) -> None:
    train = Features(REFERENCE.train.logits.to(dtype), REFERENCE.train.features.to(dtype), REFERENCE.train.labels)
    val = Features(REFERENCE.val.logits.to(dtype), REFERENCE.val.features.to(dtype), REFERENCE.val.labels)
    found = score(fitted("mds", arrays(train), arrays(val)), TEST.logits.to(dtype), TEST.features.to(dtype))
    expected = score(fitted("mds"), TEST.logits, TEST.features)
    assert np.corrcoef(found, expected)[0, 1] > 0.999


def test_a_gradient_is_left_behind() -> None:
    logits = TEST.logits.clone().requires_grad_()
    assert len(score(fitted("msp"), logits, TEST.features)) == 50


NAN = np.full((3, 4), np.nan)
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"name": "knnn"}, r"no detector is named 'knnn'; did you mean 'knn'\?"),
    ({"name": "knn", "kk": 3}, r"knn: kk: unknown hyperparameter; did you mean 'k'\?"),
    ({"name": "msp", "k": 3}, "msp: k: unknown hyperparameter"),
    ({"name": "knn", "k": 0}, "knn: k: Input should be greater than or equal to 1"),
    ({"name": "knn", "k": 401}, "knn: k 401 is larger than the bank's number of training features 400"),
    ({"name": "knn", "k": [1, 2]}, "a grid needs the dataset's ood_validation"),
    ({"name": "vim", "head": (HEAD[0].flip(1), HEAD[1]), "dimension": 6}, "the head's weights do not give the logits"),
    ({"name": "vim", "head": (HEAD[0][:, :5], HEAD[1])}, r"a head of shape \[4, 5\]"),
    ({"name": "msp", "train": (np.zeros((3, 4)), np.zeros((3, 12)))}, "train: expected logits, features and labels"),
    ({"name": "msp", "val": (NAN, np.zeros((3, 12)), np.zeros(3))}, "val: logits or features are not finite"),
    ({"name": "msp", "val": (np.zeros((0, 4)), np.zeros((0, 12)), np.zeros(0))}, "val: logits, features and labels"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda one: one if isinstance(one, str) else "")
def test_mistakes_are_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SynthoodError, match=message):
        fitted(**arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_an_error(value: float) -> None:
    broken = TEST.features.clone()
    broken[3, 2] = value
    with pytest.raises(SynthoodError, match="logits and features: logits or features are not finite"):
        score(fitted("msp"), TEST.logits, broken)


def test_samples_of_another_network_are_an_error() -> None:
    with pytest.raises(SynthoodError, match=r"knn: fitted for logits and features of widths \(4, 12\), got \(4, 11\)"):
        score(fitted("knn"), TEST.logits, TEST.features[:, :11])
