"""What all figures of a table share: what they are drawn from, their numbers, and their three forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from synthood.common.lazy import np, pd
from synthood.common.settings import JobSettings, Name, Seed
from synthood.plugins import Plugin, WithPlainPlugins, plugins
from synthood.reporting.figures.style import CONFIG, SCHEMA, empty_picture
from synthood.reporting.settings import FigureSettings, alone

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

    from synthood.reporting.runs import Run

PACKAGE = "synthood.reporting.figures"
FIT = {"type": "fit-x", "contains": "padding"}
FORMS = ("svg", "png", "vl.json")
Spec = dict[str, Any]


class PlotSettings(JobSettings, WithPlainPlugins):
    """One job of `plot` or of `plot_results`."""

    figures: FigureSettings
    drawn: Annotated[list[str], Field(description="kinds of figures, in the order of the outputs")]
    datasets: list[Name]
    recipes: list[Name]
    others: Annotated[list[Name], Field(description="recipes with files among the inputs that no figure shows")] = []
    seeds: list[Seed]
    detectors: list[Name]
    near: dict[Name, list[Name]]
    far: dict[Name, list[Name]]
    shifted: Annotated[dict[Name, list[Name]], Field(description="sets that count as ID besides the test set")] = {}
    baselines: list[Name] = []
    confidence: float = 0.95
    lower_is_better: Annotated[list[str], Field(description="of the table's metrics")] = []
    varied: Annotated[
        dict[str, dict[Name, float]],
        Field(description="by key of the configuration, the values of recipes that differ in nothing else"),
    ] = {}
    varied_by_datasets: Annotated[dict[str, dict[Name, float]], Field(description="the same of datasets")] = {}

    def plain_plugins(self) -> dict[str, Plugin]:
        """The figures that are drawn."""
        return {kind: one for kind, one in figures().items() if kind in self.drawn}

    def ids(self, dataset: str) -> list[str]:
        """The sets that count as ID."""
        return ["test", *self.shifted.get(dataset, [])]

    def sets(self, dataset: str) -> list[str]:
        """The OOD sets, near before far."""
        return [*self.near.get(dataset, []), *self.far.get(dataset, [])]

    @property
    def alone(self) -> set[tuple[str, str]]:
        """Datasets with the OOD sets whose numbers those of near or far repeat."""
        return {(dataset, part) for (dataset, _), part in alone(self.near, self.far).items()}

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Every dataset with each of its OOD sets."""
        return [(dataset, part) for dataset in self.datasets for part in self.sets(dataset)]

    def named(self, dataset: str, part: str) -> str:
        """A set's name in a figure, with its dataset where there are several."""
        return part if len(self.datasets) == 1 else f"{dataset}: {part}"


@dataclass(frozen=True)
class Model:
    """The scores of one model: a row per sample with the columns of `FACTS` and a confidence per detector."""

    scores: pd.DataFrame

    @cached_property
    def places(self) -> dict[str, np.ndarray]:
        """The rows of each set."""
        parts, names = pd.factorize(self.scores["part"])
        order, ends = np.argsort(parts, kind="stable"), np.cumsum(np.bincount(parts, minlength=len(names)))
        return dict(zip(map(str, names), np.split(order, ends[:-1]), strict=True))

    def rows(self, parts: Sequence[str]) -> np.ndarray:
        """The rows of some sets, one after the other."""
        return np.concatenate([self.places[part] for part in parts])

    def column(self, name: str, parts: Sequence[str]) -> np.ndarray:
        """A column's values on some sets [n], one set after the other."""
        values: np.ndarray = self.scores[name].to_numpy()[self.rows(parts)]
        return values

    def samples(self, parts: Sequence[str]) -> pd.DataFrame:
        """The rows of some sets with all columns."""
        return self.scores.iloc[self.rows(parts)]


