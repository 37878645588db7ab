"""Settings of the `tables` and `figures` sections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

from pydantic import Field, TypeAdapter, WrapValidator, model_validator

from synthood.common.settings import Count, JobSettings, Name, Ref, Seed, Settings
from synthood.errors import nearest
from synthood.evaluation.metrics.base import Metric
from synthood.evaluation.metrics.custom import CustomMetric
from synthood.plugins import Kind, Plugin, WithPlainPlugins, description_of, plugins

PACKAGE = "synthood.evaluation.metrics"
METRICS = {kind: cls for kind, cls in plugins(Metric, PACKAGE).items() if kind != "custom"}
MetricName = Annotated[str, Kind(METRICS)]
_with_keys: Any = Union[(CustomMetric, *(cls for cls in METRICS.values() if len(cls.model_fields) > 1))]
WithKeys = Annotated[_with_keys, Field(discriminator="kind")]
NAMES = TypeAdapter[str](MetricName)
WITH_KEYS = TypeAdapter[Metric](WithKeys)


def _of_name_or_keys(value: Any, _: Any) -> Any:
    """Errors of one alternative, not of both."""
    if isinstance(value, dict):
        value = {"kind": "custom"} | value
    return (WITH_KEYS if isinstance(value, dict | Metric) else NAMES).validate_python(value)


Column = Annotated[MetricName | WithKeys, WrapValidator(_of_name_or_keys)]


def metric_of(column: str | Metric) -> Metric:
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


Roles = Mapping[str, Sequence[str]]
"""OOD sets by dataset."""


Role = tuple[str, str]
"""Dataset, and near or far."""


def alone(near: Roles, far: Roles) -> dict[Role, str]:
    """By dataset and role the OOD set that is the only one, so that the mean over the role repeats its numbers."""
    roles = {"near": near, "far": far}
    return {(name, role): of[name][0] for role, of in roles.items() for name in of if len(of[name]) == 1}


Plane = Literal["pca", "t-sne"]
Summary = Literal["average", "best"]


class ComparisonSettings(Settings):
    """Which gains are tested and put in words; the p-values of all of a table are corrected together (Holm)."""

    detectors: Annotated[
        list[Name], Field(description="recipes are compared by each of these; the table's first if left out")
    ] = []
    sets: Annotated[
        list[Name], Field(min_length=1, description="near, far, names of OOD sets, or test for metrics of ID images")
    ] = ["near", "far"]
    metrics: Annotated[list[Name], Field(min_length=1, description="of the table's columns")] = ["auroc"]
    detector_baselines: Annotated[
        list[Name], Field(description="detectors that all others of the table are compared with, for each recipe")
    ] = []


class OwnDetector(Settings):
    """Recipes that a detector of theirs scores, such as G-ODIN, and whose places in the table they take."""

    detector: Annotated[Name, Ref("detectors"), Field(description="scores these recipes alone")]
    recipes: Annotated[
        dict[Name, Name],
        Ref("recipes"),
        Field(min_length=1, description="the recipe that takes the place of each of the table's recipes"),
    ]


@dataclass(frozen=True)
class Method:
    """A detector and the recipes that it scores, by the recipe of the table whose place they take."""

    detector: str
    recipes: dict[str, str]


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
    baselines: Annotated[
        list[Name], Field(min_length=1, description="recipes that gains are counted from; without, no gains are shown")
    ] = []
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

    tests: ComparisonSettings = ComparisonSettings()
    own_detectors: Annotated[
        list[OwnDetector], Field(description="more rows, of recipes that only a detector of theirs scores")
    ] = []
    summary: Annotated[
        list[Summary], Field(description="last rows: the average of each recipe over all detectors, and its best")
    ] = []

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
        for metric in self.metrics:
            if names.count(metric.key) > 1:  # once as a name, once with keys that are its defaults
                raise ValueError(f"columns: {metric.key!r} is given twice; name each once")
        return self

    @model_validator(mode="after")
    def _tests_of_what_is_shown(self) -> "TableSettings":
        known = {
            "detectors": {*self.all_detectors, *self.summary},
            "detector_baselines": set(self.detectors),
            "metrics": {metric.key for metric in self.metrics} | {"auroc"},
        }
        for key, names in known.items():
            for name in getattr(self.tests, key):
                if name not in names:
                    raise ValueError(f"tests.{key}: {name!r} is not in the table{nearest(name, names)}")
        return self

    @model_validator(mode="after")
    def _own_detectors_add_rows(self) -> "TableSettings":
        pairs = [(m.detector, recipe) for m in self.methods for recipe in m.recipes.values()]
        for own in self.own_detectors:
            for recipe, other in own.recipes.items():
                if recipe not in self.recipes:
                    raise ValueError(f"own_detectors: {recipe!r} is not one of the table's recipes {self.recipes}")
                if pairs.count((own.detector, other)) > 1:
                    raise ValueError(f"own_detectors: {other!r} by {own.detector!r} is given twice; name it once")
        for name in self.summary:
            if name in self.all_detectors or self.summary.count(name) > 1:
                raise ValueError(f"summary: {name!r} is given twice, or is a detector's name; name it once")
        return self

    @property
    def metrics(self) -> list[Metric]:
        """Those of the columns."""
        return [metric_of(column) for column in self.columns]

    @property
    def methods(self) -> list[Method]:
        """The rows: every detector with every recipe, then the recipes with a detector of their own."""
        every = {recipe: recipe for recipe in self.recipes}
        own = [Method(one.detector, dict(one.recipes)) for one in self.own_detectors]
        return [*(Method(name, every) for name in self.detectors), *own]

    @property
    def all_recipes(self) -> list[str]:
        """Those of all rows, each once."""
        return list(dict.fromkeys(name for method in self.methods for name in method.recipes.values()))

    @property
    def all_detectors(self) -> list[str]:
        """Those of all rows, each once."""
        return list(dict.fromkeys(method.detector for method in self.methods))

    def recipes_of(self, detector: str) -> list[str]:
        """The recipes that a detector scores; all where none has a part."""
        methods = [method for method in self.methods if detector in ("", method.detector)]
        return list(dict.fromkeys(name for method in methods for name in method.recipes.values()))

    def detectors_of(self, recipe: str) -> list[str]:
        """The detectors that score a recipe."""
        return list(dict.fromkeys(one.detector for one in self.methods if recipe in one.recipes.values()))

    def bases_of(self, detector: str, recipe: str) -> list[str | None]:
        """`base_of` for each baseline."""
        return [self.base_of(detector, recipe, baseline) for baseline in self.baselines]

    def between_detectors(self, part: str, metric: str) -> bool:
        """Whether detectors are compared with each other here."""
        return bool(self.tests.detector_baselines) and part in self.tests.sets and metric in self.tests.metrics

    def base_of(self, detector: str, recipe: str, baseline: str) -> str | None:
        """The recipe that a row gains over: what takes the baseline's place; None for the baseline itself."""
        if detector in self.summary:
            return baseline if baseline != recipe else None
        for method in self.methods:
            if detector in ("", method.detector) and recipe in method.recipes.values():
                base = method.recipes.get(baseline)
                return None if base == recipe else base
        return None

    def tested(self, detector: str, part: str, metric: str) -> bool:
        """Whether gains are tested here: few, so that the tests keep their power."""
        asked = self.tests.detectors or self.detectors[:1]
        return detector in (*asked, "") and part in self.tests.sets and metric in self.tests.metrics


