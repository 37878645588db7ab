"""What the stages of generators read."""

from synthood.generators.assess_settings import AssessSettings
from synthood.generators.block_settings import BlockSettings
from synthood.generators.filter_settings import Filter, FilterSettings
from synthood.generators.fit_settings import FitSettings
from synthood.generators.kinds.fitting import Fitting
from synthood.generators.kinds.sampling import Sampling
from synthood.workflow.plan import artefacts as at
from synthood.workflow.plan.paths import Paths, Wildcards


class GeneratorPlan(Paths):
    """What the stages of generators read."""

    def assessments(self, table: str) -> list[str]:
        """Galleries of the generators behind a table."""
        if self.config.assess is None:
            return []
        settings = self.config.tables[table]
        generators = [
            r.synthetic.from_ for r in map(self.config.recipes.__getitem__, settings.all_recipes) if r.synthetic
        ]
        return [
            at.QUALITY_GALLERY.format(dataset=dataset, generator=generator)
            for dataset in settings.datasets
            for generator in dict.fromkeys(generators)
        ]

    def also(self, wildcards: Wildcards) -> list[str]:
        """Extra images that a generator learns from."""
        names = self.config.generators[wildcards.generator].learned_also
        return [self.images(wildcards.dataset, part) for part in names]

    def watching(self, wildcards: Wildcards) -> list[str]:
        """The classifier that a generator's fit is watched with."""
        watched = self.config.generators[wildcards.generator].watched_by
        return [self.model(wildcards.dataset, *watched)] if watched else []

    def fit_settings(self, wildcards: Wildcards) -> FitSettings:
        generator = self.config.generators[wildcards.generator]
        return FitSettings(generator=generator.part(Fitting), precision=self.config.precision)

    def generator_state(self, wildcards: Wildcards) -> str:
        """A digest of the files that a generator is taken from, so that a change of them is noticed."""
        folder = self.place(at.GENERATOR.format(dataset=wildcards.dataset, generator=wildcards.generator))
        return self.config.generators[wildcards.generator].state(folder)

    def block_settings(self, wildcards: Wildcards) -> BlockSettings:
        generator = self.config.generators[wildcards.generator]
        return BlockSettings(
            generator=generator.part(Sampling),
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
