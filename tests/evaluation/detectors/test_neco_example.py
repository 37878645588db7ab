"""examples/custom_detector: NECO in a file of the user's, beside its formula."""

from pathlib import Path

import pytest
import torch

from checkouts import PROJECT
from synthood.config.load import load_file
from synthood.evaluation.detectors.custom import Custom
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.search import Validation, fitted
from toy_features import WIDTH, part

EXAMPLE = PROJECT / "examples/custom_detector"


@pytest.fixture
def neco(monkeypatch: pytest.MonkeyPatch) -> Custom:
    """As the example's configuration names it, from the project's folder."""
    monkeypatch.chdir(PROJECT)
    found = load_file(Path(EXAMPLE / "config.yaml")).detectors["neco"]
    assert isinstance(found, Custom)
    return found


@pytest.mark.parametrize("dimension", [1, 4])
def test_the_score_is_the_papers_formula(dimension: int, neco: Custom, reference: Reference, near: Features) -> None:
    """sqrt(h^T P P^T h) / sqrt(h^T h) times the maximum logit, P by a singular value decomposition."""
    train = reference.train.features.double()
    p = torch.linalg.svd(train - train.mean(0)).Vh[:dimension].T
    h = near.features.double()
    expected = ((h @ p @ p.T * h).sum(1) / (h * h).sum(1)).sqrt() * near.logits.double().amax(1)
    found = neco.model_copy(update={"values": {"dimension": dimension}}).fit(reference)(near)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_its_grid_is_searched_and_leaves_out_what_the_features_do_not_have(neco: Custom, reference: Reference) -> None:
    validation = Validation(reference, part(80, 8, reference.weight, reference.bias, far=1.0))
    _, table = fitted({"neco": neco}, validation)
    assert table["chosen"].sum() == 1
    assert f"dimension 16 is larger than the features' {WIDTH}" in table["note"].iloc[2]
    assert table["auroc"].notna().tolist() == [True, True, False, False]


def test_a_sample_of_zeros_has_a_finite_score(neco: Custom, reference: Reference) -> None:
    zeros = Features(torch.ones(2, 4), torch.zeros(2, WIDTH), torch.zeros(2, dtype=torch.int64))
    assert neco.candidates()[0].fit(reference)(zeros).tolist() == [0, 0]
