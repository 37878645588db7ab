"""Which detectors can score which recipes' models."""

from collections.abc import Iterable

from synthood.config.messages import MistakeError
from synthood.config.models import Config
from synthood.evaluation.settings import Detector, McDropout
from synthood.training.settings import Recipe


def readable(detector: Detector, recipe: Recipe) -> bool:
    """Whether a recipe trains what the detector reads."""
    if isinstance(detector, McDropout) and detector.probability is not None:
        return True
    return detector.reads is None or bool(getattr(recipe, detector.reads, None))


def detectors_for(config: Config, recipe: str) -> dict[str, Detector]:
    """The detectors that can score a recipe's models; the recipe's own dropout is filled in."""
    settings = config.recipes[recipe]
    found = {name: detector for name, detector in config.detectors.items() if readable(detector, settings)}
    for name, detector in found.items():
        if isinstance(detector, McDropout) and detector.probability is None:
            found[name] = detector.model_copy(update={"probability": getattr(settings, "dropout", None)})
    return found


def unreadable(config: Config) -> Iterable[MistakeError]:
    """Detectors of tables that read what a recipe of the table does not train."""
    for name, table in config.tables.items():
        for index, detector in enumerate(table.detectors):
            for recipe in table.recipes:
                if detector not in config.detectors or recipe not in config.recipes:
                    continue
                found = config.detectors[detector]
                if not readable(found, config.recipes[recipe]):
                    yield MistakeError(
                        f"tables.{name}.detectors.{index}",
                        f"{detector!r} reads what `{found.reads}` trains, which recipe {recipe!r} does not have; "
                        f"leave one of them out of this table",
                    )
