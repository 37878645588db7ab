"""What the rules ask of a configuration: paths of artefacts, and the settings each job depends on."""

from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any, Literal, Protocol

from synthood.common.settings import Settings
from synthood.config.models import Config
from synthood.data import raw
from synthood.data.evidence import evidence
from synthood.data.file_settings import Files
from synthood.data.leak_settings import LeakSettings
from synthood.data.settings import HeldOutClasses, PartSettings, ShuffledQuadrants
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
from synthood.outliers.settings import ScaleCurveSettings
from synthood.reporting.settings import FigureSettings, MapSettings, PlotSettings, TabulateSettings
from synthood.training.settings import CheckpointRecipe, TrainSettings
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

    def outlier_files(self, dataset: str, outliers: str) -> list[str]:
        folder = f"results/{dataset}/outliers/{outliers}"
        return [f"{folder}/{name}.safetensors" for name in ("embeddings", "boundary", "latents", "gate")]

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

    def data_pages(self) -> list[str]:
        """What the configuration asks to be shown of the images behind the tables to be built."""
        files = ["images/sheet.png"] if self.config.figures.contact_sheets else []
        files += ["leaks.html"] if self.config.leaks is not None else []
        return [f"results/{dataset}/{file}" for dataset in self._built_datasets() for file in files]

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

    # Inputs that depend on the settings

    def also(self, wildcards: Wildcards) -> list[str]:
        """Extra images that a generator learns from."""
        generator = self.config.generators[wildcards.generator]
        names = [] if isinstance(generator, BigGAN) else generator.fit.also
        return [self.images(wildcards.dataset, part) for part in names]

    def all_parts(self, wildcards: Wildcards) -> list[str]:
        """All parts that something is learned from or tested on."""
        dataset = self.config.datasets[wildcards.dataset]
        return [self.images(wildcards.dataset, part) for part in [*dataset.evaluated_parts, *dataset.extra]]

    def leak_synthetic(self, wildcards: Wildcards) -> list[str]:
        """Blocks of the generators that the built tables' recipes learn from on this dataset."""
        tables = [self.config.tables[name] for name in self.config.build]
        recipes = [r for t in tables if wildcards.dataset in t.datasets for r in t.recipes]
        used = [s.from_ for recipe in recipes if (s := self.config.recipes[recipe].synthetic)]
        return [block for name in dict.fromkeys(used) for block in self.blocks(wildcards.dataset, name)]

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

    def outliers(self, wildcards: Wildcards) -> list[str]:
        """What the outlier stages wrote for a recipe: embeddings, boundary, latents, gate."""
        terms = self.config.recipes[wildcards.recipe].outliers
        return self.outlier_files(wildcards.dataset, terms.from_) if terms else []

    def exposure(self, wildcards: Wildcards) -> list[str]:
        """The gate whose images a recipe shows to its network."""
        exposure = self.config.recipes[wildcards.recipe].exposure
        return self.outlier_files(wildcards.dataset, exposure.from_)[-1:] if exposure else []

    def judge(self, wildcards: Wildcards) -> str:
        assess = self._assess()
        return self.model(wildcards.dataset, assess.judge, assess.judge_seed)

    def outlier_generator(self, wildcards: Wildcards) -> str:
        """The Stable Diffusion in whose latent space the outliers lie."""
        return f"results/{wildcards.dataset}/generators/{self.config.outliers[wildcards.outliers].generator}"

    def gate_classifier(self, wildcards: Wildcards) -> str:
        gate = self.config.outliers[wildcards.outliers].gate
        return self.model(wildcards.dataset, gate.classifier, gate.classifier_seed)

    def evaluated(self, wildcards: Wildcards) -> list[str]:
        """All parts that a model is run over."""
        parts = self.config.datasets[wildcards.dataset].evaluated_parts
        if self.config.leaks is None or not self.config.leaks.drop:
            return [self.images(wildcards.dataset, part) for part in parts]
        names = [part if part in ("train", "val") else f"without_leaks/{part}" for part in parts]
        return [self.images(wildcards.dataset, name) for name in names]

    def kept_parts(self, wildcards: Wildcards) -> list[str]:
        """ID parts that keep the images that stand in another part as well."""
        names = ["train", "val"] if wildcards.part == "test" else ["train", "val", "test"]
        return [self.images(wildcards.dataset, part) for part in names]

    # Settings of jobs

    def part_settings(self, wildcards: Wildcards) -> PartSettings:
        return self._part_settings(wildcards.dataset, wildcards.part)

    def _part_settings(self, dataset_name: str, part: str) -> PartSettings:
        dataset = self.config.datasets[dataset_name]
        source = dataset.source(part)
        ood = part in (*dataset.ood_sets, "ood_validation")
        values = {"part": part, "ood": ood, "source": source}
        if isinstance(source, ShuffledQuadrants):
            values["validation"] = dataset.taught
        if isinstance(source, HeldOutClasses):
            values |= {"source": dataset.id, "held_out": source.classes}
        return PartSettings.model_validate(values)

    def raw_state(self, wildcards: Wildcards) -> str:
        """A digest of the raw files of a part, so that a change of them is noticed."""
        return raw.state(self.part_settings(wildcards), Path(self.images(wildcards.dataset, wildcards.part)))

    def prepare_threads(self, wildcards: Wildcards) -> int:
        """Threads that decode image files; the images do not depend on their number."""
        return 4 if isinstance(self.part_settings(wildcards).source, Files) else 1

    def missing_raw(self) -> list[str]:
        """What is not there of the raw files of the tables to be built, once each, for parts that are not made yet."""
        found: list[str] = []
        for name in self._built_datasets():
            dataset = self.config.datasets[name]
            for part in [*dataset.evaluated_parts, *dataset.extra]:
                if not Path(self.images(name, part)).exists():
                    settings = self._part_settings(name, part)
                    found += [f"{path} (datasets.{name}, {part})" for path in raw.missing(settings)]
        for table in self.config.build:
            runs = self.config.tables[table]
            for recipe, on, seed in product(runs.recipes, runs.datasets, runs.seeds):
                checkpoint = self.config.recipes[recipe]
                if isinstance(checkpoint, CheckpointRecipe) and not Path(self.model(on, recipe, seed)).exists():
                    path = checkpoint.of_seed(seed).path
                    found += [] if Path(path).exists() else [f"{path} (recipes.{recipe})"]
        return list({text.partition(" (")[0]: text for text in found}.values())

    def leak_settings(self, wildcards: Wildcards) -> LeakSettings:
        """What counts as nearly the same."""
        return (self.config.leaks or LeakSettings()).model_copy(update={"drop": False})

    def drop_settings(self, wildcards: Wildcards) -> LeakSettings:
        """The same without what only concerns the page."""
        settings = self.leak_settings(wildcards)
        return LeakSettings(hash_bits=settings.hash_bits, correlation=settings.correlation)

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

    def curve_settings(self, wildcards: Wildcards) -> ScaleCurveSettings:
        outliers = self.config.outliers[wildcards.outliers]
        if outliers.curve is None:
            raise ValueError(f"outliers.{wildcards.outliers} has no section `curve`")
        attempts = {"attempts_per_class": outliers.curve.attempts_per_class}
        return ScaleCurveSettings(latents=outliers.latents.model_copy(update=attempts), curve=outliers.curve)

    def map_settings(self, wildcards: Wildcards) -> MapSettings:
        dataset = self.config.datasets[wildcards.dataset]
        return MapSettings(near=list(dataset.near), far=list(dataset.far))

    def train_settings(self, wildcards: Wildcards) -> TrainSettings:
        """The resolved recipe."""
        recipe = self.config.recipes[wildcards.recipe]
        if isinstance(recipe, CheckpointRecipe):
            raise ValueError(f"recipes.{wildcards.recipe} is a checkpoint, which is not trained")
        return TrainSettings(recipe=recipe, precision=self.config.precision)

    def checkpoint_settings(self, wildcards: Wildcards) -> CheckpointRecipe:
        """The checkpoint of one seed."""
        recipe = self.config.recipes[wildcards.recipe]
        if not isinstance(recipe, CheckpointRecipe):
            raise ValueError(f"recipes.{wildcards.recipe} is trained, not a checkpoint")
        return recipe.of_seed(wildcards.seed)

    def checkpoint_state(self, wildcards: Wildcards) -> str:
        """A digest of the checkpoint's file, so that a change of it is noticed."""
        path = Path(self.checkpoint_settings(wildcards).path)
        return raw.state_of_file(path, Path(self.model(wildcards.dataset, wildcards.recipe, wildcards.seed)))

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
            table=table,
            near=self._sets(table.datasets, "near"),
            far=self._sets(table.datasets, "far"),
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
            near=self._sets(table.datasets, "near"),
            far=self._sets(table.datasets, "far"),
        )

    # Names for wildcard constraints

    def recipes(self, kind: Literal["train", "checkpoint"]) -> list[str]:
        """Recipes that are trained, or those that are checkpoints."""
        return [name for name, recipe in self.config.recipes.items() if recipe.kind == kind]

    def parts(self) -> set[str]:
        """Every part of every dataset."""
        datasets = self.config.datasets.values()
        return {part for d in datasets for part in [*d.evaluated_parts, *d.extra, *d.shifted]}

    def _evidence(self, dataset: str) -> str:
        dropped = self.config.leaks is not None and self.config.leaks.drop
        left_out = " Test and OOD images that stand in ID parts are left out." if dropped else ""
        return evidence(self.config.datasets[dataset]) + left_out

    def _built_datasets(self) -> list[str]:
        return list(dict.fromkeys(d for table in self.config.build for d in self.config.tables[table].datasets))

    def _sets(self, datasets: Iterable[str], role: Literal["near", "far"]) -> dict[str, list[str]]:
        return {name: list(getattr(self.config.datasets[name], role)) for name in datasets}

    def _block_counts(self, dataset: str, generator: str) -> list[int]:
        classes = self.config.datasets[dataset].taught.class_count
        if classes is None:
            raise ValueError(f"the classes of {dataset} are not known before its data is there")
        return self.config.generators[generator].block_counts(classes)

    def _assess(self) -> Any:
        if self.config.assess is None:
            raise ValueError("the configuration has no section `assess`")
        return self.config.assess
