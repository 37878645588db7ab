"""What the stages of generators read."""

from pathlib import Path
from typing import Any

from synthood.common.settings import Settings
from synthood.data import raw
from synthood.generators.assess_settings import AssessSettings
from synthood.generators.biggan_settings import BigGAN, BigGANFitting, BigGANSampling
from synthood.generators.diffusion_settings import StableDiffusion, StableDiffusionFitting, StableDiffusionSampling
from synthood.generators.settings import BlockSettings, FitSettings
from synthood.workflow.plan.paths import Paths, Wildcards


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
            f"results/{dataset}/synthetic/{generator}/quality.png"
            for dataset in settings.datasets
            for generator in dict.fromkeys(generators)
        ]

    def also(self, wildcards: Wildcards) -> list[str]:
        """Extra images that a generator learns from."""
        generator = self.config.generators[wildcards.generator]
        names = generator.fit.also if isinstance(generator, StableDiffusion) and generator.fit else []
        return [self.images(wildcards.dataset, part) for part in names]

    def fit_settings(self, wildcards: Wildcards) -> FitSettings:
        generator = self.config.generators[wildcards.generator]
        model = BigGANFitting if isinstance(generator, BigGAN) else StableDiffusionFitting
        return FitSettings(generator=_part(generator, model), precision=self.config.precision)

    def pretrained_state(self, wildcards: Wildcards) -> str:
        """A digest of a pretrained generator's files on disk, so that a change of them is noticed."""
        generator = self.config.generators[wildcards.generator]
        made = Path(f"results/{wildcards.dataset}/generators/{wildcards.generator}")
        pretrained = getattr(generator, "pretrained", None)
        places = [Path(weights.source) for weights in (pretrained, getattr(pretrained, "lora", None)) if weights]
        gone = [place for place in places if not place.exists()]
        return "-".join(raw.state_of_folder(place, made) for place in gone[:1] or places)

    def block_settings(self, wildcards: Wildcards) -> BlockSettings:
        generator = self.config.generators[wildcards.generator]
        model = BigGANSampling if isinstance(generator, BigGAN) else StableDiffusionSampling
        return BlockSettings(
            generator=_part(generator, model),
            block=int(wildcards.block),
            block_size=generator.block_size,
            count=self.block_counts(wildcards.dataset, wildcards.generator)[int(wildcards.block)],
        )

    def assess_settings(self, wildcards: Wildcards) -> Settings:
        return self._assess()

    def judge(self, wildcards: Wildcards) -> str:
        assess = self._assess()
        return self.model(wildcards.dataset, assess.judge, assess.judge_seed)

    def _assess(self) -> AssessSettings:
        if self.config.assess is None:
            raise ValueError("the configuration has no section `assess`")
        return self.config.assess
