"""What the stages of evaluation and reporting read."""

from synthood.config.detection import detectors_for
from synthood.data.evidence import evidence
from synthood.evaluation.settings import ScoreSettings
from synthood.reporting.published import figures, read
from synthood.reporting.settings import FigureSettings, PlotSettings, TabulateSettings
from synthood.training.settings import HeadSettings
from synthood.workflow.plan.paths import Paths, Wildcards


class EvaluationPlan(Paths):
    """What the stages of evaluation and reporting read."""

    def head_settings(self, wildcards: Wildcards) -> HeadSettings:
        """What of a recipe says which trained heads detectors may read."""
        return HeadSettings.of(self.config.recipes[wildcards.recipe])

    def heads_read(self, wildcards: Wildcards) -> list[str]:
        """What a recipe learned beside its model, where detectors may read it."""
        run = self.run(wildcards.dataset, wildcards.recipe, wildcards.seed)
        return [f"{run}/heads.safetensors"] if self.head_settings(wildcards) != HeadSettings() else []

    def score_settings(self, wildcards: Wildcards) -> ScoreSettings:
        dataset = self.config.datasets[wildcards.dataset]
        return ScoreSettings(
            detectors=detectors_for(self.config, wildcards.recipe),
            near=list(dataset.near),
            far=list(dataset.far),
            shifted=list(dataset.shifted),
            code=self.detector_code,
        )

    def tabulate_settings(self, wildcards: Wildcards) -> TabulateSettings:
        table = self.config.tables[wildcards.table]
        published = table.published
        return TabulateSettings(
            table=table.model_copy(update={"published": None}),
            published=figures(published, table.datasets) if published else [],
            published_source=read(published.source)[0] if published else "",
            near=self.sets(table.datasets, "near"),
            far=self.sets(table.datasets, "far"),
            shifted=self.sets(table.datasets, "shifted") if table.full_spectrum else {},
            evidence={name: self._evidence(name) for name in table.datasets},
        )

    def plot_settings(self, wildcards: Wildcards) -> PlotSettings:
        table = self.config.tables[wildcards.table]
        return PlotSettings(
            figures=FigureSettings(dpi=self.config.figures.dpi),
            datasets=table.datasets,
            recipes=table.recipes,
            seeds=table.seeds,
            detectors=table.detectors,
            near=self.sets(table.datasets, "near"),
            far=self.sets(table.datasets, "far"),
            shifted=self.sets(table.datasets, "shifted") if table.full_spectrum else {},
        )

    def _evidence(self, dataset: str) -> str:
        dropped = self.config.leaks is not None and self.config.leaks.drop
        left_out = " Test and OOD images that stand in ID parts are left out." if dropped else ""
        return evidence(self.config.datasets[dataset]) + left_out
