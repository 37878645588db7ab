"""Settings of the `assess` section: how synthetic images are judged."""

from typing import Annotated

from pydantic import Field

from synthood.common.settings import REAL_IMAGES, Name, Ref, Seed, Settings


class AssessSettings(Settings):
    """Who judges synthetic images, and by how many."""

    judge: Annotated[
        Name,
        Ref("recipes", seed="judge_seed", without=(*REAL_IMAGES, "teacher", "warm_start")),
        Field(description="a recipe trained on real images alone, or a checkpoint"),
    ]
    judge_seed: Annotated[Seed, Field(description="apart from the seeds of every table")] = 1000
    images: Annotated[int, Field(ge=2, description="synthetic images assessed, the first of them")] = 600
    max_shift: Annotated[int, Field(ge=0, description="pixels over which the nearest training image is sought")] = 3
    resamples: Annotated[int, Field(ge=2, description="bootstrap resamples behind the intervals of FID and KID")] = 100
    inception: Annotated[
        str | None, Field(min_length=1, description="weights of Inception v3: torchvision's, or pytorch-fid's")
    ] = None
