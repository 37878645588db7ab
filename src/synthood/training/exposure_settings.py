"""Settings of what a network learns from outlier images beside the batch."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from synthood.common.settings import Fraction, Name, Positive, Settings
from synthood.training.method_settings import Weight

OutlierSection = Annotated[Name, Field(alias="from", description="a section of `outliers`, of which the gate's images")]
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
    operation: Literal["cutmix", "mixup"] = "cutmix"
    beta: Annotated[Positive, Field(description="of the share's Beta(beta, beta)")] = 1.0


class DiscrepancyExposure(Settings):
    """Two last layers that differ on outliers (MCD, arXiv 1908.04951)."""

    kind: Literal["discrepancy"]
    from_: OutlierSection
    weight: Weight = 1.0
    per_image: PerImage = 1.0
    margin: Annotated[Positive, Field(description="difference of the entropies that is enough, in nats")] = 1.2
    start: Annotated[Fraction, Field(description="share of the steps without the discrepancy")] = 0.5


Exposure = Annotated[
    UniformExposure | EnergyExposure | LogisticExposure | MixedExposure | DiscrepancyExposure,
    Field(discriminator="kind"),
]