@dataclass(frozen=True)
class TableData:
    """What the figures of one table are drawn from; `plot_results` has the first three, `plot` all others."""

    settings: PlotSettings
    values: pd.DataFrame = field(default_factory=lambda: pd.DataFrame())
    """The table's CSV: columns of `results.VALUES`, percent."""
    gains: pd.DataFrame = field(default_factory=lambda: pd.DataFrame())
    """The CSV of gains: columns of `results.GAINS`, points."""
    models: Mapping[Run, Model] = field(default_factory=dict)
    histories: Mapping[Run, pd.DataFrame] = field(default_factory=dict)
    images: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    """Image sets by dataset and part."""
    seconds: Mapping[Run, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    """By run and detector, seconds of fitting and of scoring, and the number of samples."""

    def of(self, dataset: str, recipe: str) -> list[Model]:
        """A recipe's models, one for each seed."""
        return [self.models[dataset, recipe, seed] for seed in self.settings.seeds]


@dataclass(frozen=True)
class Data:
    """The numbers of a figure: `rows` and what else it needs; `empty` says why there is nothing to show."""

    rows: pd.DataFrame = field(default_factory=lambda: pd.DataFrame())
    more: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    """Sentences of what was left out or clipped, for the caption."""
    empty: str = ""


class Figure(Plugin):
    """A figure of a table: numbers, and from them alone a Vega-Lite specification and a picture."""

    kind: str

    title: ClassVar[str]
    caption: ClassVar[str]
    """What it shows and how to read it, in sentences."""
    section: ClassVar[str]
    """The part of the report's page that it belongs to."""
    order: ClassVar[int]
    """Its place among all figures, the lowest first."""
    drawn_from: ClassVar[Literal["scores", "results"]] = "scores"
    """Whether it needs the models' scores, or the table's own CSV files."""

    def data(self, table: TableData) -> Data:
        """The numbers."""
        raise NotImplementedError

    def view(self, data: Data) -> Spec:
        """What the specification shows, without what all specifications share."""
        raise NotImplementedError

    def picture(self, data: Data) -> Picture:
        """The picture of numbers that are not empty."""
        raise NotImplementedError

    def spec(self, data: Data) -> Spec:
        """A complete Vega-Lite specification with its numbers inside, for light and dark pages."""
        caption = " ".join([self.caption, *data.notes])
        about = {"section": self.section, "title": self.title, "caption": caption, "order": self.order}
        if data.empty:
            caption, view = data.empty, _nothing(data.empty)
            about |= {"caption": caption, "empty": data.empty}
        else:
            view = {"width": "container", "autosize": FIT, **self.view(data)}
        head = {"$schema": SCHEMA, "description": f"{self.title}. {caption}", "usermeta": {"synthood": about}}
        return plain({**head, "background": "transparent", "config": CONFIG, **view})

    def draw(self, data: Data) -> Picture:
        """The picture, which says so where there is nothing to show."""
        return empty_picture(data.empty) if data.empty else self.picture(data)


def figures() -> dict[str, Figure]:
    """Every figure by its kind, in the order of the page."""
    found = [cls() for cls in plugins(Figure, PACKAGE).values()]
    return {one.kind: one for one in sorted(found, key=lambda one: (one.order, one.kind))}


def kinds(drawn_from: str) -> list[str]:
    """The kinds of figures that are drawn from scores, or from results."""
    return [kind for kind, one in figures().items() if one.drawn_from == drawn_from]


def _nothing(reason: str) -> Spec:
    mark = {"type": "text", "fontSize": 12, "color": "currentColor"}
    return {"width": "container", "height": 40, "data": {"values": [{"text": reason}]}, "mark": mark,
            "encoding": {"text": {"field": "text"}}}  # fmt: skip


def plain(value: Any) -> Any:
    """As JSON has it: lists for arrays, null for what is no finite number."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, str) or value is None:
        return value
    if hasattr(value, "tolist"):  # of numpy
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return (int(value) if value.is_integer() and abs(value) < 2**53 else value) if math.isfinite(value) else None
    return value


def rounded(values: Any, digits: int = 1) -> list[float]:
    """Few digits, which a figure cannot show more of."""
    return [round(float(value), digits) for value in np.asarray(values)]
