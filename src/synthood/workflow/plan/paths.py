"""Where artefacts lie, and what the configuration has."""

from collections.abc import Callable, Iterable
from functools import cached_property
from inspect import isfunction, signature
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from synthood.common.settings import Settings
from synthood.config.models import Config
from synthood.config.refs import Entry, References
from synthood.workflow.plan import artefacts as at

Function = TypeVar("Function", bound=Callable[..., Any])


def signed(function: Function) -> Function:
    """The same function with its signature worked out: Snakemake asks for it at every call."""
    function.__signature__ = signature(function)  # type: ignore[attr-defined]
    return function


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
    access: str
    backbone: str
    images: str


class Paths:
    """Where artefacts lie, and what the configuration has."""

    def __init__(self, config: Config, prefix: str = "") -> None:
        self.config, self.prefix = config, prefix

    def __init_subclass__(cls) -> None:
        for function in filter(isfunction, vars(cls).values()):
            signed(function)

    def place(self, artefact: str) -> Path:
        """Where an artefact is: Snakemake puts a module's prefix before what rules name, and only there."""
        return Path(self.prefix + artefact)

    def images(self, dataset: str, part: str) -> str:
        return at.IMAGES.format(dataset=dataset, part=part)

    def outlier_file(self, artefact: str, dataset: str, outliers: str) -> str:
        """An artefact of a section of outliers, or what its kind has instead."""
        path = Path(artefact.format(dataset=dataset, outliers=outliers))
        return str(path.with_name(self.config.outliers[outliers].instead.get(path.name, path.name)))

    def run(self, dataset: str, recipe: str, seed: int | str) -> str:
        return at.RUN.format(dataset=dataset, recipe=recipe, seed=seed)

    def model(self, dataset: str, recipe: str, seed: int | str) -> str:
        return at.MODEL.format(dataset=dataset, recipe=recipe, seed=seed)

    def table_runs(self, table: str, artefact: str) -> list[str]:
        """An artefact of every run of a table: by dataset, recipe, seed."""
        settings = self.config.tables[table]
        return [
            artefact.format(dataset=dataset, recipe=recipe, seed=seed)
            for dataset in settings.datasets
            for recipe in settings.all_recipes
            for seed in settings.seeds
        ]

    def no_settings(self, wildcards: Wildcards) -> Settings:
        """Of a stage without settings."""
        return Settings()

    @cached_property
    def references(self) -> References:
        """Which entry of the configuration names which."""
        return References(self.config)

    def outliers_behind(self, table: str) -> list[str]:
        """Sections of outliers that a table's recipes learn from, in their order."""
        recipes = [Entry("recipes", name) for name in self.config.tables[table].all_recipes]
        found = [to for recipe in recipes for _, to, _ in self.references.of(recipe)]
        return list(dict.fromkeys(to.name for to in found if to.section == "outliers"))

    def generators_behind(self, recipe: str) -> set[str]:
        """Generators that a recipe learns from, also by a teacher or a warm start."""
        return {one.name for one in self.references.behind(Entry("recipes", recipe)) if one.section == "generators"}

    def recipes(self, made: Literal["trained", "imported"]) -> list[str]:
        """Recipes that are trained, or those whose models come from elsewhere."""
        trained = made == "trained"
        return [name for name, recipe in self.config.recipes.items() if (recipe.kind == "train") is trained]

    def parts(self) -> set[str]:
        """Every part of every dataset."""
        datasets = self.config.datasets.values()
        return {part for d in datasets for part in [*d.evaluated_parts, *d.extra]}

    def built_datasets(self) -> list[str]:
        return list(dict.fromkeys(d for table in self.config.build for d in self.config.tables[table].datasets))

    def sets(self, datasets: Iterable[str], role: Literal["near", "far", "shifted"]) -> dict[str, list[str]]:
        return {name: list(getattr(self.config.datasets[name], role)) for name in datasets}

    def blocks(self, dataset: str, generator: str) -> list[str]:
        """The files of a generator's synthetic images: its blocks, or what the filter kept of them."""
        if self.config.generators[generator].filter is not None:
            return [at.KEPT.format(dataset=dataset, generator=generator)]
        return self.sampled_blocks(dataset, generator)

    def sampled_blocks(self, dataset: str, generator: str) -> list[str]:
        """Every block of synthetic images of a generator, before any filter."""
        return [
            at.BLOCK.format(dataset=dataset, generator=generator, block=block)
            for block in range(len(self.block_counts(dataset, generator)))
        ]

    def block_counts(self, dataset: str, generator: str) -> list[int]:
        classes = self.config.datasets[dataset].taught.class_count
        if classes is None:
            raise ValueError(f"the classes of {dataset} are not known before its data is there")
        return self.config.generators[generator].block_counts(classes)
