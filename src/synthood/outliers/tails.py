"""Stage `tails`: tokens outside the class manifolds, from the tails of Gaussians in z (NCIS)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import chi
from torch import Tensor

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.common.json import finite_json
from synthood.common.seeds import generator
from synthood.common.tensors import Arrays, read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.outliers.flow import Flow, check_tokens
from synthood.outliers.inverted_settings import TailSettings
from synthood.outliers.manifold_shares import manifold_figures
from synthood.outliers.spaces import EmbeddingSpace


@dataclass(frozen=True)
class Gaussians:
    """Of each class in z: means float64 [C,D], and factors L [C,D,D] of the covariances L L^T."""

    means: Tensor
    factors: Tensor

    @classmethod
    def of(cls, latent: Tensor, labels: Tensor, classes: int, shrinkage: float) -> "Gaussians":
        """Of z float32 [N,D] of the classes' images."""
        means, factors = [], []
        for label in range(classes):
            own = latent[labels == label].double()
            covariance = own.T.cov()
            level = covariance.diagonal().mean() * torch.eye(own.shape[1], dtype=torch.float64)
            means.append(own.mean(0))
            factors.append(torch.linalg.cholesky(torch.lerp(covariance, level, shrinkage)))
        return cls(torch.stack(means), torch.stack(factors))

    def distances(self, latent: Tensor, label: int) -> Tensor:
        """Mahalanobis distances float64 [N] of z [N,D] to a class."""
        centred = (latent.double() - self.means[label]).T
        return torch.linalg.solve_triangular(self.factors[label], centred, upper=False).norm(dim=0)

    def tail(self, label: int, count: int, quantile: float, random: torch.Generator) -> Tensor:
        """z float32 [N,D] of a class, as its Gaussian has them given a distance beyond its quantile.

        Directions are uniform and distances follow the chi law with D degrees of freedom, so that nothing is rejected.
        """
        size = self.means.shape[1]
        directions = F.normalize(torch.randn((count, size), generator=random, dtype=torch.float64))
        ranks = quantile + (1 - quantile) * torch.rand(count, generator=random, dtype=torch.float64)
        far = torch.from_numpy(chi.ppf(ranks.numpy(), size))
        return (self.means[label] + (far[:, None] * directions) @ self.factors[label].T).float()


@dataclass(frozen=True)
class Manifolds:
    """The classes' manifolds: tokens whose z lies within the quantile of the distances under the class's Gaussian."""

    flow: Flow
    gaussians: Gaussians
    quantile: float

    @classmethod
    def of(cls, flow: Flow, tokens: Tensor, labels: Tensor, settings: TailSettings) -> "Manifolds":
        """Of tokens float32 [N,D] of ID training images; raises SynthoodError where the network has another width."""
        check_width(flow, tokens, "the tokens of ID training images")
        check_tokens(tokens, labels, flow.classes)
        latent = flow.to_latent(tokens, labels)
        return cls(flow, Gaussians.of(latent, labels, len(flow.classes), settings.shrinkage), settings.quantile)

    @property
    def edge(self) -> float:
        """The distance at which a manifold ends."""
        return float(chi.ppf(self.quantile, self.gaussians.means.shape[1]))

    def distances(self, tokens: Tensor) -> Tensor:
        """Distances float64 [N,C] of tokens float32 [N,D] to every class, in z as of that class."""
        columns = []
        for label in range(len(self.flow.classes)):
            latent = self.flow.to_latent(tokens, torch.full((len(tokens),), label))
            columns.append(self.gaussians.distances(latent, label))
        return torch.stack(columns, 1)

    def outside(self, settings: TailSettings) -> tuple[Tensor, Tensor]:
        """Tokens float32 [C*P,D] from the tails, and the classes int64 [C*P] whose tails they are."""
        parts = []
        for label in range(len(self.flow.classes)):
            random = generator(settings.seed, "tails", label)
            latent = self.gaussians.tail(label, settings.per_class, self.quantile, random)
            parts.append(self.flow.to_tokens(latent, torch.full((len(latent),), label)))
        return torch.cat(parts), torch.arange(len(parts)).repeat_interleave(settings.per_class)

    def arrays(self, settings: TailSettings, held_out: Tensor) -> Arrays:
        """Outliers with their classes, distances of them and of held-out tokens [V,D] to all classes, and the edge."""
        made, classes = self.outside(settings)
        return {
            "embeddings": made.numpy(),
            "labels": classes.numpy(),
            "distances": self.distances(made).numpy(),
            "held_out": self.distances(held_out).numpy(),
            "quantile": np.array([self.quantile]),
            "edge": np.array([self.edge]),
        }


def check_width(flow: Flow, tokens: Tensor, what: str) -> None:
    """Raises SynthoodError unless the network was fitted to tokens as wide as these."""
    if tokens.shape[1] != len(flow.centre):
        raise SynthoodError(
            f"{what} are {tokens.shape[1]} wide, the network was fitted to tokens of {len(flow.centre)}; run fit_flow "
            f"again with what invert wrote for this generator"
        )


@stage.Stage
def main(
    job: stage.Job,
    settings: TailSettings,
    threads: int,
    inverted: Annotated[Path, "what invert wrote"],
    flow: Annotated[Path, "what fit_flow wrote"],
    output: Output,
) -> None:
    set_threads(threads)
    arrays, header = read_tensors(inverted)
    space, fitted = EmbeddingSpace.of(header, inverted), Flow.load(flow)
    tokens, labels, held_out = (
        torch.from_numpy(arrays[name]) for name in ("embeddings", "labels", "held_out_embeddings")
    )
    check_width(fitted, held_out, "the tokens of held-out ID images")
    manifolds = Manifolds.of(fitted, tokens, labels, settings)
    found = manifolds.arrays(settings, held_out)
    found |= {name: arrays[name] for name in ("held_out_labels", "held_out_word_loss", "held_out_token_loss")}
    with job.writing(output) as path:
        write_tensors(path, found, {"classes": header["classes"], "space": space.header()})
    print(json.dumps(finite_json(manifold_figures(found))))


if __name__ == "__main__":
    main()
