"""Outlier exposure: images of outliers next to the batch, with uniform posteriors or bounded energies."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from synthood.common.lazy import F, Tensor, torch
from synthood.common.settings import Name, Positive, Ref
from synthood.training.methods.base import Method, Weight
from synthood.training.methods.term import AuxiliaryInputs, Batch, Context, Term
from synthood.training.terms.losses import mean

PerImage = Annotated[Positive, Field(description="outliers per ID image of a batch")]


class Exposure(Method):
    """A term that sees outlier images; `from` is a section of `outliers` or an `extra` set."""

    key = "exposure"
    meaning = "outlier images next to the batch"
    order = 4

    from_: Annotated[
        Name,
        Ref("outliers", or_section="extra"),
        Field(
            alias="from",
            description="a section of `outliers`, of which the gate's images, or an `extra` set of images",
        ),
    ]


class UniformExposure(Exposure):
    """Uniform posteriors on outlier images."""

    paper = "OE, arXiv 1812.04606"

    kind: Literal["uniform"] = "uniform"
    weight: Weight = 0.5
    outliers_per_image: PerImage = 1.0

    def terms(self, context: Context) -> dict[str, Term]:
        return {"exposure": UniformPosteriors(self, context)}


class EnergyExposure(Exposure):
    """Energies bounded from above for ID, from below for outlier images."""

    paper = "arXiv 2010.03759"

    kind: Literal["energy"] = "energy"
    weight: Weight = 0.1
    outliers_per_image: PerImage = 1.0
    m_in: Annotated[float, Field(description="energy of ID images that costs nothing")] = -23.0
    m_out: Annotated[float, Field(description="energy of outliers that costs nothing")] = -5.0

    @model_validator(mode="after")
    def _a_gap(self) -> Self:
        if self.m_in >= self.m_out:
            raise ValueError(f"m_in {self.m_in} must lie below m_out {self.m_out}; ID images have the lower energies")
        return self

    def terms(self, context: Context) -> dict[str, Term]:
        return {"exposure": BoundedEnergies(self, context)}


class OutlierImages(Term):
    """A loss of outlier images uint8 [M,H,W,3], some of which go through the network with each batch."""

    def __init__(self, settings: Exposure, context: Context) -> None:
        super().__init__()
        self.settings, self.prepared = settings, context.prepared
        self.register_buffer("images", torch.from_numpy(context.exposed), persistent=False)

    def drawn(self, id_images: int, random: torch.Generator) -> Tensor:
        """Outliers for so many ID images, drawn with replacement, through the same augmentation."""
        images = self.get_buffer("images")
        per_image = getattr(self.settings, "outliers_per_image", 1.0)
        count = max(1, round(per_image * id_images))
        rows = torch.randint(len(images), (count,), generator=random).to(images.device, non_blocking=True)
        return self.prepared(images[rows], random)

    def auxiliary_inputs(self, inputs: Tensor, labels: Tensor, random: torch.Generator) -> AuxiliaryInputs:
        return AuxiliaryInputs(self.drawn(len(inputs), random))


class UniformPosteriors(OutlierImages):
    """OE's loss (arXiv 1812.04606, section 4.3)."""

    settings: UniformExposure

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"exposure": self.settings.weight * uniformity(batch.auxiliary["exposure"].logits)}


class BoundedEnergies(OutlierImages):
    """Bounds on the energies of ID and outlier images (arXiv 2010.03759, eq. 7 and 8)."""

    settings: EnergyExposure

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        bounds = self.settings.m_in, self.settings.m_out
        loss = bounded_energy(batch.logits, batch.auxiliary["exposure"].logits, *bounds, batch.weights)
        return {"exposure": self.settings.weight * loss}


def uniformity(logits: Tensor) -> Tensor:
    """Mean cross-entropy of logits [M,C] to the uniform distribution (arXiv 1812.04606, section 4.3)."""
    return (logits.logsumexp(1) - logits.mean(1)).mean()


def bounded_energy(known: Tensor, outliers: Tensor, m_in: float, m_out: float, weights: Tensor | None = None) -> Tensor:
    """Mean squared hinges of the energies -logsumexp of logits [N,C] and [M,C] (arXiv 2010.03759, eq. 7 and 8)."""
    above = F.relu(-known.logsumexp(1) - m_in)
    below = F.relu(m_out + outliers.logsumexp(1))
    return mean(above**2, weights) + (below**2).mean()