class FigureSettings(Settings):
    """Looks of the figures."""

    dpi: Annotated[int, Field(ge=30, le=1200, description="resolution of galleries and figures")] = 120


class Figures(FigureSettings):
    """Looks of figures, and which of them are drawn."""

    contact_sheets: Annotated[bool, Field(description="draw images of every part of the datasets")] = False
    map: Annotated[
        Plane, Field(description="how the map of outliers gets its two dimensions: pca keeps distances, t-sne nearness")
    ] = "pca"


class LeaderboardFacts(Settings):
    """What OpenOOD's leaderboard says of a training, by recipe."""

    architectures: dict[Name, str] = {}
    outlier_data: Annotated[list[Name], Field(description="recipes that learn from outlier images")] = []
    descriptions: dict[Name, str] = {}


class TabulateSettings(JobSettings, WithPlainPlugins):
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
    leaderboard: LeaderboardFacts = LeaderboardFacts()
    priors: Annotated[str, Field(description="which recipes learn from a generator that has seen more images")] = ""

    @property
    def alone(self) -> Mapping[Role, str]:
        """The OOD sets that are the only ones of their role."""
        return alone(self.near, self.far)

    def plain_plugins(self) -> dict[str, Plugin]:
        """The metrics that columns name."""
        return {name: metric_of(name) for name in self.table.columns if isinstance(name, str)}


class MapSettings(Settings):
    """One job of `map`: the OOD sets that are drawn, and how they get into two dimensions."""

    near: list[Name]
    far: list[Name]
    plane: Plane = "pca"
