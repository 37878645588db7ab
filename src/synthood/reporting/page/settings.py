"""Settings of the report page: what it must know of a configuration, and where pictures come from."""

from itertools import product
from typing import Annotated, Literal

from pydantic import Field, model_validator

from synthood.common.settings import JobSettings, Name, Settings
from synthood.plugins import Plugin, WithPlainPlugins
from synthood.reporting.settings import TableSettings, metric_of

PictureKind = Literal["synthetic", "outliers", "curve", "map"]


class PageTable(TableSettings):
    """One table of the page, and what must be known of its rows."""

    name: Name
    near: dict[Name, list[Name]] = {}
    far: dict[Name, list[Name]] = {}
    computed: Annotated[dict[Name, list[Name]], Field(description="OOD sets whose images are computed")] = {}
    evidence: Annotated[dict[Name, str], Field(description="what each dataset's OOD sets are, in words")] = {}
    ensembles: Annotated[list[Name], Field(description="detectors that are one model of all seeds")] = []
    fixed: Annotated[list[Name], Field(description="recipes that are one model for all seeds")] = []
    outside: Annotated[dict[Name, str], Field(description="recipes that learn from more than ID images")] = {}


class Picture(Settings):
    """A picture of the page: of a generator, of a section of outliers, or a map of a recipe's features."""

    kind: PictureKind
    dataset: Name
    name: Name


class PageSettings(JobSettings, WithPlainPlugins):
    """One job of `report_page`: all tables that are built."""

    tables: Annotated[list[PageTable], Field(min_length=1, description="in the order of the files")]
    papers: Annotated[
        dict[str, list[str]],
        Field(description="where detectors and recipes were published, by their name"),
    ] = {}
    pictures: Annotated[list[Picture], Field(description="in the order of the files")] = []
    jobs: Annotated[list[str], Field(description="recipes, generators and outliers whose times are shown")] = []
    configuration: Annotated[str, Field(description="the configuration as YAML, compressed by zlib, in base64")] = ""
    assets: Annotated[str, Field(description="digest of the page's template, style and scripts")] = ""

    @model_validator(mode="after")
    def _tables_differ(self) -> "PageSettings":
        names = [table.name.lower() for table in self.tables]
        for table in self.tables:
            if names.count(table.name.lower()) > 1:
                raise ValueError(f"two tables are named {table.name!r} or alike; give each a name of its own")
        return self

    @property
    def runs(self) -> list[tuple[str, str, int]]:
        """Dataset, recipe and seed of every run of the tables, each once."""
        each = (product(table.datasets, table.all_recipes, table.seeds) for table in self.tables)
        return list(dict.fromkeys(run for runs in each for run in runs))

    def plain_plugins(self) -> dict[str, Plugin]:
        """The metrics that columns name."""
        return {column: metric_of(column) for one in self.tables for column in one.columns if isinstance(column, str)}
