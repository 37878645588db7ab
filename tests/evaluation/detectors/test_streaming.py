"""No detector copies the bank: of a bank on disk larger than memory, a few thousand samples are held at once."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from synthood.evaluation import features, moments, scoring
from synthood.evaluation.detectors import histograms
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.feature_files import FeatureFolder, write_part
from synthood.evaluation.features import Bank, Features, Reference
from toy_features import EVERY, WIDTH, name_of, part, toy_reference

COUNT = 3000


class Largest(TorchDispatchMode):
    """The most elements of any tensor that an operation makes; views of what is there already do not count."""

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.elements = 0

    def __torch_dispatch__(self, operation: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        result = operation(*given, **(named or {}))
        for made in tree_leaves(result):
            if isinstance(made, Tensor) and made.untyped_storage().data_ptr() not in self.known:
                self.elements = max(self.elements, made.numel())
        return result


@pytest.fixture(scope="module")
def long() -> Reference:
    toy = toy_reference()
    reference = Reference(part(COUNT, 1, toy.weight, toy.bias), toy.val, toy.weight, toy.bias)
    vars(reference)["bank"] = Bank(reference.train.features, rows=128, in_memory_bytes=0)
    return reference


@pytest.mark.parametrize("detector", EVERY, ids=name_of)
def test_nothing_as_large_as_the_bank_is_made(
    detector: Detector, long: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in (
        (moments, "ROWS", 128),
        (scoring, "PIECE", 0),
        (scoring, "LEAST", 128),
        (scoring, "CHUNK", 1024),
        (histograms, "VALUES", 4096),
    ):
        monkeypatch.setattr(module, name, value)
    values = {"cfood": {"share": 0.01, "fraction": 0.2}, "gmm": {"dimension": 6}}.get(detector.kind, {})
    vars(long).pop("moments", None)
    train = long.train
    with Largest([train.logits, train.features]) as seen:
        score = detector.model_copy(update=values).fit(long)
        scoring.together({"": score}, part(40, 7, long.weight, long.bias))
    assert seen.elements < COUNT * WIDTH


def resident() -> int:
    """Bytes of memory of this process that are no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory by kind is read from Linux's /proc")
def test_a_large_part_is_mapped_and_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MiB of features, all of which are looked at."""
    monkeypatch.setattr(features, "IN_MEMORY_BYTES", 1 << 25)
    count = 1 << 15
    given = Features(torch.rand(count, 4), torch.rand(count, 512), torch.arange(count) % 4)
    write_part(tmp_path, "train", given)
    before = resident()
    found = FeatureFolder(tmp_path).part("train")
    total = found.features.sum()
    assert resident() - before < 1 << 25
    assert torch.equal(total, given.features.sum())
