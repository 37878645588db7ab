"""Tables from features and logits of your own, without images or a model: `synthood tabulate FILE`, or from Python.

from synthood.tables import read_table, tabulate_features
results = tabulate_features(read_table(Path("features.yaml")), Path("tables"))
results.values, results.gains  # data frames, in percent
"""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field, ValidationError, model_validator

from synthood.common.settings import Name, Settings
from synthood.config.messages import format_errors
from synthood.config.read import read
from synthood.errors import SynthoodError, nearest
from synthood.evaluation.read_features import read_reference, read_set
from synthood.evaluation.scoring import together
from synthood.evaluation.search import Validation, fitted
from synthood.evaluation.settings import TEXTS, AnyDetector
from synthood.evaluation.summary import check_names, facts, finite
from synthood.reporting.html_table import html_page
from synthood.reporting.latex_table import latex
from synthood.reporting.markdown_table import markdown
from synthood.reporting.measure import Scores
from synthood.reporting.results import Results, csv_text
from synthood.reporting.settings import TableSettings, TabulateSettings
from synthood.reporting.tabulate import notes_of, tabulate
from synthood.reporting.wide_tables import leaderboard, wide

TAKEN = ("train", "val", "test", "ood_validation", "head", "near", "far")
"""Files that no OOD set can be in, and rows of means."""


class FeatureTable(Settings):
    """A table of models whose features were made elsewhere."""

    kind: Literal["features"] = "features"
    path: Annotated[str, Field(description="a model's folder; may hold {dataset}, {recipe}, {seed}")]
    near: Annotated[list[Name], Field(description="near OOD sets, a file each")] = []
    far: Annotated[list[Name], Field(description="far OOD sets, a file each")] = []
    detectors: Annotated[dict[Name, AnyDetector], Field(min_length=1, description="by name")]
    table: TableSettings

    def folder(self, dataset: str, recipe: str, seed: int) -> Path:
        """Where a model's files are."""
        named = self.path.replace("{dataset}", dataset).replace("{recipe}", recipe)
        return Path(named.replace("{seed}", str(seed)))

    @model_validator(mode="after")
    def _known(self) -> "FeatureTable":
        if not self.near and not self.far:
            raise ValueError("no OOD test set; name one under `near` or `far`")
        self._sets_differ()
        self._folders_differ()
        for name in self.table.all_detectors:
            if name not in self.detectors:
                raise ValueError(f"table.detectors: no detector is named {name!r}{nearest(name, self.detectors)}")
            if (access := self.detectors[name].access) != "features":
                raise ValueError(f"detectors.{name}: it needs {access} of the model, not features alone; leave it out")
        if self.table.published or self.table.full_spectrum:
            raise ValueError("table: `published` and `full_spectrum` need the images; leave them out")
        return self

    def _sets_differ(self) -> None:
        """Raises where a set is named twice, or as something else, also but for upper and lower case."""
        names = [*self.near, *self.far]
        for place, name in enumerate(names):
            if name.lower() in map(str.lower, names[:place]):
                raise ValueError(f"near and far: {name!r} is named twice; name each set once")
            if name.lower() in TAKEN:
                raise ValueError(f"near and far: {name!r} is another file's name, or that of a mean; take another")

    def _folders_differ(self) -> None:
        """Raises where two models have one folder, also on file systems without upper and lower case."""
        found: dict[str, str] = {}
        for dataset, recipe, seed in product(self.table.datasets, self.table.all_recipes, self.table.seeds):
            folder, model = self.folder(dataset, recipe, seed), f"{recipe} on {dataset}, seed {seed}"
            if other := found.get(str(folder).lower()):
                keys = "{dataset}, {recipe} or {seed}"
                raise ValueError(f"path: {folder} is the folder of {other}, and of {model}; tell them apart by {keys}")
            found[str(folder).lower()] = model


def read_table(path: Path) -> FeatureTable:
    """The table of a YAML file; raises SynthoodError with every mistake."""
    raw, mistakes = read(path)
    lines = list(mistakes)
    try:
        if not lines:
            return FeatureTable.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        lines = [f"{path}: {mistake}" for mistake in format_errors(error, FeatureTable)]
    raise SynthoodError("\n".join(lines))


def scores_of(settings: FeatureTable, folder: Path, recipe: str) -> pd.DataFrame:
    """The confidences of a model's detectors on test and OOD sets; a grid is searched on `ood_validation`."""
    detectors = {name: settings.detectors[name] for name in settings.table.detectors_of(recipe)}
    check_names(detectors)
    grids = any(len(detector.candidates()) > 1 for detector in detectors.values())
    ood = read_set(folder, "ood_validation") if grids else None
    scores, _ = fitted(detectors, Validation(read_reference(folder), ood, str(folder)))
    tables = []
    for part in ["test", *settings.near, *settings.far]:
        x = read_set(folder, part)
        if part == "test" and x.labels.min() < 0:
            raise SynthoodError(f"{folder}: test has no `labels`, which the accuracy needs")
        columns = facts(part, x.logits, x.labels, None)
        columns |= {name: finite(value, name, part, folder) for name, value in together(scores, x).items()}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True).astype(TEXTS)


def tabulate_features(settings: FeatureTable, out: Path | None = None) -> Results:
    """Values and gains in percent; with `out` also every format of the table, as files `table.*` in that folder.

    Models without a folder are left out and named above the table; a recipe without any raises SynthoodError.
    """
    table, scores = settings.table, Scores()
    for dataset in table.datasets:
        for recipe in table.all_recipes:
            for seed in table.seeds:
                folder = settings.folder(dataset, recipe, seed)
                if folder.is_dir():
                    scores[dataset, recipe, seed] = scores_of(settings, folder, recipe)
    near, far = (dict.fromkeys(table.datasets, sets) for sets in (settings.near, settings.far))
    job = TabulateSettings(table=table, near=near, far=far)
    results = tabulate(scores, job)
    if out is not None:
        write(results, job, notes_of(job, scores), out)
    return results


def write(results: Results, job: TabulateSettings, notes: dict[str, str], out: Path) -> None:
    """Every format of a table in a folder."""
    table = job.table
    out.mkdir(parents=True, exist_ok=True)
    board = leaderboard(results.values, table, {}, [], {})
    frames = {"": results.values, "-gains": results.gains, "-wide": wide(results.values), "-leaderboard": board}
    texts = {f"table{ending}.csv": csv_text(rows) for ending, rows in frames.items()}
    forms: dict[str, Callable[..., str]] = {"md": markdown, "html": html_page, "tex": latex}
    texts |= {f"table.{ending}": form(results, table, notes, job.alone) for ending, form in forms.items()}
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
