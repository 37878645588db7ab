"""The Python interface: arrays in, confidence out, mistakes told in one sentence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from synthood.detectors import fit, names, score
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.detectors.subspaces import Vim
from synthood.evaluation.features import Features, Reference
from toy_features import EVERY, READING, name_of, part, toy_reference

REFERENCE: Reference = toy_reference()
HEAD = (REFERENCE.weight, REFERENCE.bias)
TEST = part(50, 7, *HEAD, far=0.5)
PARTS = (REFERENCE.train, REFERENCE.val, TEST)


def arrays(x: Features) -> tuple[np.ndarray, ...]:
    return tuple(tensor.numpy() for tensor in (x.logits, x.features, x.labels))


def fitted(name: str, train: Any = None, val: Any = None, head: Any = HEAD, **more: Any) -> Any:
    train, val = (
        arrays(x) if given is None else given for given, x in ((train, REFERENCE.train), (val, REFERENCE.val))
    )
    return fit(name, train, val, head, **more)


@pytest.mark.parametrize("settings", EVERY, ids=lambda one: one.kind)
def test_every_detector_gives_what_the_stage_gives(settings: Any) -> None:
    values = settings.hyperparameters
    found = score(fitted(settings.kind, **values), TEST.logits.numpy(), TEST.features.numpy())
    assert (found.dtype, found.shape) == (np.float32, (50,))
    assert found == pytest.approx(settings.fit(REFERENCE)(TEST).numpy(), rel=1e-4, abs=1e-5)


def test_names_are_the_kinds() -> None:
    assert names() == sorted({settings.kind for settings in [*EVERY, *READING]})


def test_a_list_is_searched() -> None:
    found = fitted("knn", ood_validation=arrays(part(80, 8, *HEAD, far=1.0)), k=[1, 20, 401])
    assert found.search["chosen"].sum() == 1
    best = int(found.search.loc[found.search["chosen"], "candidate"].item().split(":")[1].strip(" }"))
    expected = Knn(k=best).fit(REFERENCE)(TEST)
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


NAN, L, H, N = np.full((3, 4), np.nan), np.zeros((3, 4)), np.zeros((3, 12)), np.arange(3)
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"name": "knnn"}, r"no detector is named 'knnn'; did you mean 'knn'\?"),
    ({"name": "knn", "kk": 3}, r"knn: kk: unknown hyperparameter; did you mean 'k'\?"),
    ({"name": "msp", "k": 3}, "msp: k: unknown hyperparameter"),
    ({"name": "knn", "k": 0}, "knn: k: Input should be greater than or equal to 1"),
    ({"name": "knn", "k": 401}, "knn: k 401 is larger than the bank's number of training features 400"),
    ({"name": "knn", "k": [1, 2]}, "knn: val and ood_validation choose among values; pass both, or one value of each"),
    ({"name": "knn", "k": ()}, "knn: k: must not be empty; write one value or several"),
    (
        {"name": "odin"},
        r"'odin' needs the model itself, not its features: take Odin\(...\).fit\(model, images, labels\)",
    ),
    ({"name": "mds-ensemble"}, "'mds-ensemble' needs the model itself"),
    ({"name": "ensemble"}, "'ensemble' needs the features of several models"),
    ({"name": "custom"}, "'custom' needs a file with a function of yours"),
    ({"name": "KNN"}, "no detector is named 'KNN'; did you mean 'knn'"),
    ({"name": None}, "no detector is named 'None'"),
    ({"name": "vim", "head": (HEAD[0].flip(1), HEAD[1]), "dimension": 6}, "the head's weights do not give the logits"),
    ({"name": "vim", "head": (HEAD[0][:, :5], HEAD[1])}, r"a head of shape \[4, 5\]"),
    ({"name": "vim", "head": HEAD[0][0]}, r"head: expected a weight \[C,D\], got \[12\]"),
    (
        {"name": "vim", "head": torch.nn.ReLU()},
        "head: expected a linear layer, got ReLU; pass head_of",
    ),
    ({"name": "vim", "head": (HEAD[0],), "dimension": 6}, "the head's weights do not give the logits"),
    ({"name": "msp", "train": 5 * [L]}, "train: expected logits, features and labels, got 5 arrays"),
    ({"name": "msp", "train": REFERENCE.train.logits}, "train: expected logits, features and labels, got Tensor"),
    ({"name": "msp", "train": {"logits": L, "features": H}}, "train: expected logits, features and labels, got dict"),
    ({"name": "msp", "train": (L, H[:, 0], N)}, r"train: features: expected rows of numbers \[N,...\], got \[3\]"),
    ({"name": "msp", "train": (L[0], H[0], N[0])}, r"train: logits: expected rows of numbers \[N,...\], got \[4\]"),
    (
        {"name": "msp", "train": (L[:0], H[:0], N[:0])},
        r"train: logits: expected rows .*, got \[0, 4\]",
    ),
    ({"name": "msp", "train": (L, H[:2], N)}, "train: 3 rows of logits, but 2 of features"),
    ({"name": "msp", "train": (L, None, N)}, "train: features: expected numbers, got object such as None"),
    ({"name": "msp", "train": ([[1, 2], [3]], H, N)}, "train: logits: not an array of numbers"),
    ({"name": "msp", "train": ([torch.ones(4), torch.ones(3)], H, N)}, "train: logits: rows of different shapes"),
    ({"name": "msp", "train": (1j * L, H, N)}, "train: logits: expected numbers, got complex128"),
    (
        {"name": "msp", "train": (torch.tensor(L).cfloat(), H, N)},
        "expected real numbers, got torch.complex64",
    ),
    ({"name": "msp", "train": (L, H, ["cat", "dog", "cat"])}, "train: labels are text; give class numbers"),
    ({"name": "msp", "train": (L, H, np.array(["cat", "dog", "cat"]))}, "train: labels are text; give class numbers"),
    ({"name": "msp", "train": (L, H, N[:2])}, r"train: expected a label for each of 3 samples, got \[2\]"),
    ({"name": "msp", "train": (L, H, L)}, r"for each of 3 samples, got \[3, 4\]; of one-hot labels take argmax\(1\)"),
    ({"name": "msp", "train": (L, H, [0, 0.7, 1])}, "train: label 0.7 is not a class number"),
    ({"name": "msp", "train": (L, H, [0, np.nan, 1])}, "train: label nan is not a class number"),
    ({"name": "msp", "train": (L, H, [1, 4, 7])}, "training labels lie outside 0 to 3"),
    ({"name": "msp", "train": (L, H, [1, -1, 2])}, "labels lie outside 0 to 3; .* and keep OOD samples out"),
    ({"name": "msp", "train": (L, H, N, L)}, "train: expected outputs by the key of the recipe, got ndarray"),
    ({"name": "msp", "train": (1e300 * (L + 1), H, N)}, "train: logits or features are not finite"),
    ({"name": "msp", "val": (NAN, H, N)}, "val: logits or features are not finite"),
    (
        {"name": "msp", "val": (L[:, :3], H, N)},
        r"val: .* of widths \(3, 12\), those of train have \(4, 12\)",
    ),
    ({"name": "msp", "ood_validation": (L, H[:, :5])}, r"ood_validation: logits and features of widths \(4, 5\)"),
    ({"name": "mds", "train": (L, H)}, "mds: needs labels, and train has none; pass them as the third item"),
    ({"name": "mds", "train": (L, H, -N - 1)}, "training labels lie outside 0 to 3"),
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


def test_scores_that_are_not_finite_are_an_error() -> None:
    huge = torch.full((2, 12), 3e38)
    with pytest.raises(SynthoodError, match="gradnorm: gives 2 of 2 samples a confidence that is not finite"):
        score(fitted("gradnorm"), TEST.logits[:2], huge)


@pytest.mark.parametrize("settings", EVERY, ids=name_of)
def test_what_a_detector_does_not_look_at_may_be_left_out(settings: Any) -> None:
    """Validation data, the head and labels: either nothing changes without them, or their lack is told."""
    method, values = settings, settings.hyperparameters
    expected = score(fitted(settings.kind, **values), TEST.logits, TEST.features)
    train, val = arrays(REFERENCE.train), arrays(REFERENCE.val)
    for needed, given, told in (
        ("val" in method.fitted_on, (train, None, HEAD), "is fitted on ID validation samples; pass val"),
        ("head" in method.inputs, (train, val, None), "needs the last layer; pass head=head_of"),
        (method.labelled, (train[:2], (*val[:2], None), HEAD), "needs labels, and train has none"),
    ):
        if needed:
            with pytest.raises(SynthoodError, match=f"^{settings.kind}: {told}"):
                fit(settings.kind, *given, **values)
        else:
            found = score(fit(settings.kind, *given, **values), TEST.logits, TEST.features)
            assert np.array_equal(found, expected)


def nested(x: Features) -> tuple[list[Any], ...]:
    return x.logits.tolist(), x.features.tolist(), x.labels.tolist()


def backwards(x: Features) -> tuple[np.ndarray, ...]:
    return tuple(array[::-1].copy()[::-1] for array in arrays(x))


def locked(x: Features) -> tuple[np.ndarray, ...]:
    found = tuple(array.copy() for array in arrays(x))
    for array in found:
        array.flags.writeable = False
    return found


FORMS: list[Callable[[Features], Any]] = [
    lambda x: x,
    lambda x: [x.logits, x.features, x.labels],
    nested,
    backwards,
    locked,
    lambda x: (list(x.logits), list(x.features), list(x.labels)),
    lambda x: (x.logits.T.contiguous().T, x.features.clone().requires_grad_(), x.labels.float()),
    lambda x: (x.logits.double(), x.features.numpy().astype(">f8"), x.labels.numpy().astype(np.uint8)),
    lambda x: (x.logits.to_sparse(), x.features, x.labels[:, None]),
    lambda x: (pd.DataFrame(x.logits.numpy()), pd.DataFrame(x.features.numpy()), pd.Series(x.labels.numpy())),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("form", FORMS)
def test_data_come_in_any_form(form: Callable[[Features], Any]) -> None:
    train, val, test = map(form, (REFERENCE.train, REFERENCE.val, TEST))
    logits, features = (test.logits, test.features) if isinstance(test, Features) else test[:2]
    expected = score(fitted("mds"), TEST.logits, TEST.features)
    assert score(fit("mds", train, val, HEAD), logits, features) == pytest.approx(expected, rel=1e-6)


def test_inference_tensors_and_bfloat16_are_taken() -> None:
    with torch.inference_mode():
        train = [x.bfloat16() for x in (REFERENCE.train.logits, REFERENCE.train.features)]
        logits, features = TEST.logits * 1, TEST.features.bfloat16()
    found = score(fit("knn", train), logits, features)
    assert np.corrcoef(found, score(fitted("knn"), TEST.logits, TEST.features))[0, 1] > 0.999


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.int64(7), 7),
        (torch.tensor(7), 7),
        ((3, 7), [3, 7]),
        (range(3, 6), [3, 4, 5]),
        (np.array([3, 7]), [3, 7]),
        (torch.tensor([3, 7]), [3, 7]),
        ([np.int32(3), 7], [3, 7]),
    ],
)
def test_hyperparameters_come_in_any_form(given: Any, expected: Any) -> None:
    ood = arrays(part(80, 8, *HEAD, far=1.0))
    found, plain = (fitted("knn", ood_validation=ood, k=k) for k in (given, expected))
    assert found.search.equals(plain.search)
    ours, theirs = (score(one, TEST.logits, TEST.features) for one in (found, plain))
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("head", [HEAD[0], (HEAD[0],), (HEAD[0].numpy(), None), [HEAD[0].tolist(), [0.0] * 4], "layer"])
def test_a_head_without_bias(head: Any) -> None:
    if head == "layer":
        head = torch.nn.Linear(12, 4, bias=False)
        head.weight.data.copy_(HEAD[0])
    train, val, test = (Features(F.linear(x.features, HEAD[0]), x.features, x.labels) for x in PARTS)
    expected = Vim(dimension=6).fit(Reference(train, val, HEAD[0], torch.zeros(4)))(test)
    found = score(fit("vim", train, val, head, dimension=6), test.logits, test.features)
    assert found == pytest.approx(expected.numpy(), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", ["relation", "nnguide", "react", "knn", "vim"])
def test_data_changed_after_the_fit_change_no_score(name: str) -> None:
    """Tensors and arrays alike: a caller may fill its buffers again."""
    train, val = (Features(x.logits.clone(), x.features.clone(), x.labels.clone()) for x in PARTS[:2])
    more = {"dimension": 6} if name == "vim" else {}
    detector = fit(name, train, arrays(val), HEAD, **more)
    before = score(detector, TEST.logits, TEST.features)
    for x in (train, val):
        for values in (x.logits, x.features, x.labels):
            values.zero_()
    assert np.array_equal(score(detector, TEST.logits, TEST.features), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TEST.logits, TEST.features, None), "score: expected what fit gives first, got Tensor"),
        ((None, TEST.logits[0], TEST.features[0]), r"logits and features: logits: expected rows .*, got \[4\]"),
        ((None, TEST.logits, None), "logits and features: features: expected numbers, got object such as None"),
        ((None, TEST.logits, TEST.features[:3]), "50 rows of logits, but 3 of features"),
        ((None, TEST.logits, TEST.features, [1]), "expected outputs by the key of the recipe, got list"),
    ],
)
def test_mistakes_in_scoring_are_told(arguments: tuple[Any, ...], message: str) -> None:
    given = (fitted("msp") if arguments[0] is None else arguments[0], *arguments[1:])
    with pytest.raises(SynthoodError, match=message):
        score(*given)


def test_samples_of_another_network_are_an_error() -> None:
    with pytest.raises(SynthoodError, match=r"knn: fitted for logits and features of widths \(4, 12\), got \(4, 11\)"):
        score(fitted("knn"), TEST.logits, TEST.features[:, :11])
