"""Tokens outside the class manifolds: exact laws of their distances, and the stage from small files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from synthood.common.iterate import ResumeFile
from synthood.common.tensors import Arrays, read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.outliers import tails
from synthood.outliers.flow import Flow, fit_flow
from synthood.outliers.inverted_settings import FlowSettings, TailSettings
from synthood.outliers.tails import Gaussians, Manifolds

CLASSES = ["cat", "dog"]
SPACE = {"encoder": "inversion", "anchors": "token", "text_encoder": "f00d"}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def tokens() -> tuple[Tensor, Tensor]:
    """Sixty of each class around two words, in four dimensions of different spread."""
    labels = torch.arange(120) % 2
    return drawn(120, 4) * torch.tensor([1.0, 0.5, 0.2, 0.1]) + 3 * labels[:, None], labels


@pytest.fixture(scope="module")
def flow(tokens: tuple[Tensor, Tensor]) -> Flow:
    return fit_flow(*tokens, CLASSES, FlowSettings(layers=2, epochs=10, learning_rate=1e-2), ResumeFile(None, ""))


def test_gaussians_have_the_classes_moments(tokens: tuple[Tensor, Tensor]) -> None:
    points, labels = tokens
    found = Gaussians.of(points, labels, 2, shrinkage=0.1)
    for label in (0, 1):
        own = points[labels == label].double().numpy()
        covariance = np.cov(own.T)
        covariance = 0.9 * covariance + 0.1 * np.trace(covariance) / 4 * np.eye(4)
        np.testing.assert_allclose(found.means[label], own.mean(0))
        np.testing.assert_allclose(found.factors[label] @ found.factors[label].T, covariance)
        centred = points.double().numpy() - own.mean(0)
        squares = np.einsum("nd,de,ne->n", centred, np.linalg.inv(covariance), centred)
        np.testing.assert_allclose(found.distances(points, label), np.sqrt(squares))


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.997])
@pytest.mark.parametrize("size", [2, 16])
def test_the_tail_is_the_gaussian_s_beyond_the_quantile(quantile: float, size: int) -> None:
    """Distances follow the chi law given that they are beyond; E[r^2] is D P(chi_{D+2} > c) / (1 - q)."""
    mixing = drawn(size, size).double() + 3 * torch.eye(size, dtype=torch.float64)
    gaussians = Gaussians(drawn(1, size).double(), torch.linalg.cholesky(mixing @ mixing.T)[None])
    found = gaussians.tail(0, 4000, quantile, torch.Generator().manual_seed(3))
    distances = gaussians.distances(found, 0).numpy()
    edge = stats.chi.ppf(quantile, size)
    assert distances.min() >= edge * (1 - 1e-4)  # of rounding to float32
    beyond = (stats.chi.cdf(distances, size) - quantile) / (1 - quantile)
    assert stats.kstest(beyond, "uniform").pvalue > 0.01
    expected = size * stats.chi2.sf(edge**2, size + 2) / (1 - quantile)
    assert (distances**2).mean() == pytest.approx(expected, rel=0.02)
    centred = torch.linalg.solve_triangular(gaussians.factors[0], (found.double() - gaussians.means[0]).T, upper=False)
    directions = (centred / centred.norm(dim=0)).numpy()
    assert np.abs(directions.mean(1)).max() < 5 / np.sqrt(4000 * size)
    np.testing.assert_allclose(np.cov(directions), np.eye(size) / size, atol=5 / np.sqrt(4000) / size)


def test_the_tail_is_that_of_draws_of_which_the_farthest_stay() -> None:
    """As the published code has it: 10 of 3330 draws with the lowest density lie as far out on average."""
    size, random = 6, torch.Generator().manual_seed(1)
    rejected = torch.randn((100, 3330, size), generator=random, dtype=torch.float64).norm(dim=2).topk(10).values
    unit = Gaussians(torch.zeros(1, size, dtype=torch.float64), torch.eye(size, dtype=torch.float64)[None])
    exact = unit.tail(0, 1000, 1 - 10 / 3330, torch.Generator().manual_seed(2)).norm(dim=1)
    assert float(exact.mean()) == pytest.approx(float(rejected.mean()), rel=0.01)


def test_the_edge_is_the_chi_law_s(flow: Flow, tokens: tuple[Tensor, Tensor]) -> None:
    manifolds = Manifolds.of(flow, *tokens, TailSettings(quantile=0.9))
    assert manifolds.edge == pytest.approx(float(np.sqrt(stats.chi2.ppf(0.9, 4))))
    assert manifolds.edge == pytest.approx(2.78915, abs=1e-4)


def test_outliers_are_beyond_their_own_class_and_the_same_for_each_seed(
    flow: Flow, tokens: tuple[Tensor, Tensor]
) -> None:
    settings = TailSettings(quantile=0.9, per_class=50)
    manifolds = Manifolds.of(flow, *tokens, settings)
    made, labels = manifolds.outside(settings)
    assert made.shape == (100, 4)
    assert labels.tolist() == [0] * 50 + [1] * 50
    distances = manifolds.distances(made)
    assert float(distances.gather(1, labels[:, None]).min()) > manifolds.edge * (1 - 1e-4)
    assert torch.equal(manifolds.outside(settings)[0], made)
    assert not torch.equal(manifolds.outside(settings.model_copy(update={"seed": 1}))[0], made)
    fewer, _ = manifolds.outside(settings.model_copy(update={"per_class": 20}))
    assert fewer.shape == (40, 4)


def files(folder: Path, flow: Flow, tokens: tuple[Tensor, Tensor], width: int = 4) -> list[str]:
    """Options of the stage on files of these tokens, with held-out ones of another width."""
    new = drawn(30, width, seed=5)
    arrays: Arrays = {
        "embeddings": tokens[0].numpy(),
        "labels": tokens[1].numpy(),
        "held_out_embeddings": new.numpy(),
        "held_out_labels": np.arange(30) % 2,
        "held_out_word_loss": np.full(30, 0.5, np.float32),
        "held_out_token_loss": np.full(30, 0.25, np.float32),
    }
    write_tensors(folder / "inverted", arrays, {"classes": CLASSES, "space": SPACE})
    flow.save(folder / "flow", SPACE)
    line = {"inverted": folder / "inverted", "flow": folder / "flow", "output": folder / "tails"}
    return [part for key, value in line.items() for part in (f"--{key}", str(value))]


def test_the_stage_writes_what_the_functions_give(
    flow: Flow, tokens: tuple[Tensor, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = TailSettings(quantile=0.95, per_class=10)
    tails.main([*files(tmp_path, flow, tokens), "--settings", settings.canonical()])
    found, header = read_tensors(tmp_path / "tails")
    manifolds = Manifolds.of(flow, *tokens, settings)
    made, labels = manifolds.outside(settings)
    assert np.array_equal(found["embeddings"], made.numpy())
    assert found["labels"].tolist() == labels.tolist()
    np.testing.assert_allclose(found["distances"], manifolds.distances(made))
    np.testing.assert_allclose(found["held_out"], manifolds.distances(drawn(30, 4, seed=5)))
    assert float(found["edge"][0]) == manifolds.edge
    assert header == {"classes": CLASSES, "space": SPACE}
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (shown["quantile"], shown["word_loss"], shown["token_loss"]) == (0.95, 0.5, 0.25)
    assert shown["held_out_inside"]["of"] == 30


def test_other_widths_are_refused(
    flow: Flow, tokens: tuple[Tensor, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        tails.main([*files(tmp_path, flow, tokens, width=5), "--settings", "{}"])
    assert capsys.readouterr().err == (
        "error: the tokens of held-out ID images are 5 wide, the network was fitted to tokens of 4; run fit_flow again "
        "with what invert wrote for this generator\n"
    )
    assert not (tmp_path / "tails").exists()
    with pytest.raises(SynthoodError, match="the tokens of ID training images are 3 wide"):
        Manifolds.of(flow, drawn(6, 3), torch.arange(6) % 2, TailSettings())
