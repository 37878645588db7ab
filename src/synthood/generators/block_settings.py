"""Settings of a job that draws a block of synthetic images."""

from typing import Annotated

from pydantic import Field

from synthood.common.settings import Count, JobSettings
from synthood.generators.kinds import PACKAGE
from synthood.generators.kinds.sampling import Sampling
from synthood.plugins import OneOf


class BlockSettings(JobSettings):
    """One job of `synthesise`: images `block * block_size` and on, of which `count` are kept."""

    generator: Annotated[Sampling, OneOf(PACKAGE)]
    block: Annotated[int, Field(ge=0)]
    block_size: Count
    count: Count
