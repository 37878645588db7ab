"""What the stages of evaluation and reporting read."""

from typing import Literal

from synthood.config.detection import accesses, asked_of, detectors_for
from synthood.data.evidence import evidence
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.cfs import Cfs
from synthood.evaluation.settings import ScoreSettings
from synthood.reporting.figures.base import PlotSettings, kinds
from synthood.reporting.published import figures, read, sets_of
from synthood.reporting.published_sets import names_in_source
from synthood.reporting.settings import (
    FigureSettings,
    LeaderboardFacts,
    Published,
    PublishedOn,
    TabulateSettings,
)
from synthood.training.method_settings import ExtractSettings
from synthood.training.networks.imported_recipe import ImportedRecipe
from synthood.workflow.plan import artefacts as at
from synthood.workflow.plan.paths import Paths, Wildcards
from synthood.workflow.plan.varied import varied, varied_by_datasets


class EvaluationPlan(Paths):
    """What the stages of evaluation and reporting read."""

    def extract_settings(self, wildcards: Wildcards) -> ExtractSettings:
        """Which trained heads detectors may read."""
        return ExtractSettings.of(self.config.recipes[wildcards.recipe].methods)

    def heads_read(self, wildcards: Wildcards) -> list[str]:
        """What a recipe learned beside its model, where detectors may read it."""
        heads = at.HEADS.format(dataset=wildcards.dataset, recipe=wildcards.recipe, seed=wildcards.seed)
        return [heads] if self.extract_settings(wildcards).heads.methods else []

    def score_settings(self, wildcards: Wildcards) -> ScoreSettings:
        return self._scoring(wildcards.dataset, detectors_for(self.config, wildcards.recipe))

    def score_model_settings(self, wildcards: Wildcards) -> ScoreSettings:
        """The detectors of maps, or those of gradients, that tables ask this model for."""
        run = (wildcards.dataset, wildcards.recipe, wildcards.seed)
        return self._scoring(wildcards.dataset, asked_of(self.config, *run, wildcards.access))

    def score_denoiser_settings(self, wildcards: Wildcards) -> ScoreSettings:
        """The detectors inside denoisers that tables ask this model for."""
        return self._scoring(wildcards.dataset, self._inside_denoisers(wildcards))

    def denoisers(self, wildcards: Wildcards) -> list[str]:
        """The generators inside which those look."""
        found = [one for one in self._inside_denoisers(wildcards).values() if isinstance(one, Cfs)]
        names = dict.fromkeys(one.generator for one in found)
        return [at.GENERATOR.format(dataset=wildcards.dataset, generator=name) for name in names]

    def _inside_denoisers(self, wildcards: Wildcards) -> dict[str, Detector]:
        return asked_of(self.config, wildcards.dataset, wildcards.recipe, wildcards.seed, "denoiser")

    def score_ensemble_settings(self, wildcards: Wildcards) -> ScoreSettings:
        """The ensembles among a table's detectors, under all their names."""
        named = {name: self.config.detectors[name] for name in self.config.tables[wildcards.table].all_detectors}
        return self._scoring(wildcards.dataset, {n: d for n, d in named.items() if d.access == "ensemble"})

    def ensemble_members(self, wildcards: Wildcards) -> list[str]:
        """Features of one recipe's models, of a table's seeds."""
        seeds = self.config.tables[wildcards.table].seeds
        return [at.FEATURES.format(dataset=wildcards.dataset, recipe=wildcards.recipe, seed=seed) for seed in seeds]

    def scores_beside(self, table: str) -> list[str]:
        """Scores that a table's detectors need beside those of features: for each access, of every run in order.

        An ensemble serves the runs of all seeds, and stands here once for each of them.
        """
        needed = accesses(self.config, table)
        separate = [at.ACCESS_SCORES.replace("{access}", access) for access in needed if access != "ensemble"]
        found = [path for scores in separate for path in self.table_runs(table, scores)]
        settings = self.config.tables[table]
        if "ensemble" in needed:
            found += [
                at.ENSEMBLE_SCORES.format(dataset=dataset, recipe=recipe, table=table)
                for dataset in settings.datasets
                for recipe in settings.all_recipes
                for _ in settings.seeds
            ]
        return found

    def _scoring(self, dataset: str, detectors: dict[str, Detector]) -> ScoreSettings:
        sets = self.config.datasets[dataset]
        return ScoreSettings(detectors=detectors, near=list(sets.near), far=list(sets.far), shifted=list(sets.shifted))

    def tabulate_settings(self, wildcards: Wildcards) -> TabulateSettings:
        table = self.config.tables[wildcards.table]
        published = table.published
        return TabulateSettings(
            table=table.model_copy(update={"published": None}),
            published=figures(published, table.datasets) if published else [],
            published_source=read(published.source)[0] if published else "",
            published_on={name: self._published_on(published, name) for name in table.datasets} if published else {},
            near=self.sets(table.datasets, "near"),
            far=self.sets(table.datasets, "far"),
            shifted=self.sets(table.datasets, "shifted") if table.full_spectrum else {},
            evidence={name: self._evidence(name) for name in table.datasets},
            ensembles=[name for name in table.all_detectors if self.config.detectors[name].access == "ensemble"],
            fixed=[name for name in table.all_recipes if self._one_model(name)],
            priors=self._priors(table.all_recipes),
            leaderboard=self._leaderboard(table.all_recipes),
        )

    def plot_settings(self, wildcards: Wildcards) -> PlotSettings:
        """What the figures of a table's scores depend on."""
        return self._plotting(wildcards.table, "scores")

    def plot_results_settings(self, wildcards: Wildcards) -> PlotSettings:
        """What the figures of a table's own numbers depend on."""
        table = self.config.tables[wildcards.table]
        more = {
            "baselines": table.baselines,
            "confidence": table.confidence,
            "lower_is_better": [metric.key for metric in table.metrics if metric.lower_is_better],
            "varied": varied(self.config, table.recipes),
            "varied_by_datasets": varied_by_datasets(self.config, table.datasets),
        }
        return self._plotting(wildcards.table, "results").model_copy(update=more)

    def _plotting(self, name: str, drawn_from: Literal["scores", "results"]) -> PlotSettings:
        table = self.config.tables[name]
        return PlotSettings(
            figures=FigureSettings(dpi=self.config.figures.dpi),
            drawn=kinds(drawn_from),
            datasets=table.datasets,
            recipes=table.recipes,
            others=[name for name in table.all_recipes if name not in table.recipes],
            seeds=table.seeds,
            detectors=table.detectors,
            near=self.sets(table.datasets, "near"),
            far=self.sets(table.datasets, "far"),
            shifted=self.sets(table.datasets, "shifted") if table.full_spectrum else {},
        )

    def _published_on(self, published: Published, dataset: str) -> PublishedOn:
        """What the published figures of a dataset are over, and the source's names of its sets."""
        names = names_in_source(self.config.datasets[dataset], published)
        return PublishedOn(over=sets_of(published, dataset), names=names)

    def _leaderboard(self, recipes: list[str]) -> LeaderboardFacts:
        """Architecture, outlier data and epochs of the recipes."""
        settings = {name: self.config.recipes[name] for name in recipes}
        return LeaderboardFacts(
            architectures={name: getattr(one.network, "name", one.network.kind) for name, one in settings.items()},
            outlier_data=[name for name, one in settings.items() if getattr(one, "exposure", None)],
            descriptions={name: f"{one.epochs:g} epochs" for name, one in settings.items() if hasattr(one, "epochs")},
        )

    def _one_model(self, recipe: str) -> bool:
        """Whether a recipe is a checkpoint that serves all seeds."""
        settings = self.config.recipes[recipe]
        return isinstance(settings, ImportedRecipe) and settings.one_for_all_seeds

    def _priors(self, recipes: list[str]) -> str:
        """Which recipes learn, by a generator, from more than the ID images, and from what."""
        told: dict[str, list[str]] = {}
        for recipe in recipes:
            behind = [self.config.generators[name] for name in self.generators_behind(recipe)]
            for prior in sorted({prior for generator in behind if (prior := generator.seen)}):
                told.setdefault(prior, []).append(recipe)
        return "; ".join(f"{', '.join(names)}: {prior}" for prior, names in told.items()) + "." * bool(told)

    def _evidence(self, dataset: str) -> str:
        dropped = self.config.leaks is not None and self.config.leaks.drop
        left_out = " Test and OOD images that stand in ID parts are left out." if dropped else ""
        return evidence(self.config.datasets[dataset]) + left_out
