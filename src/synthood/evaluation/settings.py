"""Settings of the `detectors` section: how a sample is scored."""

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.settings import Count, Name, Positive, Settings

FACTS = ("part", "index", "label", "prediction", "probability")
"""Columns of the scores besides the detectors'."""


class Msp(Settings):
    """Maximum softmax probability (arXiv 1610.02136)."""

    kind: Literal["msp"]


class Energy(Settings):
    """T logsumexp(logits / T) (arXiv 2010.03759)."""

    kind: Literal["energy"]
    temperature: Positive = 1.0


class Knn(Settings):
    """Minus the squared distance to the k-th nearest training feature, normalised (arXiv 2204.06507)."""

    kind: Literal["knn"]
    k: Count = 50


class Mds(Settings):
    """Minus the Mahalanobis distance to the nearest class mean, tied covariance (arXiv 1807.03888)."""

    kind: Literal["mds"]


class Vim(Settings):
    """Energy minus the scaled norm of the feature's part outside the principal space (arXiv 2203.10807)."""

    kind: Literal["vim"]
    dimension: Annotated[int, Field(ge=1, description="of the principal space; below the features' dimension")] = 256


class React(Settings):
    """Energy after features are clipped at a percentile of ID validation activations (arXiv 2111.12797)."""

    kind: Literal["react"]
    percentile: Annotated[float, Field(gt=0, le=100)] = 90.0


Detector = Annotated[Msp | Energy | Knn | Mds | Vim | React, Field(discriminator="kind")]


class ScoreSettings(Settings):
    """One job of `score`: every detector on one model's features."""

    detectors: dict[Name, Detector]
    near: list[Name]
    far: list[Name]
