"""Which detectors score which models: those of tables, where the recipe trains what they read."""

from collections.abc import Iterable

from synthood.config.messages import MistakeError
from synthood.config.models import Config
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.hyperparameters import Access


def detectors_for(config: Config, recipe: str) -> dict[str, Detector]:
    """The detectors of features that can score a recipe's models; the recipe's own dropout is filled in."""
    settings = config.recipes[recipe]
    of_features = {name: detector for name, detector in config.detectors.items() if detector.access == "features"}
    return {name: d.of_recipe(settings) for name, d in of_features.items() if d.readable(settings)}


def asked_of(config: Config, dataset: str, recipe: str, seed: str, access: str) -> dict[str, Detector]:
    """The detectors of one kind of access that tables ask a model for; these cost passes, so no other is scored."""
    tables = [
        table
        for table in config.tables.values()
        if dataset in table.datasets and recipe in table.recipes and int(seed) in table.seeds
    ]
    asked = {name for table in tables for name in table.detectors}
    return {name: d for name, d in config.detectors.items() if name in asked and d.access == access}


def accesses(config: Config, table: str) -> list[Access]:
    """The kinds of access, beside features, that a table's detectors need."""
    needed = {config.detectors[name].access for name in config.tables[table].detectors}
    every: tuple[Access, ...] = ("maps", "gradients", "ensemble")
    return [access for access in every if access in needed]


def unreadable(config: Config) -> Iterable[MistakeError]:
    """Detectors of tables that read what a recipe of the table does not train."""
    for name, table in config.tables.items():
        for index, detector in enumerate(table.detectors):
            for recipe in table.recipes:
                if detector not in config.detectors or recipe not in config.recipes:
                    continue
                found = config.detectors[detector]
                if not found.readable(config.recipes[recipe]):
                    yield MistakeError(
                        f"tables.{name}.detectors.{index}",
                        f"{detector!r} reads what `{found.reads}` trains, which recipe {recipe!r} does not have; "
                        f"leave one of them out of this table",
                    )
            of_seeds = detector in config.detectors and config.detectors[detector].access == "ensemble"
            if of_seeds and len(table.seeds) < 2:
                yield MistakeError(f"tables.{name}.seeds", f"{detector!r} is the mean over them; name two or more")
