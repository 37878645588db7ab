"""What the rules ask of a configuration: paths of artefacts, and the settings each job depends on."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Protocol

from synthood.common.settings import Settings
from synthood.config.models import Config
from synthood.data.settings import PartSettings, ShuffledQuadrants
from synthood.evaluation.settings import Custom, ScoreSettings
from synthood.generators.settings import (
    BigGAN,
    BigGANFitting,
    BigGANSampling,
    BlockSettings,
    FitSettings,
    StableDiffusionFitting,
    StableDiffusionSampling,
)
from synthood.reporting.settings import PlotSettings, TabulateSettings
from synthood.training.settings import TrainSettings
from synthood.workflow.code import code_of_file


class Wildcards(Protocol):
    """What Snakemake passes to a rule's functions."""

    dataset: str
    generator: str
    outliers: str
    recipe: str
    seed: str
    part: str
    block: str
    table: str


Text = Callable[[Wildcards], str]


def as_parameter(settings: Callable[..., Settings]) -> Text:
    """A rule's parameter: the settings as canonical JSON."""
    return lambda wildcards: settings(wildcards).canonical()


class Plan:
    """Paths and settings of every job; the rules only wire them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        files = {one.file for one in config.detectors.values() if isinstance(one, Custom)}
        self.detector_code = {file: code_of_file(Path(file)) for file in sorted(files)}

    # Paths

    def images(self, dataset: str, part: str) -> str:
        return f"results/{dataset}/images/{part}.safetensors"

    def blocks(self, dataset: str, generator: str) -> list[str]:
        """Every block of synthetic images of a generator."""
        return [
            f"results/{dataset}/synthetic/{generator}/block{block}.safetensors"
            for block in range(len(self._block_counts(dataset, generator)))
        ]

    def model(self, dataset: str, recipe: str, seed: int | str) -> str:
        return f"{self.run(dataset, recipe, seed)}/model.safetensors"

    def run(self, dataset: str, recipe: str, seed: int | str) -> str:
        return f"results/{dataset}/models/{recipe}/seed{seed}"

    def table_runs(self, table: str, file: str) -> list[str]:
        """A file of every run of a table: by dataset, recipe, seed."""
        settings = self.config.tables[table]
        return [
            f"{self.run(dataset, recipe, seed)}/{file}"
            for dataset in settings.datasets
            for recipe in settings.recipes
            for seed in settings.seeds
        ]

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

    # Inputs that depend on the settings

    def also(self, wildcards: Wildcards) -> list[str]:
        """Extra images that a generator learns from."""
        generator = self.config.generators[wildcards.generator]
        names = [] if isinstance(generator, BigGAN) else generator.fit.also
        return [self.images(wildcards.dataset, part) for part in names]

    def synthetic(self, wildcards: Wildcards) -> list[str]:
        """Blocks that a recipe trains on."""
        synthetic = self.config.recipes[wildcards.recipe].synthetic
        return self.blocks(wildcards.dataset, synthetic.from_) if synthetic else []

    def warm_start(self, wildcards: Wildcards) -> list[str]:
        """The model whose weights come first: of the same seed."""
        other = self.config.recipes[wildcards.recipe].warm_start
        return [self.model(wildcards.dataset, other, wildcards.seed)] if other else []

    def teacher(self, wildcards: Wildcards) -> list[str]:
        """The model that is distilled: of the teacher's seed, or of the same."""
        teacher = self.config.recipes[wildcards.recipe].teacher
        if teacher is None:
            return []
        seed = wildcards.seed if teacher.seed is None else teacher.seed
        return [self.model(wildcards.dataset, teacher.recipe, seed)]

    def judge(self, wildcards: Wildcards) -> str:
        assess = self._assess()
        return self.model(wildcards.dataset, assess.judge, assess.judge_seed)

    def outlier_generator(self, wildcards: Wildcards) -> str:
        """The Stable Diffusion in whose latent space the outliers lie."""
        return f"results/{wildcards.dataset}/generators/{self.config.outliers[wildcards.outliers].generator}"

    def gate_classifier(self, wildcards: Wildcards) -> str:
        gate = self.config.outliers[wildcards.outliers].gate
        return self.model(wildcards.dataset, gate.classifier, gate.classifier_seed)

    def gated(self) -> list[str]:
        """What the gate kept, for every dataset and every way of making outliers."""
        return [
            f"results/{d}/outliers/{o}/gate.safetensors" for d in self.config.datasets for o in self.config.outliers
        ]

    def evaluated(self, wildcards: Wildcards) -> list[str]:
        """All parts that a model is run over."""
        parts = self.config.datasets[wildcards.dataset].evaluated_parts
        return [self.images(wildcards.dataset, part) for part in parts]

    # Settings of jobs

    def part_settings(self, wildcards: Wildcards) -> PartSettings:
        dataset = self.config.datasets[wildcards.dataset]
        source = dataset.source(wildcards.part)
        validation = dataset.id if isinstance(source, ShuffledQuadrants) else None
        ood = wildcards.part in (*dataset.ood_sets, "ood_validation")
        return PartSettings.model_validate(
            {"part": wildcards.part, "ood": ood, "source": source, "validation": validation}
        )

    def fit_settings(self, wildcards: Wildcards) -> FitSettings:
        generator = self.config.generators[wildcards.generator]
        model = BigGANFitting if isinstance(generator, BigGAN) else StableDiffusionFitting
        fitting = model.model_validate({"kind": generator.kind, "fit": generator.fit})
        return FitSettings(generator=fitting, precision=self.config.precision)

    def block_settings(self, wildcards: Wildcards) -> BlockSettings:
        generator = self.config.generators[wildcards.generator]
        model = BigGANSampling if isinstance(generator, BigGAN) else StableDiffusionSampling
        return BlockSettings(
            generator=model.model_validate({"kind": generator.kind, "sample": generator.sample}),
            block=int(wildcards.block),
            block_size=generator.block_size,
            count=self._block_counts(wildcards.dataset, wildcards.generator)[int(wildcards.block)],
        )

    def assess_settings(self, wildcards: Wildcards) -> Settings:
        return self._assess()

    def outlier_settings(self, stage: Literal["encoder", "boundary", "latents", "gate"]) -> Text:
        """The parameter of one of the outliers' stages: its section alone."""
        return lambda wildcards: getattr(self.config.outliers[wildcards.outliers], stage).canonical()

    def train_settings(self, wildcards: Wildcards) -> TrainSettings:
        """The resolved recipe."""
        return TrainSettings(recipe=self.config.recipes[wildcards.recipe], precision=self.config.precision)

    def score_settings(self, wildcards: Wildcards) -> ScoreSettings:
        dataset = self.config.datasets[wildcards.dataset]
        return ScoreSettings(
            detectors=self.config.detectors,
            near=list(dataset.near),
            far=list(dataset.far),
            code=self.detector_code,
        )

    def tabulate_settings(self, wildcards: Wildcards) -> TabulateSettings:
        table = self.config.tables[wildcards.table]
        return TabulateSettings(
            table=table, near=self._sets(table.datasets, "near"), far=self._sets(table.datasets, "far")
        )

    def plot_settings(self, wildcards: Wildcards) -> PlotSettings:
        table = self.config.tables[wildcards.table]
        return PlotSettings(
            figures=self.config.figures,
            datasets=table.datasets,
            recipes=table.recipes,
            seeds=table.seeds,
            detectors=table.detectors,
            near=self._sets(table.datasets, "near"),
            far=self._sets(table.datasets, "far"),
        )

    # Names for wildcard constraints

    def parts(self) -> set[str]:
        """Every part of every dataset."""
        datasets = self.config.datasets.values()
        return {part for dataset in datasets for part in [*dataset.evaluated_parts, *dataset.extra]}

    def _sets(self, datasets: Iterable[str], role: Literal["near", "far"]) -> dict[str, list[str]]:
        return {name: list(getattr(self.config.datasets[name], role)) for name in datasets}

    def _block_counts(self, dataset: str, generator: str) -> list[int]:
        classes = self.config.datasets[dataset].id.class_count
        return self.config.generators[generator].block_counts(classes)

    def _assess(self) -> Any:
        if self.config.assess is None:
            raise ValueError("the configuration has no section `assess`")
        return self.config.assess
