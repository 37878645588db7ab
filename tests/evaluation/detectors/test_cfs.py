"""CFS by numpy in double precision, from pooled maps that are given."""

import numpy as np
import pytest
import torch
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.evaluation.detectors.cfs import Cfs
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.search import Validation, fitted

NAMES = {"encoder": "sd/5/0/encoder", "decoder": "sd/5/0/decoder"}


def part(count: int, seed: int, away: float = 0.0) -> Features:
    """Maps of 6 and 4 numbers, of which the decoder's tell OOD apart; one of the encoder's is constant."""
    random = torch.Generator().manual_seed(seed)
    encoder, decoder = (2 + torch.randn((count, width), generator=random) for width in (6, 4))
    encoder[:, 3] = 1.25
    outputs: dict[str, Tensor] = {NAMES["encoder"]: encoder, NAMES["decoder"]: decoder + away}
    return Features(torch.zeros(count, 2), torch.zeros(count, 3), torch.zeros(count, dtype=torch.int64), outputs)


REFERENCE = Reference(part(80, 0), part(20, 1), torch.zeros(2, 3), torch.zeros(2))
OOD = part(20, 2, away=3.0)


@pytest.mark.parametrize("regions", ["both", "encoder", "decoder"])
def test_cfs_by_numpy(regions: str) -> None:
    asked = list(NAMES) if regions == "both" else [regions]
    found = []
    for name in map(NAMES.__getitem__, asked):
        train, x = (one.outputs[name].double().numpy() for one in (REFERENCE.train, OOD))
        found.append(np.mean((x - train.mean(0)) ** 2 / np.maximum(train.var(0), 1e-6), axis=1))
    confidence = Cfs(generator="sd", regions=regions).fit(REFERENCE)(OOD)
    np.testing.assert_allclose(confidence.numpy(), -np.mean(found, axis=0), rtol=1e-6)


def test_a_grid_is_searched_on_validation_images() -> None:
    grid = Cfs.parse('{"kind":"cfs","generator":"sd","regions":["encoder","decoder"]}')
    scores, table = fitted({"it": grid}, Validation(REFERENCE, OOD))
    assert table["chosen"].tolist() == [False, True]
    assert torch.equal(scores["it"](OOD), Cfs(generator="sd", regions="decoder").fit(REFERENCE)(OOD))


def test_without_a_workflow_it_says_what_it_needs() -> None:
    from synthood.detectors import fit

    with pytest.raises(SynthoodError, match="'cfs' needs a generator fitted on ID images"):
        fit("cfs", ([[0.0, 1.0]], [[1.0]]))
