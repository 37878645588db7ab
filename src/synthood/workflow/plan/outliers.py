"""What the stages of outliers read."""

from collections.abc import Callable, Iterable
from typing import Literal

from synthood.outliers.settings import ScaleCurveSettings
from synthood.reporting.settings import MapSettings
from synthood.workflow.plan.paths import Paths, Wildcards


class OutlierPlan(Paths):
    """What the stages of outliers read."""

    def outlier_pictures(self, names: Iterable[tuple[str, str]] | None = None) -> list[str]:
        """Gallery and curve by dataset and section of outliers, all of them where none are named.

        Without a judge there are no pictures; then what the gate kept.
        """
        if names is None:
            names = [(dataset, outliers) for dataset in self.config.datasets for outliers in self.config.outliers]
        made = []
        for dataset, outliers in names:
            files = ["gallery.png"] if self.config.assess else ["gate.safetensors"]
            files += ["curve.png"] if self.config.assess and self.config.outliers[outliers].curve else []
            made += [f"results/{dataset}/outliers/{outliers}/{file}" for file in files]
        return made

    def table_outliers(self, table: str) -> list[str]:
        """Pictures of the outliers behind a table, and the map of its first recipe that contrasts both kinds."""
        settings = self.config.tables[table]
        terms = {name: t for name in settings.recipes if (t := self.config.recipes[name].outliers)}
        used = dict.fromkeys((d, t.from_) for d in settings.datasets for t in terms.values())
        mapped = [name for name, t in terms.items() if t.maps_both_kinds]
        maps = [f"{self.run(d, n, settings.seeds[0])}/map.png" for d in settings.datasets for n in mapped[:1]]
        return [*self.outlier_pictures(used), *maps]

    def outlier_generator(self, wildcards: Wildcards) -> str:
        """The Stable Diffusion in whose latent space the outliers lie."""
        return f"results/{wildcards.dataset}/generators/{self.config.outliers[wildcards.outliers].generator}"

    def gate_classifier(self, wildcards: Wildcards) -> str:
        gate = self.config.outliers[wildcards.outliers].gate
        return self.model(wildcards.dataset, gate.classifier, gate.classifier_seed)

    def outlier_settings(self, stage: Literal["encoder", "boundary", "latents", "gate"]) -> Callable[[Wildcards], str]:
        """The parameter of one of the outliers' stages: its section alone."""
        return lambda wildcards: getattr(self.config.outliers[wildcards.outliers], stage).canonical()

    def curve_settings(self, wildcards: Wildcards) -> ScaleCurveSettings:
        outliers = self.config.outliers[wildcards.outliers]
        if outliers.curve is None:
            raise ValueError(f"outliers.{wildcards.outliers} has no section `curve`")
        attempts = {"attempts_per_class": outliers.curve.attempts_per_class}
        return ScaleCurveSettings(latents=outliers.latents.model_copy(update=attempts), curve=outliers.curve)

    def map_settings(self, wildcards: Wildcards) -> MapSettings:
        dataset = self.config.datasets[wildcards.dataset]
        return MapSettings(near=list(dataset.near), far=list(dataset.far))
