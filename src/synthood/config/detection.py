"""Which detectors score which models: those of tables, where the recipe trains what they read."""

from collections.abc import Callable, Iterable, Iterator

from synthood.config.messages import MistakeError
from synthood.config.models import Config
from synthood.deploy.settings import AUTO, DeploySettings
from synthood.errors import nearest
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.hyperparameters import Access
from synthood.training.networks.architectures.base import NetworkSettings
from synthood.training.settings import Recipe


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
        if dataset in table.datasets and recipe in table.all_recipes and int(seed) in table.seeds
    ]
    asked = {name for table in tables for name in table.all_detectors}
    settings = config.recipes[recipe]
    chosen = {name: d for name, d in config.detectors.items() if name in asked and d.access == access}
    return {name: d.of_recipe(settings) for name, d in chosen.items() if d.readable(settings)}


def accesses(config: Config, table: str) -> list[Access]:
    """The kinds of access, other than features, that a table's detectors need."""
    needed = {config.detectors[name].access for name in config.tables[table].all_detectors}
    every: tuple[Access, ...] = ("maps", "gradients", "denoiser", "ensemble")
    return [access for access in every if access in needed]


def deployable(config: Config, deploy: DeploySettings, recipe: str) -> dict[str, Detector]:
    """A recipe's candidates for export."""
    settings = config.recipes[recipe]
    names = config.detectors if deploy.detector == AUTO else [deploy.detector]
    found = {name: config.detectors[name].of_recipe(settings) for name in names if name in config.detectors}
    return {name: detector for name, detector in found.items() if not why_not(deploy, detector, settings)}


def why_not(deploy: DeploySettings, detector: Detector, recipe: Recipe) -> str:
    """Why a detector cannot be exported with a recipe; empty where it can."""
    if detector.kind == "custom":
        return "its code lies outside of the package, and an exported folder holds no code"
    if detector.access == "ensemble" and not deploy.seeds:
        return "it needs several models; name their `seeds`"
    if detector.access != "ensemble" and deploy.seeds:
        return "it looks at one model; with `seeds` take a detector of kind ensemble"
    if detector.access == "denoiser":
        return "it looks inside a generator, which an exported folder does not hold"
    if not detector.readable(recipe):
        return f"it reads what `{detector.reads}` trains"
    if detector.access in ("maps", "gradients"):
        if deploy.detector == AUTO:
            return "it needs passes over all images; name it as `detector` to export it"
        if deploy.calibration == "cross":
            return "it is not fitted by folds; take `calibration: split`"
    return ""


def left_out(config: Config, deploy: DeploySettings) -> list[str]:
    """With `auto`, the detectors that are no candidates, with the reason."""
    if deploy.detector != AUTO:
        return []
    reasons = {
        f"{name}: {why}": None
        for recipe in deploy.recipes
        for name, detector in config.detectors.items()
        if (why := why_not(deploy, detector, config.recipes[recipe]))
    }
    return list(reasons)


def not_deployable(config: Config) -> Iterable[MistakeError]:
    """Candidates of the section `deploy` that cannot be exported, and promises that cannot be kept."""
    deploy = config.deploy
    if deploy is None or deploy.dataset not in config.datasets:
        return
    if deploy.detector != AUTO and deploy.detector not in config.detectors:
        near = nearest(deploy.detector, [AUTO, *config.detectors])
        yield MistakeError("deploy.detector", f"no detector is named {deploy.detector!r}{near}")
        return
    if deploy.calibration == "split" and config.datasets[deploy.dataset].calibration is None:
        yield MistakeError(
            "deploy.calibration",
            f"split needs images of its own; add `calibration: 0.5` to datasets.{deploy.dataset} (which makes new "
            f"models, since validation images change), or take `calibration: cross`",
        )
    if deploy.calibration == "cross" and len(deploy.recipes) > 1:
        yield MistakeError(
            "deploy.recipes",
            "with `calibration: cross` the choice between recipes would use the images that calibrate; name one recipe",
        )
    if deploy.calibration == "cross" and config.datasets[deploy.dataset].ood_validation.of_validation:
        found = [
            d for name in deploy.recipes if name in config.recipes for d in deployable(config, deploy, name).values()
        ]
        if sum(len(detector.candidates()) for detector in found) > 1:
            yield MistakeError(
                "deploy.detector",
                f"with `calibration: cross` the choice between detectors or values would use "
                f"datasets.{deploy.dataset}.ood_validation, which is made of the images that calibrate; name one "
                f"detector without a list of values, or another ood_validation",
            )
    for index, recipe in enumerate(deploy.recipes):
        if recipe in config.recipes and not deployable(config, deploy, recipe):
            names = config.detectors if deploy.detector == AUTO else [deploy.detector]
            whys = [f"{name}: {why_not(deploy, config.detectors[name], config.recipes[recipe])}" for name in names]
            yield MistakeError(
                f"deploy.recipes.{index}",
                f"no detector can be exported with {recipe!r} ({'; '.join(whys[:3])}{'; ...' * (len(whys) > 3)})",
            )


