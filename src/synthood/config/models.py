"""The whole configuration as one typed model; the sections' models live with their stages."""

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.precision import Precision
from synthood.common.settings import Name, Ref, Settings
from synthood.data.leaks.settings import LeakSettings
from synthood.data.settings import DatasetSettings
from synthood.evaluation.settings import AnyDetector
from synthood.generators.assess_settings import AssessSettings
from synthood.generators.kinds.base import AnyGenerator
from synthood.outliers.settings import AnyOutliers
from synthood.reporting.settings import Figures, TableSettings
from synthood.training.settings import Recipe


class Config(Settings):
    """config.yaml, after `like:` has been followed."""

    version: Annotated[Literal[2], Field(description="of this format; files of version 1 are read as well")]
    build: Annotated[list[Name], Ref("tables"), Field(min_length=1, description="the tables that `snakemake` makes")]
    precision: Annotated[Precision, Field(description="auto: bfloat16 where the processor has it")] = "auto"
    datasets: Annotated[dict[Name, DatasetSettings], Field(min_length=1, description="ID images and OOD sets by name")]
    leaks: Annotated[LeakSettings | None, Field(description="look for images that stand in two parts")] = None
    generators: Annotated[
        dict[Name, AnyGenerator], Field(min_length=1, description="of synthetic ID images, by name")
    ] = {}
    assess: AssessSettings | None = None
    outliers: Annotated[dict[Name, AnyOutliers], Field(min_length=1, description="synthetic outliers by name")] = {}
    recipes: Annotated[dict[Name, Recipe], Field(min_length=1, description="how a classifier is trained, by name")]
    detectors: Annotated[dict[Name, AnyDetector], Field(min_length=1, description="OOD detectors by name")]
    tables: Annotated[dict[Name, TableSettings], Field(min_length=1, description="what is compared, by name")]
    figures: Figures = Figures()
