"""What the stages of outliers read."""

from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Literal

from synthood.common.settings import Settings
from synthood.data import raw
from synthood.outliers.encoder_settings import EncoderSettings
from synthood.outliers.guidance_settings import GuidedJob
from synthood.outliers.inverted_settings import FlowSettings, InversionSettings, TailSettings
from synthood.outliers.kinds.custom import CustomOutliers, CustomOutliersSettings
from synthood.outliers.kinds.guided import GuidedOutliers
from synthood.outliers.kinds.inverted import InvertedOutliers
from synthood.outliers.kinds.sampled import SampledOutliers
from synthood.outliers.latents_settings import LatentsJob, ScaleCurveSettings
from synthood.reporting.settings import MapSettings
from synthood.workflow.plan import artefacts as at
from synthood.workflow.plan.paths import Paths, Wildcards, signed


class OutlierPlan(Paths):
    """What the stages of outliers read."""

    def outlier_pictures(self, names: Iterable[tuple[str, str]] | None = None) -> list[str]:
        """Gallery and curve by dataset and section of outliers; where none are named, of those behind built tables.

        Where there are no pictures, such as without a judge, the outliers themselves.
        """
        if names is None:
            built = [(self.config.tables[table].datasets, self.outliers_behind(table)) for table in self.config.build]
            names = dict.fromkeys(pair for datasets, outliers in built for pair in product(datasets, outliers))
        return [
            f"{at.OUTLIERS.format(dataset=dataset, outliers=outliers)}/{file}"
            for dataset, outliers in names
            for file in self.config.outliers[outliers].pictures(judged=self.config.assess is not None)
        ]

    def table_outliers(self, table: str) -> list[str]:
        """Pictures of the outliers behind a table, and the map of its first recipe that contrasts both kinds."""
        settings = self.config.tables[table]
        terms = {name: t for name in settings.all_recipes if (t := self.config.recipes[name].outliers)}
        used = [(dataset, outliers) for dataset in settings.datasets for outliers in self.outliers_behind(table)]
        mapped = [name for name, t in terms.items() if t.maps_both_kinds]
        maps = [
            at.MAP.format(dataset=d, recipe=n, seed=settings.seeds[0]) for d in settings.datasets for n in mapped[:1]
        ]
        return [*self.outlier_pictures(used), *maps]

    def outlier_generator(self, wildcards: Wildcards) -> str:
        """The Stable Diffusion in whose latent space the outliers lie."""
        generator = self._gated(wildcards).generator
        return at.GENERATOR.format(dataset=wildcards.dataset, generator=generator)

    def fitted_encoder(self, wildcards: Wildcards) -> list[str]:
        """The encoder that is fitted here; none for an encoder from elsewhere."""
        fitted = self._sampled(wildcards).encoder.fitted
        return [at.ENCODER.format(dataset=wildcards.dataset, outliers=wildcards.outliers)] if fitted else []

    def ready_made_generator(self, wildcards: Wildcards) -> list[str]:
        """Whose words an encoder from elsewhere is put beside; a fitted one holds them."""
        return [] if self.fitted_encoder(wildcards) else [self.outlier_generator(wildcards)]

    def encoder_model(self, wildcards: Wildcards) -> list[str]:
        """The classifier whose features are embeddings."""
        classifier = self._sampled(wildcards).encoder.classifier
        return [self.model(wildcards.dataset, *classifier)] if classifier else []

    def encoder_settings(self, wildcards: Wildcards) -> EncoderSettings:
        return EncoderSettings(encoder=self._sampled(wildcards).encoder)

    def encoder_state(self, wildcards: Wildcards) -> str:
        """A digest of an encoder's own files, so that a change of them is noticed."""
        encoder = self._sampled(wildcards).encoder
        if encoder.outside is None:
            return ""
        path = Path(encoder.outside)
        weights = sorted(path.glob("*.safetensors"))
        made = self.place(at.EMBEDDINGS.format(dataset=wildcards.dataset, outliers=wildcards.outliers))
        return raw.state_of_file(weights[0] if weights else path, made)

    def encoded_images(self, wildcards: Wildcards) -> list[str]:
        """ID images whose latents stand beside the outliers'; none where outliers are images alone."""
        return [self.images(wildcards.dataset, "train")] if self._gated(wildcards).latent else []

    def gate_classifier(self, wildcards: Wildcards) -> str:
        gate = self._gated(wildcards).gate
        return self.model(wildcards.dataset, gate.classifier, gate.classifier_seed)

    def outlier_settings(self, stage: Literal["boundary", "crossing", "gate"]) -> Callable[[Wildcards], Settings]:
        """The settings of one of the outliers' stages: its section alone."""

        def of(wildcards: Wildcards) -> Settings:
            section: Settings = getattr(self._gated(wildcards), stage)
            return section

        return signed(of)

    def outliers_by(self, section: str) -> list[str]:
        """Sections of outliers whose embeddings are sought as a section of theirs says."""
        return [name for name, one in self.config.outliers.items() if getattr(one, "sought", "") == section]

    def gated_latents(self, wildcards: Wildcards) -> str:
        """The latents whose images the gate looks at."""
        return self.outlier_file(at.LATENTS, wildcards.dataset, wildcards.outliers)

    def assessed_boundary(self, wildcards: Wildcards) -> list[str]:
        """The embeddings or tokens that outliers come from; none where they come from plain prompts."""
        return [] if isinstance(self._gated(wildcards), GuidedOutliers) else [self.found_outliers(wildcards)]

    def guiding_classifier(self, wildcards: Wildcards) -> str:
        guidance = self._guided(wildcards).guidance
        return self.model(wildcards.dataset, guidance.classifier, guidance.classifier_seed)

    def guided_settings(self, wildcards: Wildcards) -> GuidedJob:
        return GuidedJob(guidance=self._guided(wildcards).guidance)

    def latents_settings(self, wildcards: Wildcards) -> LatentsJob:
        outliers = self._gated(wildcards)
        assert not isinstance(outliers, GuidedOutliers)
        return LatentsJob(latents=outliers.latents)

    def found_outliers(self, wildcards: Wildcards) -> str:
        """The embeddings or tokens that latents are sampled from."""
        return self.outlier_file(at.BOUNDARY, wildcards.dataset, wildcards.outliers)

    def inversion_settings(self, wildcards: Wildcards) -> InversionSettings:
        return self._inverted(wildcards).inversion

    def flow_settings(self, wildcards: Wildcards) -> FlowSettings:
        return self._inverted(wildcards).flow

    def tail_settings(self, wildcards: Wildcards) -> TailSettings:
        return self._inverted(wildcards).tail

    def curve_settings(self, wildcards: Wildcards) -> ScaleCurveSettings:
        outliers = self._sampled(wildcards)
        if outliers.curve is None:
            raise ValueError(f"outliers.{wildcards.outliers} has no section `curve`")
        attempts = {"attempts_per_class": outliers.curve.attempts_per_class}
        return ScaleCurveSettings(latents=outliers.latents.model_copy(update=attempts), curve=outliers.curve)

    def custom_outliers_settings(self, wildcards: Wildcards) -> CustomOutliersSettings:
        outliers = self.config.outliers[wildcards.outliers]
        if not isinstance(outliers, CustomOutliers):
            raise ValueError(f"outliers.{wildcards.outliers} is of kind {outliers.kind}, not custom")
        return CustomOutliersSettings(outliers=outliers)

    def _sampled(self, wildcards: Wildcards) -> SampledOutliers:
        outliers = self.config.outliers[wildcards.outliers]
        if not isinstance(outliers, SampledOutliers):
            raise ValueError(f"outliers.{wildcards.outliers} is of kind {outliers.kind}, which is not sampled")
        return outliers

    def _guided(self, wildcards: Wildcards) -> GuidedOutliers:
        outliers = self.config.outliers[wildcards.outliers]
        if not isinstance(outliers, GuidedOutliers):
            raise ValueError(f"outliers.{wildcards.outliers} is of kind {outliers.kind}, not guided")
        return outliers

    def _inverted(self, wildcards: Wildcards) -> InvertedOutliers:
        outliers = self.config.outliers[wildcards.outliers]
        if not isinstance(outliers, InvertedOutliers):
            raise ValueError(f"outliers.{wildcards.outliers} is of kind {outliers.kind}, not inverted")
        return outliers

    def _gated(self, wildcards: Wildcards) -> SampledOutliers | GuidedOutliers | InvertedOutliers:
        outliers = self.config.outliers[wildcards.outliers]
        return outliers if isinstance(outliers, GuidedOutliers | InvertedOutliers) else self._sampled(wildcards)

    def map_settings(self, wildcards: Wildcards) -> MapSettings:
        dataset = self.config.datasets[wildcards.dataset]
        return MapSettings(near=list(dataset.near), far=list(dataset.far), plane=self.config.figures.map)
