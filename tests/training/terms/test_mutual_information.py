"""InfoNCE and CLUB on Gaussians of known information, and each by its formula."""

import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from synthood.training.terms.mutual_information import (
    ConditionalGaussian,
    club,
    cosines,
    gaussian_log_likelihood,
    infonce,
)

INFORMATION = [0.5, 1.0, 2.0]
NEGATIVES = 256


def pairs(information: float, count: int, batches: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of x and y, each [count,1]: y = r x + sqrt(1 - r^2) e, of information -log(1 - r^2) / 2 nats."""
    r = math.sqrt(1 - math.exp(-2 * information))
    random = torch.Generator().manual_seed(seed)
    for _ in range(batches):
        x, e = torch.randn((2, count, 1), generator=random)
        yield x, r * x + math.sqrt(1 - r**2) * e


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean of independent values and its standard error."""
    found = torch.tensor(values, dtype=torch.float64)
    return float(found.mean()), float(found.std()) / math.sqrt(len(found))


class QuadraticCritic(nn.Module):
    """Scores [N,M] of x [N,1] and y [M,1]: -(y - a x)^2 / 2 e^b + c y^2."""

    def __init__(self) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        a, b, c = self.coefficients
        return c * y.T.square() - (y.T - a * x).square() / (2 * b.exp())


def contrasted(scores: Tensor) -> Tensor:
    """InfoNCE of scores [N,N]: pairs on the diagonal, all others of a row as negatives."""
    own = torch.eye(len(scores), dtype=torch.bool)
    return infonce(scores.diagonal(), scores.masked_fill(own, -torch.inf))


def infonce_bound(loss: float, negatives: int) -> float:
    """Lower bound in nats that an InfoNCE loss with so many negatives gives; at most log(negatives + 1)."""
    return math.log(negatives + 1) - loss


def fitted_critic(information: float) -> QuadraticCritic:
    critic, steps = QuadraticCritic(), 200
    optimizer = torch.optim.Adam(critic.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for x, y in pairs(information, NEGATIVES + 1, steps, seed=1):
        loss = contrasted(critic(x, y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return critic


@pytest.mark.parametrize("information", INFORMATION)
def test_infonce_with_a_learned_critic_is_just_below_the_information(information: float) -> None:
    critic = fitted_critic(information)
    with torch.no_grad():
        bounds = [
            infonce_bound(float(contrasted(critic(x, y))), NEGATIVES)
            for x, y in pairs(information, NEGATIVES + 1, 300, seed=2)
        ]
    mean, error = mean_and_error(bounds)
    assert error < 0.01
    assert information - 0.15 <= mean - 3 * error
    assert mean <= information + 3 * error


def test_infonce_of_a_critic_that_knows_nothing_is_zero() -> None:
    scores = torch.zeros(NEGATIVES + 1, NEGATIVES + 1)
    assert infonce_bound(float(contrasted(scores)), NEGATIVES) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("negatives", [1, 7, 256])
def test_infonce_saturates_at_the_logarithm_of_its_negatives(negatives: int) -> None:
    """Scores that tell every pair, and pairs of 8 nats under the true critic, far more than log 257."""
    sure = infonce(torch.full((5,), 100.0), torch.zeros(5, negatives))
    assert infonce_bound(float(sure), negatives) == pytest.approx(math.log(negatives + 1))
    x, y = next(pairs(8.0, negatives + 1, 1, seed=3))
    variance = math.exp(-16)
    scores = -(y.T.double() - math.sqrt(1 - variance) * x.double()).square() / (2 * variance)
    told = infonce_bound(float(contrasted(scores)), negatives)
    assert 0.9 * math.log(negatives + 1) < told <= math.log(negatives + 1)


rows = st.lists(st.floats(-20, 20), min_size=4, max_size=4)


@given(st.lists(rows, min_size=1, max_size=5), st.data())
def test_infonce_is_its_formula_without_the_absent_negatives(scores: list[list[float]], data: st.DataObject) -> None:
    """Each row is a positive and three negatives, some of them minus infinity."""
    kept = [data.draw(st.lists(st.booleans(), min_size=3, max_size=3)) for _ in scores]
    total = 0.0
    for (positive, *negatives), keeps in zip(scores, kept, strict=True):
        present = [n for n, keep in zip(negatives, keeps, strict=True) if keep]
        total -= math.log(math.exp(positive) / (math.exp(positive) + sum(map(math.exp, present))))
    table = torch.tensor(scores, dtype=torch.float64).requires_grad_()
    found = infonce(table[:, 0], table[:, 1:].masked_fill(~torch.tensor(kept), -torch.inf))
    found.backward()
    assert found.item() == pytest.approx(total / len(scores), abs=1e-9)
    assert table.grad is not None
    assert table.grad.isfinite().all()
    assert table.grad[:, 1:][~torch.tensor(kept)].abs().sum() == 0


@pytest.mark.parametrize("information", INFORMATION)
def test_club_with_the_true_conditional_is_its_closed_form(information: float) -> None:
    """e^2I - 1; batches of 16, of which a mean that counts the pairs would be 1/16 short."""
    variance = math.exp(-2 * information)
    values = []
    for x, y in pairs(information, 16, 6000, seed=4):
        mean = math.sqrt(1 - variance) * x
        values.append(float(club(gaussian_log_likelihood(mean, torch.full_like(mean, math.log(variance)), y))))
    mean, error = mean_and_error(values)
    expected = math.exp(2 * information) - 1
    assert error < 0.015 * expected
    assert abs(mean - expected) < 3 * error


@pytest.mark.parametrize("information", INFORMATION)
def test_club_fitted_by_likelihood_comes_near_its_closed_form(information: float) -> None:
    """y in units of its conditional deviation, as the tanh bounds the variance; first the mean, then both."""
    unit = math.exp(information)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conditional = ConditionalGaussian(1, 1)
    for parameters, seed in ((conditional.mean.parameters(), 5), (conditional.parameters(), 6)):
        optimizer = torch.optim.Adam(parameters, 0.005)
        for x, y in pairs(information, 256, 300, seed):
            loss = -conditional(x, unit * y).diagonal().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        values = [float(club(conditional(x, unit * y))) for x, y in pairs(information, 256, 200, seed=7)]
    mean, error = mean_and_error(values)
    expected = math.exp(2 * information) - 1
    assert error < 0.01 * expected
    assert abs(mean - expected) < 0.1 * expected


def test_club_is_its_formula() -> None:
    table = torch.randn((5, 5), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    paired = [table[i, i].item() for i in range(5)]
    unpaired = [table[i, j].item() for i in range(5) for j in range(5) if i != j]
    assert club(table).item() == pytest.approx(sum(paired) / 5 - sum(unpaired) / 20)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=6))
def test_club_is_unbiased_over_all_pairings(values: list[float]) -> None:
    """Every rotation of the pairing once: the mean of a table that knows nothing of pairs is zero."""
    table = torch.tensor(values, dtype=torch.float64)[:, None] * torch.arange(len(values), dtype=torch.float64)
    found = [club(table.roll(shift, 1)).item() for shift in range(len(values))]
    assert sum(found) == pytest.approx(0.0, abs=1e-9)


def test_club_of_a_single_pair_is_finite() -> None:
    """The last batch of an epoch may hold one image, which has nothing to be held against."""
    assert torch.isfinite(club(torch.tensor([[-1.5]])))


def test_gaussian_log_likelihood_is_that_of_torch() -> None:
    random = torch.Generator().manual_seed(1)
    mean, log_variance = torch.randn((2, 4, 3), generator=random)
    target = torch.randn((5, 3), generator=random)
    found = gaussian_log_likelihood(mean, log_variance, target)
    assert found.shape == (4, 5)
    for i in range(4):
        density = Independent(Normal(mean[i], (log_variance[i] / 2).exp()), 1)
        expected = density.log_prob(target) + 1.5 * math.log(2 * math.pi)
        torch.testing.assert_close(found[i], expected, rtol=1e-4, atol=1e-4)


def test_conditional_gaussian_is_its_two_networks_with_bounded_variance() -> None:
    conditional = ConditionalGaussian(2, 3)
    x, y = 100 * torch.eye(2), torch.zeros(1, 3)
    assert conditional.log_variance(x).abs().max() <= 1
    expected = gaussian_log_likelihood(conditional.mean(x), conditional.log_variance(x), y)
    torch.testing.assert_close(conditional(x, y), expected)


def test_held_parameters_get_no_gradient_and_the_target_the_right_one() -> None:
    """d/dy_j sum_ij log q(y_j|x_i) = - sum_i (y_j - mean_i) / variance_i."""
    random = torch.Generator().manual_seed(2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conditional = ConditionalGaussian(2, 3)
    x, y = torch.randn((4, 2), generator=random), torch.randn((5, 3), generator=random).requires_grad_()
    free, held = conditional(x, y), conditional.with_own_parameters_held(x, y)
    assert torch.equal(free, held)
    held.sum().backward()
    assert all(parameter.grad is None for parameter in conditional.parameters())
    mean, variance = conditional.mean(x).detach(), conditional.log_variance(x).detach().exp()
    expected = -((y.detach()[None] - mean[:, None]) / variance[:, None]).sum(0)
    torch.testing.assert_close(y.grad, expected, rtol=1e-4, atol=1e-4)
    free.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in conditional.parameters())


def test_cosines_by_hand() -> None:
    queries, others = torch.tensor([[2.0, 0.0], [3.0, 3.0]]), torch.tensor([[0.0, 5.0], [1.0, 0.0], [-1.0, 0.0]])
    half = math.sqrt(0.5)
    torch.testing.assert_close(cosines(queries, others), torch.tensor([[0.0, 1.0, -1.0], [half, half, -half]]))
