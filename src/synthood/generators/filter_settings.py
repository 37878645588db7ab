"""Settings of the filter of synthetic images."""

from typing import Annotated

from pydantic import Field

from synthood.common.settings import REAL_IMAGES, Count, Fraction, Name, Ref, Seed, Settings, unless


class Filter(Settings):
    """Which synthetic images are kept, and out of how many."""

    classifier: Annotated[
        Name,
        Ref("recipes", seed="classifier_seed", without=REAL_IMAGES),
        Field(description="a recipe trained on real images alone, other than the judge"),
    ]
    classifier_seed: Annotated[Seed, Field(description="apart from the seeds of every table")] = 1001
    attempts_per_class: Annotated[Count, Field(description="images made of each class; too few kept is an error")]
    min_posterior: Annotated[Fraction, Field(description="of the intended class, which must also be the likeliest")] = (
        0.5
    )
    copy_percentile: Annotated[
        float,
        unless(lambda value: 0 < value < 0.1, "expected percent, not a share: 1 for 1 %, not 0.01; 0, or from 0.1"),
        Field(ge=0, lt=100, description="nearer to a training image of the class than so many real ones; 0: no test"),
    ] = 1.0
    max_shift: Annotated[int, Field(ge=0, description="pixels over which the nearest training image is sought")] = 3


class FilterSettings(Settings):
    """One job of `filter`."""

    filter: Filter
    images_per_class: Count
