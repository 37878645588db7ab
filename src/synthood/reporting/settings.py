"""Settings of the `tables` and `figures` sections."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, WrapValidator, model_validator

from synthood.common.settings import Count, JobSettings, Name, Ref, Seed, Settings
from synthood.evaluation.metrics.base import Metric
from synthood.evaluation.metrics.custom import CustomMetric
from synthood.plugins import Kind, description_of, plugins

METRICS = {kind: cls for kind, cls in plugins(Metric, "synthood.evaluation.metrics").items() if kind != "custom"}
MetricName = Annotated[str, Kind(METRICS)]
NAMES = TypeAdapter[str](MetricName)


def _of_name_or_keys(value: Any, _: Any) -> Any:
    """Errors of one alternative, not of both."""
    return (
        CustomMetric.model_validate(value) if isinstance(value, dict | CustomMetric) else NAMES.validate_python(value)
    )


Column = Annotated[MetricName | CustomMetric, WrapValidator(_of_name_or_keys)]


def metric_of(column: str | CustomMetric) -> Metric:
    """The metric that a column names."""
    return METRICS[column]() if isinstance(column, str) else column


class Published(Settings):
    """Published figures next to the measured ones, where they are about the same images."""

    source: Annotated[
        str, Field(min_length=1, description="openood-v1.5, openood-2023-03, sio-table1, or a CSV file of yours")
    ]
    trainings: Annotated[dict[Name, str], Field(min_length=1, description="the source's name of each recipe")]
    detectors: Annotated[dict[Name, str], Field(min_length=1, description="the source's name of each detector")]
    datasets: Annotated[dict[Name, str], Field(description="the source's name of a dataset, where it is another")] = {}
    sets: Annotated[dict[Name, Name], Field(description="the source's name of an OOD set, where it is another")] = {}
    network: Annotated[str | None, Field(description="where the source has several")] = None


class ImageSets(Settings):
    """How many images a figure is about, by set; null where this is not known."""

    train: Annotated[Count | None, Field(description="of the ID training set")] = None
    test: Annotated[Count | None, Field(description="of the ID test set")]
    near: dict[str, Count | None] = {}
    far: dict[str, Count | None] = {}
    shifted: Annotated[dict[str, Count | None], Field(description="sets that count as ID besides the test set")] = {}


class PublishedOn(Settings):
    """What the published figures of a dataset are means over, and the source's names of the dataset's sets."""

    over: ImageSets
    names: dict[Name, str]


class PublishedFigure(Settings):
    """One published mean and its SD, as shares."""

    dataset: Name
    recipe: Name
    detector: str
    set: Name
    metric: MetricName
    value: float
    sd: float | None = None
    disputed: Annotated[str, Field(description="why the figure is probably wrong")] = ""


Plane = Literal["pca", "t-sne"]


class TableSettings(Settings):
    """Which runs stand in a table and what is said of them."""

    title: Annotated[str, Field(description="one line")] = ""
    datasets: Annotated[list[Name], Ref("datasets"), Field(min_length=1, description="a table for each")]
    recipes: Annotated[list[Name], Ref("recipes"), Field(min_length=1, description="rows")]
    seeds: Annotated[
        list[Seed], Field(min_length=1, description="a classifier is trained with each; means are over them")
    ]
    detectors: Annotated[
        list[Name],
        Ref("detectors"),
        Field(min_length=1, description="each scores every classifier; the first is tested"),
    ]
    baselines: Annotated[list[Name], Field(min_length=1, description="recipes that gains are counted from")]
    columns: Annotated[
        list[Column],
        Field(
            min_length=1,
            description="metrics shown, in order; "
            + "; ".join(f"{kind}: {description_of(cls).removesuffix('.')}" for kind, cls in METRICS.items()),
        ),
    ] = ["auroc", "fpr95_id_positive", "fpr95_ood_positive", "id_accuracy"]
    confidence: Annotated[float, Field(gt=0, lt=1, description="of the intervals")] = 0.95
    resamples: Annotated[Count, Field(description="bootstrap resamples of the images behind the intervals")] = 1000
    full_spectrum: Annotated[
        bool, Field(description="ID images are the test images and those of the dataset's `shifted` sets")
    ] = False

    published: Published | None = None

    @model_validator(mode="after")
    def _one_line(self) -> "TableSettings":
        if not self.title.isprintable():
            raise ValueError("title: must be one line without control characters")
        return self

    @model_validator(mode="after")
    def _nothing_twice(self) -> "TableSettings":
        for key in ("datasets", "recipes", "seeds", "detectors", "baselines", "columns"):
            values = getattr(self, key)
            twice = [value for value in values if values.count(value) > 1]
            if twice:
                raise ValueError(f"{key}: {twice[0]} is given twice; name each once")
        for base in self.baselines:
            if base not in self.recipes:
                raise ValueError(f"baselines: {base!r} is not one of the table's recipes {self.recipes}")
        return self

    @model_validator(mode="after")
    def _metrics_have_names_of_their_own(self) -> "TableSettings":
        names = [metric.key for metric in self.metrics]
        for metric in self.metrics:
            if isinstance(metric, CustomMetric) and (metric.name in METRICS or names.count(metric.name) > 1):
                raise ValueError(f"columns: two metrics have the name {metric.name!r}; give yours another")
        return self

    @property
    def metrics(self) -> list[Metric]:
        """Those of the columns."""
        return [metric_of(column) for column in self.columns]

    def compared(self, detector: str, part: str, metric: str) -> bool:
        """Whether recipes are compared in a sentence here: few comparisons, so that the tests keep their power."""
        return (detector, metric) == (self.detectors[0], "auroc") and part in ("near", "far")


class FigureSettings(Settings):
    """Looks of the figures."""

    dpi: Annotated[int, Field(ge=30, le=1200, description="resolution of galleries and figures")] = 120


class Figures(FigureSettings):
    """Looks of figures, and which of them are drawn."""

    contact_sheets: Annotated[bool, Field(description="draw images of every part of the datasets")] = False
    map: Annotated[
        Plane, Field(description="how the map of outliers gets its two dimensions: pca keeps distances, t-sne nearness")
    ] = "pca"


class TabulateSettings(JobSettings):
    """One job of `tabulate`: the table and the roles of each dataset's OOD sets."""

    table: TableSettings
    near: dict[Name, list[Name]]
    far: dict[Name, list[Name]]
    shifted: Annotated[dict[Name, list[Name]], Field(description="sets that count as ID beside the test set")] = {}
    published: Annotated[list[PublishedFigure], Field(description="what was published for the table's rows")] = []
    published_source: str = ""
    published_on: Annotated[dict[Name, PublishedOn], Field(description="the images that these figures are about")] = {}
    evidence: Annotated[dict[Name, str], Field(description="what each dataset's OOD sets are, in words")] = {}
    ensembles: Annotated[list[Name], Field(description="detectors that are one model of all seeds")] = []
    fixed: Annotated[list[Name], Field(description="recipes that are one model for all seeds")] = []
    priors: Annotated[str, Field(description="which recipes learn from a generator that has seen more images")] = ""


class PlotSettings(Settings):
    """One job of `plot`."""

    figures: FigureSettings
    datasets: list[Name]
    recipes: list[Name]
    seeds: list[Seed]
    detectors: list[Name]
    near: dict[Name, list[Name]]
    far: dict[Name, list[Name]]
    shifted: Annotated[dict[Name, list[Name]], Field(description="sets that count as ID beside the test set")] = {}


class MapSettings(Settings):
    """One job of `map`: the OOD sets that are drawn, and how they get into two dimensions."""

    near: list[Name]
    far: list[Name]
    plane: Plane = "pca"
