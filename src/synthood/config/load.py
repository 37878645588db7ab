"""From the raw mapping of a YAML file to a checked Config, or to the list of its mistakes."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from synthood.config.like import resolved
from synthood.config.messages import SHOWN, MistakeError, nearest, told
from synthood.config.models import Config
from synthood.errors import SynthoodError


def load(raw: Mapping[str, Any], source: str = "config") -> Config:
    """A checked configuration; SynthoodError names `source`, every key path and what was expected."""
    try:
        plain = json.loads(json.dumps(raw))
    except (TypeError, ValueError) as error:
        raise SynthoodError(f"{source}: a value is neither text, number, list nor section ({error})") from error
    try:
        if isinstance(plain.get("recipes"), dict):
            plain["recipes"] = resolved(plain["recipes"])
        config = Config.model_validate_json(json.dumps(plain))
        mistakes = list(wrong_references(config))
    except ValidationError as error:
        mistakes = told(error, Config, plain)
    except MistakeError as error:
        mistakes = [error]
    if mistakes:
        more = f"\n(and {len(mistakes) - SHOWN} more)" if len(mistakes) > SHOWN else ""
        raise SynthoodError("\n".join(f"{source}: {mistake}" for mistake in mistakes[:SHOWN]) + more)
    return config


def load_file(path: Path) -> Config:
    """Reads and checks a configuration file."""
    try:
        raw = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SynthoodError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise SynthoodError(f"{path}: not valid YAML ({error})") from error
    if not isinstance(raw, dict):
        raise SynthoodError(f"{path}: expected sections such as `datasets:`, found {type(raw).__name__}")
    return load(raw, str(path))


def wrong_references(config: Config) -> Iterable[MistakeError]:
    """Names that nothing bears, circles among trained models, and detectors or judges that cannot work."""

    def unknown(path: str, name: str, known: Iterable[str], what: str) -> Iterable[MistakeError]:
        if name not in known:
            yield MistakeError(path, f"no {what} is named {name!r}{nearest(name, known)}")

    for index, built in enumerate(config.build):
        yield from unknown(f"build.{index}", built, config.tables, "table")
    for name, recipe in config.recipes.items():
        if recipe.synthetic:
            yield from unknown(f"recipes.{name}.synthetic.from", recipe.synthetic.from_, config.generators, "generator")
        for key, other in trained_before(config, name):
            yield from unknown(f"recipes.{name}.{key}", other, config.recipes, "recipe")
    for name in config.recipes:
        yield from circles(config, name)
    for name, table in config.tables.items():
        for key, known, what in (
            ("datasets", config.datasets, "dataset"),
            ("recipes", config.recipes, "recipe"),
            ("detectors", config.detectors, "detector"),
        ):
            for index, item in enumerate(getattr(table, key)):
                yield from unknown(f"tables.{name}.{key}.{index}", item, known, what)
    for name, generator in config.generators.items():
        if generator.kind == "stable-diffusion":
            for index, part in enumerate(generator.fit.also):
                for dataset in config.datasets.values():
                    yield from unknown(f"generators.{name}.fit.also.{index}", part, dataset.extra, "extra set")
    if config.assess:
        yield from unknown("assess.judge", config.assess.judge, config.recipes, "recipe")
        judge = config.recipes.get(config.assess.judge)
        if judge and (judge.synthetic or judge.teacher or judge.warm_start):
            yield MistakeError("assess.judge", f"recipe {config.assess.judge!r} must learn from real images alone")
        for name, table in config.tables.items():
            if config.assess.judge_seed in table.seeds and config.assess.judge in table.recipes:
                yield MistakeError("assess.judge_seed", f"{config.assess.judge_seed} is also a seed of table {name!r}")


def trained_before(config: Config, recipe: str) -> list[tuple[str, str]]:
    """Key and name of the recipes that must be trained before this one."""
    settings = config.recipes[recipe]
    found = [("warm_start", settings.warm_start)] if settings.warm_start else []
    return found + ([("teacher.recipe", settings.teacher.recipe)] if settings.teacher else [])


def circles(config: Config, start: str) -> Iterable[MistakeError]:
    """A chain of warm starts and teachers that leads back to `start`."""
    trails = [[start]]
    while trails:
        trail = trails.pop()
        for key, other in trained_before(config, trail[-1]) if trail[-1] in config.recipes else []:
            if other == start:
                circle = " -> ".join([*trail, other])
                yield MistakeError(f"recipes.{start}", f"{key} goes in a circle ({circle}); take one of these away")
                return
            if other not in trail:
                trails.append([*trail, other])
