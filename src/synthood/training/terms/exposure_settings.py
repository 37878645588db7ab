"""Settings of what a network learns from outliers: images beside the batch, embeddings, latents."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from synthood.common.settings import BEFORE_THE_END, Fraction, Name, Positive, Ref, Settings
from synthood.training.method_settings import Weight

OutlierSection = Annotated[
    Name,
    Ref("outliers", or_section="extra"),
    Field(alias="from", description="a section of `outliers`, of which the gate's images, or an `extra` set of images"),
]
PerImage = Annotated[Positive, Field(description="outliers per ID image of a batch")]


class UniformExposure(Settings):
    """Uniform posteriors on outlier images (OE, arXiv 1812.04606)."""

    kind: Literal["uniform"]
    from_: OutlierSection
    weight: Weight = 0.5
    per_image: PerImage = 1.0


class EnergyExposure(Settings):
    """Energies bounded from above for ID, from below for outlier images (arXiv 2010.03759)."""

    kind: Literal["energy"]
    from_: OutlierSection
    weight: Weight = 0.1
    per_image: PerImage = 1.0
    id_at_most: Annotated[float, Field(description="energy of ID images that costs nothing")] = -23.0
    outliers_at_least: Annotated[float, Field(description="energy of outliers that costs nothing")] = -5.0

    @model_validator(mode="after")
    def _a_gap(self) -> "EnergyExposure":
        if self.id_at_most >= self.outliers_at_least:
            raise ValueError(
                f"id_at_most {self.id_at_most} must lie below outliers_at_least {self.outliers_at_least}; "
                f"ID images have the lower energies"
            )
        return self


class LogisticExposure(Settings):
    """Energies of ID and outlier images told apart by a logistic layer (Dream-OOD, arXiv 2309.13415)."""

    kind: Literal["logistic"]
    from_: OutlierSection
    weight: Weight = 2.5
    per_image: PerImage = 1.0


class MixedExposure(Settings):
    """ID images mixed with outliers, labels with the uniform distribution (MixOE, arXiv 2111.02358)."""

    kind: Literal["mixed"]
    from_: OutlierSection
    weight: Weight = 1.0
    operation: Annotated[
        Literal["cutmix", "mixup"], Field(description="cutmix: a box of the outlier; mixup: both images blended")
    ] = "cutmix"
    beta: Annotated[Positive, Field(description="of the share's Beta(beta, beta)")] = 1.0


class DiscrepancyExposure(Settings):
    """Two last layers that differ on outliers (MCD, arXiv 1908.04951)."""

    kind: Literal["discrepancy"]
    from_: OutlierSection
    weight: Weight = 1.0
    per_image: PerImage = 1.0
    margin: Annotated[Positive, Field(description="difference of the entropies that is enough, in nats")] = 1.2
    start: Annotated[Fraction, BEFORE_THE_END, Field(description="share of the steps without the discrepancy")] = 0.5


Exposure = Annotated[
    UniformExposure | EnergyExposure | LogisticExposure | MixedExposure | DiscrepancyExposure,
    Field(discriminator="kind"),
]


class OutlierTerms(Settings):
    """Contrast of features against synthetic outliers (OAL, arXiv 2406.16525), beside the recipe's other losses."""

    from_: Annotated[Name, Ref("outliers"), Field(alias="from", description="a section of `outliers`")]
    boundary_weight: Annotated[float, Field(ge=0, description="of boundary embeddings; 0 leaves them out")] = 0.1
    latent_weight: Annotated[float, Field(ge=0, description="of latents; 0 leaves them out")] = 0.2
    energy_weight: Annotated[
        float, Field(ge=0, description="of the logistic loss of energies of the batch and of adapted latents")
    ] = 0.0
    estimator: Annotated[
        Literal["infonce", "club", "club-released"],
        Field(description="infonce: a lower bound raised; club: an upper bound lowered; club-released: as published"),
    ] = "infonce"
    temperature: Annotated[Positive, Field(description="of the cosines under infonce")] = 0.1
    take: Annotated[
        Literal["outliers", "other-classes"],
        Field(description="other-classes: ID samples of other classes in the outliers' place, a control"),
    ] = "outliers"
    latent_form: Annotated[
        Literal["whole", "row-mean"], Field(description="of latents under club; row-mean as published")
    ] = "whole"

    @model_validator(mode="after")
    def _something_to_contrast(self) -> "OutlierTerms":
        if not self.boundary_weight and not self.latent_weight:
            raise ValueError("boundary_weight and latent_weight are both 0; raise one, or take `outliers` away")
        if self.latent_form == "row-mean" and self.estimator == "infonce":
            raise ValueError("latent_form row-mean goes with the estimators club and club-released alone")
        if self.energy_weight and not (self.latent_weight and self.estimator == "infonce" and self.take == "outliers"):
            raise ValueError(
                "energy_weight needs the adapter of outlier latents: latent_weight above 0, estimator infonce, "
                "take outliers"
            )
        return self

    @property
    def maps_both_kinds(self) -> bool:
        """Whether training fits heads that bring outliers of both kinds into one space."""
        weights = self.boundary_weight and self.latent_weight
        return bool(weights) and self.estimator == "infonce" and self.take == "outliers"
