"""What the stages of generators read."""

from pathlib import Path
from typing import Any

from synthood.common.settings import Settings
from synthood.data import raw
from synthood.data.part_settings import PartSettings
from synthood.generators.assess_settings import AssessSettings
from synthood.generators.biggan.settings import BigGAN, BigGANFitting, BigGANSampling
from synthood.generators.diffusion.settings import StableDiffusionFitting, StableDiffusionSampling
from synthood.generators.filter_settings import Filter, FilterSettings
from synthood.generators.ready_made_settings import ReadyMade, ReadyMadeReading, ReadyMadeSampling
from synthood.generators.settings import BlockSettings, FitSettings
from synthood.workflow.plan import artefacts as at
from synthood.workflow.plan.paths import Paths, Wildcards

FITTING: dict[str, type[BigGANFitting | StableDiffusionFitting | ReadyMadeReading]] = {
    "biggan": BigGANFitting,
    "stable-diffusion": StableDiffusionFitting,
    "ready-made": ReadyMadeReading,
}
SAMPLING: dict[str, type[BigGANSampling | StableDiffusionSampling | ReadyMadeSampling]] = {
    "biggan": BigGANSampling,
    "stable-diffusion": StableDiffusionSampling,
    "ready-made": ReadyMadeSampling,
}


def _part(generator: Settings, model: type[Settings]) -> Any:
    """Of a generator's settings those that one stage needs."""
    return model.model_validate({name: getattr(generator, name) for name in model.model_fields})


class GeneratorPlan(Paths):
    """What the stages of generators read."""

    def assessments(self, table: str) -> list[str]:
        """Galleries of the generators behind a table."""
        if self.config.assess is None:
            return []
        settings = self.config.tables[table]
        generators = [r.synthetic.from_ for r in map(self.config.recipes.__getitem__, settings.recipes) if r.synthetic]
        return [
            at.QUALITY_GALLERY.format(dataset=dataset, generator=generator)
            for dataset in settings.datasets
            for generator in dict.fromkeys(generators)
        ]

    def also(self, wildcards: Wildcards) -> list[str]:
        """Extra images that a generator learns from."""
        names = self.learned_also(self.config.generators[wildcards.generator])
        return [self.images(wildcards.dataset, part) for part in names]

    def watching(self, wildcards: Wildcards) -> list[str]:
        """The classifier that a generator's fit is watched with."""
        generator = self.config.generators[wildcards.generator]
        if not isinstance(generator, BigGAN) or (watch := generator.watched) is None:
            return []
        return [self.model(wildcards.dataset, recipe, watch.classifier_seed) for recipe in [watch.classifier] if recipe]

    def fit_settings(self, wildcards: Wildcards) -> FitSettings:
        generator = self.config.generators[wildcards.generator]
        return FitSettings(generator=_part(generator, FITTING[generator.kind]), precision=self.config.precision)

    def generator_state(self, wildcards: Wildcards) -> str:
        """A digest of the files that a generator is taken from, so that a change of them is noticed."""
        generator = self.config.generators[wildcards.generator]
        made = Path(at.GENERATOR.format(dataset=wildcards.dataset, generator=wildcards.generator))
        if isinstance(generator, ReadyMade):
            return raw.state(PartSettings(part="ready-made", source=generator.source), made)
        pretrained = getattr(generator, "pretrained", None)
        places = [Path(weights.source) for weights in (pretrained, getattr(pretrained, "lora", None)) if weights]
        gone = [place for place in places if not place.exists()]
        return "-".join(raw.state_of_folder(place, made) for place in gone[:1] or places)

    def block_settings(self, wildcards: Wildcards) -> BlockSettings:
        generator = self.config.generators[wildcards.generator]
        return BlockSettings(
            generator=_part(generator, SAMPLING[generator.kind]),
            block=int(wildcards.block),
            block_size=generator.block_size,
            count=self.block_counts(wildcards.dataset, wildcards.generator)[int(wildcards.block)],
        )

    def filtered_generators(self) -> list[str]:
        """Generators whose images are filtered."""
        return [name for name, generator in self.config.generators.items() if generator.filter is not None]

    def filter_settings(self, wildcards: Wildcards) -> FilterSettings:
        generator = self.config.generators[wildcards.generator]
        return FilterSettings(filter=self._filter(wildcards), images_per_class=generator.images_per_class)

    def filter_classifier(self, wildcards: Wildcards) -> str:
        settings = self._filter(wildcards)
        return self.model(wildcards.dataset, settings.classifier, settings.classifier_seed)

    def _filter(self, wildcards: Wildcards) -> Filter:
        settings = self.config.generators[wildcards.generator].filter
        if settings is None:
            raise ValueError(f"generators.{wildcards.generator} has no filter")
        return settings

    def assess_settings(self, wildcards: Wildcards) -> AssessSettings:
        return self._assess()

    def judge(self, wildcards: Wildcards) -> str:
        assess = self._assess()
        return self.model(wildcards.dataset, assess.judge, assess.judge_seed)

    def _assess(self) -> AssessSettings:
        if self.config.assess is None:
            raise ValueError("the configuration has no section `assess`")
        return self.config.assess
