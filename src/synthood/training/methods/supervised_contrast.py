"""Contrast of ID samples with each other: SupCon and CIDER."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import F, Tensor, nn, torch
from synthood.common.settings import Count, Positive
from synthood.training.methods.base import Method, Weight
from synthood.training.methods.term import Batch, Context, ForwardOutputs, Term


class Contrastive(Method):
    """Points on the sphere behind a projection head."""

    key = "contrastive"
    meaning = "of ID samples with each other"
    order = 8
    head = "contrastive"
    hard_labels = True
    per_sample = False

    weight: Weight = 1.0
    temperature: Annotated[Positive, Field(description="divides the cosines")] = 0.1
    dimensions: Annotated[Count, Field(description="of the projection")] = 128

    def terms(self, context: Context) -> dict[str, Term]:
        return {"contrastive": SupervisedContrast(self, context.features, context.classes)}


class SupCon(Contrastive):
    """Supervised contrast of the batch's samples."""

    paper = "arXiv 2004.11362"

    kind: Literal["supcon"] = "supcon"


class Prototypes(Contrastive):
    """Samples near their class's prototype, prototypes apart."""

    dispersion: Annotated[Positive, Field(description="weight of dispersion against compactness")] = 0.5
    momentum: Annotated[float, Field(ge=0, lt=1, description="of the prototypes")] = 0.5


class Cider(Prototypes):
    """Samples near their class's prototype, prototypes apart."""

    paper = "arXiv 2203.04450"

    kind: Literal["cider"] = "cider"


class SupervisedContrast(Term):
    """SupCon (arXiv 2004.11362) or CIDER (arXiv 2203.04450) added to cross-entropy, on one view of each image.

    Detectors see the features before the projection head, as in both papers; `cider` alone reads the projection.
    """

    def __init__(self, settings: Contrastive, features: int, classes: int) -> None:
        super().__init__()
        self.settings = settings
        self.projection = nn.Sequential(
            nn.Linear(features, features), nn.ReLU(), nn.Linear(features, settings.dimensions)
        )
        if isinstance(settings, Prototypes):
            self.register_buffer("prototypes", torch.zeros(classes, settings.dimensions))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.losses(self.points(batch.features), batch.labels)

    def points(self, features: Tensor) -> Tensor:
        """Features [N,D] on the sphere, float32 [N,E]."""
        return F.normalize(self.projection(features))

    def losses(self, points: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Weighted losses of points [N,E] with labels int64 [N]."""
        settings = self.settings
        if not isinstance(settings, Prototypes):
            return {"supcon": settings.weight * supcon(points, labels, settings.temperature)}
        held = self.get_buffer("prototypes")
        prototypes = followed(held, points, labels, settings.momentum)
        with torch.no_grad():
            held.copy_(prototypes)
        near = compactness(points, prototypes.detach(), labels, settings.temperature)
        apart = dispersion(prototypes, settings.temperature)
        return {
            "cider_compactness": settings.weight * near,
            "cider_dispersion": settings.weight * settings.dispersion * apart,
        }

    def readout(self, outputs: ForwardOutputs) -> Tensor:
        """Points on the sphere [N,E]."""
        return self.points(outputs.features)


def supcon(points: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """L_out of arXiv 2004.11362, eq. 2, of unit vectors [N,E]; a sample without another of its class counts nothing."""
    itself = torch.eye(len(points), dtype=torch.bool, device=points.device)
    similarity = points @ points.T / temperature
    chances = similarity - similarity.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
    alike = (labels[:, None] == labels) & ~itself
    counts = alike.sum(1)
    own = (chances * alike).sum(1) / counts.clamp(min=1)
    return -own.sum() / (counts > 0).sum().clamp(min=1)


def followed(prototypes: Tensor, points: Tensor, labels: Tensor, momentum: float) -> Tensor:
    """Prototypes [C,E] moved towards their classes' means and back to the sphere (arXiv 2203.04450, eq. 7).

    One step per class and batch, with gradient into the points; a class that the batch lacks stays.
    """
    hot = F.one_hot(labels, len(prototypes)).to(points.dtype)
    means = hot.T @ points / hot.sum(0).clamp(min=1)[:, None]
    moved = F.normalize(momentum * prototypes + (1 - momentum) * means)
    return torch.where(hot.any(0)[:, None], moved, prototypes)


def compactness(points: Tensor, prototypes: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy of cosines to the prototypes over the temperature (arXiv 2203.04450, eq. 5)."""
    return F.cross_entropy(points @ prototypes.T / temperature, labels)


def dispersion(prototypes: Tensor, temperature: float) -> Tensor:
    """Mean over classes of log mean exp of the cosines to the others' prototypes (arXiv 2203.04450, eq. 6).

    Classes that no batch has shown yet, whose prototype is 0, are left out.
    """
    known = prototypes[prototypes.detach().abs().sum(1) > 0]
    if len(known) < 2:
        return 0 * prototypes.sum()
    itself = torch.eye(len(known), dtype=torch.bool, device=known.device)
    similarity = (known @ known.T / temperature).masked_fill(itself, -torch.inf)
    return (similarity.logsumexp(1) - math.log(len(known) - 1)).mean()
