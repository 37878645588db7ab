"""Two estimators of mutual information: InfoNCE from below, CLUB from above."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

HIDDEN = 128


def infonce(positive: Tensor, negatives: Tensor) -> Tensor:
    """-mean log( e^p / (e^p + sum e^n) ) of scores p [N] and n [N,K] (arXiv 1807.03748, equation 4).

    A negative of minus infinity counts as absent.
    """
    return (torch.cat([positive[:, None], negatives], 1).logsumexp(1) - positive).mean()


class ConditionalGaussian(nn.Module):
    """q(y|x): mean and log-variance of y [N,E], coordinate by coordinate, by small networks of x [N,D]."""

    def __init__(self, given: int, width: int) -> None:
        super().__init__()
        self.mean = nn.Sequential(nn.Linear(given, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, width))
        # tanh keeps the variance within [1/e, e], as the papers' code does.
        self.log_variance = nn.Sequential(nn.Linear(given, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, width), nn.Tanh())

    def log_likelihood(self, given: Tensor, target: Tensor) -> Tensor:
        """log q(y_j|x_i) [N,M] of x [N,D] and y [M,E], without the constant."""
        mean, log_variance = self.mean(given), self.log_variance(given)
        return gaussian_log_likelihood(mean, log_variance, target)

    def forward(self, given: Tensor, target: Tensor) -> Tensor:
        return self.log_likelihood(given, target)

    def with_own_parameters_held(self, given: Tensor, target: Tensor) -> Tensor:
        """The same, with gradient into `target` alone."""
        held = {name: value.detach() for name, value in self.named_parameters()}
        result: Tensor = functional_call(self, held, (given, target))
        return result


def gaussian_log_likelihood(mean: Tensor, log_variance: Tensor, target: Tensor) -> Tensor:
    """Log-density [N,M] of targets [M,E] under N diagonal Gaussians [N,E], without the constant, as matrix products."""
    precision = torch.exp(-log_variance)
    squared = (precision * mean.square()).sum(1, keepdim=True) + precision @ target.square().T
    return -0.5 * (squared - 2 * (precision * mean) @ target.T + log_variance.sum(1, keepdim=True))


def club(log_likelihood: Tensor) -> Tensor:
    """CLUB (arXiv 2006.12013, equation 9) of log q(y_j|x_i) [N,N], pairs on the diagonal.

    The negative mean leaves the diagonal out, which makes the estimate unbiased; of a single pair it is 0.
    """
    count = len(log_likelihood)
    paired = log_likelihood.diagonal().sum()
    if count == 1:
        return 0 * paired
    return paired / count - (log_likelihood.sum() - paired) / (count * (count - 1))


def cosines(queries: Tensor, others: Tensor) -> Tensor:
    """Cosines [N,K] of queries [N,D] and others [K,D]."""
    return F.normalize(queries) @ F.normalize(others).T