def told_by_settings(network: NetworkSettings) -> int | None:
    """Penultimate features of a network that need not be built for them."""
    return network.feature_count


def too_large(
    config: Config, features: Callable[[NetworkSettings], int | None] = told_by_settings
) -> Iterator[MistakeError]:
    """Hyperparameters that the features or classes of models to be scored are too few for; each key once.

    `features` gives the number of a network's penultimate features, None where it is unknown.
    """
    found: dict[str, MistakeError] = {}
    for table in config.tables.values():
        for dataset in (config.datasets[name] for name in table.datasets if name in config.datasets):
            for recipe in (name for name in table.recipes if name in config.recipes):
                network, classes = config.recipes[recipe].network, dataset.taught.class_count
                for name, detector in detectors_for(config, recipe).items():
                    for key, bound in detector.limited_by.items():
                        path = f"detectors.{name}.{key}"
                        if bound == "training images" or path in found:
                            continue
                        most = classes if bound == "classes" else features(network)
                        what = "classes" if bound == "classes" else f"penultimate features of recipes.{recipe}"
                        if wrong := above(detector, key, most, what):
                            found[path] = MistakeError(path, wrong)
    yield from found.values()


def above(detector: Detector, key: str, most: int | None, what: str) -> str:
    """Why no value of a hyperparameter fits; empty where one does, or `most` is unknown."""
    given = detector.hyperparameters[key]
    values = [value for value in (given if isinstance(given, list) else [given]) if value is not None]
    below = detector.limited_by[key] == "below features"
    if most is None or not values or min(values) < most + (not below):
        return ""
    return f"{min(values)} must be {'below' if below else 'at most'} {most}, the {what}"


def no_denoisers(config: Config) -> Iterable[MistakeError]:
    """Detectors that look inside a generator that is no denoiser fitted on the ID images."""
    for name, detector in config.detectors.items():
        named = getattr(detector, "generator", "")
        if (generator := config.generators.get(named)) is None:
            continue
        diffusion = generator.kind == "stable-diffusion"
        if not diffusion or getattr(generator, "fit", None) is None:
            what = "a checkpoint made elsewhere" if diffusion else f"of kind {generator.kind}"
            message = f"{named!r} is {what}; name one of kind stable-diffusion with `fit`"
            yield MistakeError(f"detectors.{name}.generator", message)


def unreadable(config: Config) -> Iterable[MistakeError]:
    """Detectors of tables that read what a recipe of the table does not train."""
    for name, table in config.tables.items():
        paths = [f"detectors.{index}" for index, _ in enumerate(table.detectors)]
        paths += [f"own_detectors.{index}.recipes" for index, _ in enumerate(table.own_detectors)]
        for path, method in zip(paths, table.methods, strict=True):
            detector = method.detector
            for recipe in method.recipes.values():
                if detector not in config.detectors or recipe not in config.recipes:
                    continue
                found = config.detectors[detector]
                if not found.readable(config.recipes[recipe]):
                    yield MistakeError(
                        f"tables.{name}.{path}",
                        f"{detector!r} reads what `{found.reads}` trains, which recipe {recipe!r} does not have; "
                        f"leave one of them out of this table",
                    )
            of_seeds = detector in config.detectors and config.detectors[detector].access == "ensemble"
            if of_seeds and len(table.seeds) < 2:
                yield MistakeError(f"tables.{name}.seeds", f"{detector!r} is the mean over them; name two or more")
