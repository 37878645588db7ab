"""Which detectors score which models: those of tables, where the recipe trains what they read."""

from collections.abc import Iterable

from synthood.config.messages import MistakeError
from synthood.config.models import Config
from synthood.deploy.settings import AUTO, DeploySettings
from synthood.errors import nearest
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
    """The kinds of access, other than features, that a table's detectors need."""
    needed = {config.detectors[name].access for name in config.tables[table].detectors}
    every: tuple[Access, ...] = ("maps", "gradients", "ensemble")
    return [access for access in every if access in needed]


def deployable(config: Config, deploy: DeploySettings, recipe: str) -> dict[str, Detector]:
    """A recipe's candidates for export: detectors of features whose fitted state can be saved."""
    found = {name: d for name, d in detectors_for(config, recipe).items() if exportable(d)}
    return found if deploy.detector == AUTO else {n: d for n, d in found.items() if n == deploy.detector}


def exportable(detector: Detector) -> bool:
    """Whether a detector needs neither a trained head, nor the model itself, nor a function of the user."""
    return detector.access == "features" and detector.kind != "custom" and "outputs" not in detector.inputs


def not_deployable(config: Config) -> Iterable[MistakeError]:
    """Candidates of the section `deploy` that cannot be exported."""
    deploy = config.deploy
    if deploy is None or deploy.dataset not in config.datasets:
        return
    if deploy.detector != AUTO and deploy.detector not in config.detectors:
        near = nearest(deploy.detector, [AUTO, *config.detectors])
        yield MistakeError("deploy.detector", f"no detector is named {deploy.detector!r}{near}")
        return
    for index, recipe in enumerate(deploy.recipes):
        if recipe in config.recipes and not deployable(config, deploy, recipe):
            what = "no detector can" if deploy.detector == AUTO else f"the detector {deploy.detector!r} cannot"
            yield MistakeError(
                f"deploy.recipes.{index}",
                f"{what} be exported with {recipe!r}; take one of logits or features, not `custom`",
            )


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
