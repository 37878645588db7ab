"""Settings of the stage `gate`."""

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.settings import PERCENT, REAL_IMAGES, Count, Name, Ref, Seed, Settings


class GateSettings(Settings):
    """Which latents count as outliers: by a classifier's posterior and its k-nearest-neighbour distance."""

    classifier: Annotated[
        Name,
        Ref("recipes", seed="classifier_seed", without=REAL_IMAGES),
        Field(description="a recipe that learns from real images alone, not the judge"),
    ]
    classifier_seed: Annotated[Seed, Field(description="training seed of the classifier")] = 0
    keep_per_class: Annotated[int, Field(ge=1, description="accepted outliers kept of each class")]
    accept: Annotated[
        Literal["outliers", "all"], Field(description="all: whatever was sampled, as the papers' code does")
    ] = "outliers"
    max_posterior: Annotated[float, Field(gt=0, le=1, description="bound on the intended class's posterior")] = 0.5
    max_confidence: Annotated[float, Field(gt=0, le=1, description="bound on the largest posterior")] = 1.0
    distance: Annotated[
        Literal["knn", "density"],
        Field(description="to the k-th nearest ID feature, or to the nearest class's Gaussian of one covariance"),
    ] = "knn"
    k: Annotated[Count, Field(description="neighbours; distances are to the k-th")] = 10
    percentile: Annotated[
        float,
        PERCENT,
        Field(ge=0, le=100, description="of ID validation images' distances that an outlier must exceed"),
    ] = 95.0
