"""What the stage of the report page reads."""

from pathlib import Path

from synthood.common.settings import Name
from synthood.config.refs import Entry
from synthood.reporting.page.files import digest_of_assets, packed
from synthood.reporting.page.settings import PageSettings, PageTable, Picture, PictureKind
from synthood.workflow.plan import artefacts as at
from synthood.workflow.plan.evaluation import EvaluationPlan
from synthood.workflow.plan.generators import GeneratorPlan
from synthood.workflow.plan.outliers import OutlierPlan
from synthood.workflow.plan.paths import Wildcards

PICTURES: dict[str, tuple[PictureKind, str]] = {
    "quality.png": ("synthetic", "quality.json"),
    "gallery.png": ("outliers", "assessment.json"),
    "curve.png": ("curve", ""),
    "map.png": ("map", ""),
}
"""What a picture shows, and the file of its figures next to it, by its file's name."""
SIO = "SIO, arXiv 2303.14531"
Shown = tuple[Picture, str, str]
"""A picture, its file, and the file of its figures, empty where it has none."""


class ReportPlan(EvaluationPlan, GeneratorPlan, OutlierPlan):
    """What the stage of the report page reads."""

    def page_inputs(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """Files of the page by the name of their option."""
        shown, on_page = self._shown(wildcards), self._on_page(wildcards)
        files = {
            "tables": [at.TABLE.format(table=table) for table in on_page],
            "gains": [at.TABLE_GAINS.format(table=table) for table in on_page],
            "histories": [
                at.HISTORY.format(dataset=dataset, recipe=recipe, seed=seed)
                for dataset, recipe, seed in self.page_settings(wildcards).runs
            ],
            "pictures": [picture for _, picture, _ in shown],
            "measured": [figures for *_, figures in shown if figures],
        }
        return {name: paths for name, paths in files.items() if paths}

    def page_settings(self, wildcards: Wildcards) -> PageSettings:
        """All built tables or one, where their methods were published, and the configuration but for its export."""
        tables = [self._page_table(name) for name in self._on_page(wildcards)]
        recipes = list(dict.fromkeys(name for one in tables for name in one.all_recipes))
        detectors = list(dict.fromkeys(name for one in tables for name in one.all_detectors))
        papers = {name: self._papers(name) for name in recipes}
        papers |= {name: [self.config.detectors[name].paper] for name in detectors}
        return PageSettings(
            tables=tables,
            papers={name: found for name, each in papers.items() if (found := [paper for paper in each if paper])},
            pictures=[picture for picture, *_ in self._shown(wildcards)],
            jobs=self._jobs(recipes),
            configuration=packed(self.config.model_copy(update={"deploy": None}).canonical()),
            assets=digest_of_assets(),
        )

    def _page_table(self, name: str) -> PageTable:
        table = self.config.tables[name]
        return PageTable(
            name=name,
            **dict(table.model_copy(update={"published": None})),
            near=self.sets(table.datasets, "near"),
            far=self.sets(table.datasets, "far"),
            computed={name: self._computed(name) for name in table.datasets},
            evidence={name: self._evidence(name) for name in table.datasets},
            ensembles=[name for name in table.all_detectors if self.config.detectors[name].access == "ensemble"],
            fixed=[name for name in table.all_recipes if self._one_model(name)],
            outside=self._outside(table.all_recipes),
        )

    def _computed(self, dataset: Name) -> list[str]:
        """Its OOD sets whose images are computed."""
        sets = {**self.config.datasets[dataset].near, **self.config.datasets[dataset].far}
        return [name for name, source in sets.items() if source.nature.startswith("computed")]

    def _outside(self, recipes: list[str]) -> dict[str, str]:
        """Recipes that learn from more than the ID images, and from what."""
        found = {}
        for recipe in recipes:
            seen = {prior for name in self.generators_behind(recipe) if (prior := self.config.generators[name].seen)}
            if seen:
                found[recipe] = f"generative prior: {', '.join(sorted(seen))}"
        return found

    def _papers(self, recipe: str) -> list[str]:
        """Where the methods of a recipe were published."""
        settings = self.config.recipes[recipe]
        papers = [SIO] * bool(settings.synthetic) + [method.paper for method in getattr(settings, "methods", [])]
        return list(dict.fromkeys(papers))

    def _jobs(self, recipes: list[str]) -> list[str]:
        """Names of the recipes, generators and outliers behind recipes."""
        behind = self.references.behind(*(Entry("recipes", recipe) for recipe in recipes))
        return sorted({one.name for one in behind if one.section in ("recipes", "generators", "outliers")})

    def _on_page(self, wildcards: Wildcards) -> list[str]:
        """The table that a page is of, or all that are built."""
        table = getattr(wildcards, "table", None)
        return self.config.build if table is None else [table]

    def _shown(self, wildcards: Wildcards) -> list[Shown]:
        """The pictures of a page's tables, each once."""
        tables = self._on_page(wildcards)
        paths = [path for table in tables for path in [*self.assessments(table), *self.table_outliers(table)]]
        found = []
        for path in dict.fromkeys(paths):
            _, dataset, _, name, *_, file = Path(path).parts
            if file in PICTURES:
                kind, figures = PICTURES[file]
                picture = Picture(kind=kind, dataset=dataset, name=name)
                found.append((picture, path, path.replace(file, figures) if figures else ""))
        return found
