"""From the raw mapping of a YAML file to a checked Config, or to the list of its mistakes."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from synthood.config.benchmarks import expanded
from synthood.config.detection import unreadable
from synthood.config.like import resolved
from synthood.config.messages import SHOWN, MistakeError, told
from synthood.config.models import Config
from synthood.config.names import clashes
from synthood.config.read import DEEPEST, read
from synthood.errors import UNSAFE, SynthoodError, nearest
from synthood.generators.biggan.settings import BigGAN
from synthood.generators.settings import Generator
from synthood.reporting.published import figures, sets_of
from synthood.reporting.published_sets import contradiction, declared, names_in_source
from synthood.reporting.settings import Published, TableSettings


def load(raw: Mapping[str, Any], source: str = "config", of_text: Iterable[str] = ()) -> Config:
    """A checked configuration; SynthoodError names `source`, every key path and what was expected.

    `of_text` are mistakes found in the text that `raw` was read from.
    """
    config = None
    mistakes = list(foreign(raw, ""))
    try:
        if not mistakes:
            plain = json.loads(json.dumps(raw))
            if "datasets" in plain:
                plain["datasets"] = expanded(plain["datasets"])
            own = plain.get("recipes")
            if isinstance(own, dict):
                plain["recipes"] = resolved(own)
            config = Config.model_validate_json(json.dumps(plain))
            mistakes = [*wrong_references(config), *unreadable(config), *clashes(config)]
    except ValidationError as error:
        mistakes = without_inherited(told(error, Config), own)
    except MistakeError as error:
        mistakes = [error]
    lines = list(of_text)
    named = tuple(lines)
    lines += [
        f"{source}: {mistake}"
        for mistake in mistakes
        if not any(line.startswith(f"{source}: {mistake.path}: line ") for line in named)
    ]
    if lines:
        more = f"\n(and {len(lines) - SHOWN} more)" if len(lines) > SHOWN else ""
        raise SynthoodError("\n".join(lines[:SHOWN]) + more)
    assert config is not None
    return config


def load_file(path: Path) -> Config:
    """Reads and checks a configuration file."""
    raw, mistakes = read(path)
    if not isinstance(raw, dict):
        raise SynthoodError(f"{path}: expected sections such as `datasets:`, found {type(raw).__name__}")
    return load(raw, str(path), mistakes)


def foreign(value: Any, path: str, depth: int = 0) -> Iterable[MistakeError]:
    """What YAML knows and a configuration does not: dates, line breaks in a text, endless depth."""
    if depth > DEEPEST:
        yield MistakeError(path, f"nested more than {DEEPEST} levels deep; a configuration needs fewer")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            inside = f"{path}.{key}" if path else str(key)
            if isinstance(key, str) and UNSAFE.search(key):
                yield MistakeError(inside, "the key holds a line break or a control character; take it out")
            yield from foreign(inner, inside, depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from foreign(inner, f"{path}.{index}", depth + 1)
    elif isinstance(value, str):
        if UNSAFE.search(value):
            what = "holds a line break or a control character; write it in one line (after `>-` YAML joins lines)"
            yield MistakeError(path, what)
    elif not (value is None or isinstance(value, int | float)):
        yield MistakeError(path, f"expected text, a number, a list or a section, got {type(value).__name__} {value}")


def without_inherited(mistakes: list[MistakeError], recipes: Any) -> list[MistakeError]:
    """Leaves out what a recipe only takes over by `like:` from one that is told of already."""
    told_of = {(mistake.path, mistake.what) for mistake in mistakes}

    def inherited(mistake: MistakeError) -> bool:
        section, _, rest = mistake.path.partition(".")
        name = next((name for name in recipes if f"{rest}.".startswith(f"{name}.")), None)
        if section != "recipes" or name is None or not isinstance(recipes[name], dict) or "like" not in recipes[name]:
            return False
        inner = rest[len(name) :]
        value = recipes[name]
        for key in inner.split(".")[1:]:
            value = value.get(key, KeyError) if isinstance(value, dict) else KeyError
        own = bool(inner) and value is not KeyError
        return not own and (f"recipes.{recipes[name]['like']}{inner}", mistake.what) in told_of

    return [mistake for mistake in mistakes if not (isinstance(recipes, dict) and inherited(mistake))]


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
        if recipe.outliers:
            yield from unknown(
                f"recipes.{name}.outliers.from", recipe.outliers.from_, config.outliers, "section of outliers"
            )
            if (found := config.outliers.get(recipe.outliers.from_)) and found.kind == "pixel":
                yield MistakeError(
                    f"recipes.{name}.outliers.from",
                    f"{recipe.outliers.from_!r} is of kind 'pixel', whose images are for `exposure`; take kind latent",
                )
        if recipe.exposure:
            named = recipe.exposure.from_
            sets = [*config.outliers, *(extra for dataset in config.datasets.values() for extra in dataset.extra)]
            yield from unknown(f"recipes.{name}.exposure.from", named, sets, "section of outliers or extra set")
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
        yield from missing_exposures(config, name)
        if table.published:
            yield from wrong_published(f"tables.{name}.published", table.published, table, config)
        for index, on in enumerate(table.datasets if table.full_spectrum else []):
            if on in config.datasets and not config.datasets[on].shifted:
                path = f"tables.{name}.datasets.{index}"
                yield MistakeError(path, f"{on!r} has no `shifted` sets, which full_spectrum needs")
    for name, generator in config.generators.items():
        yield from wrong_classifiers(config, name)
        if generator.kind == "stable-diffusion" and generator.fit is not None:
            for index, part in enumerate(generator.fit.also):
                for dataset in config.datasets.values():
                    yield from unknown(f"generators.{name}.fit.also.{index}", part, dataset.extra, "extra set")
    for name, dataset in config.datasets.items():
        if config.generators and dataset.taught.class_count is None:
            yield MistakeError(f"datasets.{name}.id.classes", "name them; generators make so many images of each")
    for name, outliers in config.outliers.items():
        path = f"outliers.{name}"
        yield from too_many_neighbours(config, name)
        if outliers.encoder.kind == "recipe":
            named = outliers.encoder.recipe
            yield from unknown(f"{path}.encoder.recipe", named, config.recipes, "recipe")
            if (seen := config.recipes.get(named)) and (seen.outliers or seen.exposure):
                yield MistakeError(f"{path}.encoder.recipe", f"recipe {named!r} must learn without outliers")
        yield from unknown(f"{path}.generator", outliers.generator, config.generators, "generator")
        source = config.generators.get(outliers.generator)
        if source and source.kind != "stable-diffusion":
            yield MistakeError(
                f"{path}.generator", f"{outliers.generator!r} is of kind {source.kind!r}, expected 'stable-diffusion'"
            )
        classifier = outliers.gate.classifier
        yield from unknown(f"{path}.gate.classifier", classifier, config.recipes, "recipe")
        if config.assess and config.assess.judge == classifier:
            yield MistakeError(f"{path}.gate.classifier", "is the judge, which must have no part in the gate")
        gating = config.recipes.get(classifier)
        if gating and (gating.synthetic or gating.outliers or gating.exposure):
            yield MistakeError(f"{path}.gate.classifier", f"recipe {classifier!r} must learn from real images alone")
    if config.assess:
        yield from unknown("assess.judge", config.assess.judge, config.recipes, "recipe")
        judge = config.recipes.get(config.assess.judge)
        if judge and (judge.synthetic or judge.teacher or judge.warm_start or judge.outliers or judge.exposure):
            yield MistakeError("assess.judge", f"recipe {config.assess.judge!r} must learn from real images alone")
        for name, table in config.tables.items():
            if config.assess.judge_seed in table.seeds and config.assess.judge in table.recipes:
                yield MistakeError("assess.judge_seed", f"{config.assess.judge_seed} is also a seed of table {name!r}")


def missing_exposures(config: Config, table: str) -> Iterable[MistakeError]:
    """Sets of outlier images that a table's recipes are shown and one of its datasets does not have."""
    for on in filter(config.datasets.__contains__, config.tables[table].datasets):
        known = [*config.outliers, *config.datasets[on].extra]
        for name in filter(config.recipes.__contains__, config.tables[table].recipes):
            shown = config.recipes[name].exposure
            if shown and shown.from_ not in known:
                what = f"{on!r} has no extra set {shown.from_!r}, which {name!r} is shown"
                yield MistakeError(f"tables.{table}.datasets", what)


def wrong_published(path: str, published: Published, table: TableSettings, config: Config) -> Iterable[MistakeError]:
    """Names that the table or the published figures do not have, and datasets that have other images than these."""
    datasets = [config.datasets[name] for name in table.datasets if name in config.datasets]
    sets = [name for dataset in datasets for name in (*dataset.ood_sets, *dataset.shifted)]
    for key, known in (
        ("trainings", table.recipes),
        ("detectors", table.detectors),
        ("datasets", table.datasets),
        ("sets", sets),
    ):
        for name in getattr(published, key):
            if name not in known:
                yield MistakeError(f"{path}.{key}", f"{name!r} is not in the table{nearest(name, known)}")
    try:
        figures(published, table.datasets)
        for name in filter(config.datasets.__contains__, table.datasets):
            dataset, theirs = config.datasets[name], sets_of(published, name)
            ours = declared(dataset, names_in_source(dataset, published), table.full_spectrum)
            found = {role: contradiction(theirs, ours, role) for role in ("near", "far") if getattr(ours, role)}
            if all(found.values()):
                reasons = "; ".join(f"{role} {reason}" for role, reason in found.items())
                other = published.datasets.get(name, name)
                yield MistakeError(path, f"{name!r} is not {other!r} of {published.source}: {reasons}")
    except SynthoodError as error:
        yield MistakeError(path, str(error))


def classifiers_of(generator: Generator) -> list[tuple[str, str]]:
    """Key and name of the recipes that a generator's fit or filter uses."""
    found = [("filter.classifier", generator.filter.classifier)] if generator.filter else []
    watch = generator.watched if isinstance(generator, BigGAN) else None
    return found + ([("fit.watch.classifier", watch.classifier)] if watch and watch.classifier else [])


def wrong_classifiers(config: Config, name: str) -> Iterable[MistakeError]:
    """Classifiers of a generator that are unknown, the judge, or taught by synthetic images themselves."""
    for key, used in classifiers_of(config.generators[name]):
        path = f"generators.{name}.{key}"
        recipe = config.recipes.get(used)
        if recipe is None:
            yield MistakeError(path, f"no recipe is named {used!r}{nearest(used, config.recipes)}")
        elif config.assess and config.assess.judge == used:
            yield MistakeError(path, "is the judge, which must have no part in what it judges")
        elif recipe.synthetic or recipe.outliers or recipe.exposure:
            yield MistakeError(path, f"recipe {used!r} must learn from real images alone")


def too_many_neighbours(config: Config, name: str) -> Iterable[MistakeError]:
    """Numbers of an outliers' section that the classes of a dataset cannot meet."""
    outliers = config.outliers[name]
    boundary, wanted = outliers.boundary, outliers.gate.wanted_per_class
    for dataset, settings in config.datasets.items():
        count = getattr(settings.id, "train_per_class", None)
        if count is not None and boundary.k >= count:
            yield MistakeError(
                f"outliers.{name}.boundary.k",
                f"must be below the {count} training images of a class of dataset {dataset!r}, got {boundary.k}",
            )
        if count is not None and boundary.boundary_points > count:
            yield MistakeError(
                f"outliers.{name}.boundary.boundary_points",
                f"must not be above the {count} training images of a class of dataset {dataset!r}, "
                f"got {boundary.boundary_points}",
            )
    if wanted > outliers.latents.attempts_per_class:
        yield MistakeError(
            f"outliers.{name}.gate.wanted_per_class",
            f"must not be above latents.attempts_per_class {outliers.latents.attempts_per_class}, got {wanted}",
        )


def trained_before(config: Config, recipe: str) -> list[tuple[str, str]]:
    """Key and name of the recipes that must be trained before this one."""
    settings = config.recipes[recipe]
    found = [("warm_start", settings.warm_start)] if settings.warm_start else []
    found += [("teacher.recipe", settings.teacher.recipe)] if settings.teacher else []
    if settings.synthetic and settings.synthetic.from_ in config.generators:
        used = [recipe for _, recipe in classifiers_of(config.generators[settings.synthetic.from_])]
        found += [("synthetic.from", recipe) for recipe in used if recipe in config.recipes]
    for key, terms in (("outliers", settings.outliers), ("exposure", settings.exposure)):
        if terms and terms.from_ in config.outliers:
            section = config.outliers[terms.from_]
            found.append((f"{key}.from", section.gate.classifier))
            if section.encoder.kind == "recipe":
                found.append((f"{key}.from", section.encoder.recipe))
    return found


def circles(config: Config, start: str) -> Iterable[MistakeError]:
    """The first chain of warm starts, teachers and gates from `start` back to it, told at its first recipe alone."""
    order = list(config.recipes)
    waiting = [(key, [start, other]) for key, other in trained_before(config, start)]
    while waiting:
        key, trail = waiting.pop()
        if trail[-1] == start:
            if start == min(trail, key=order.index):
                circle = " -> ".join(trail)
                yield MistakeError(f"recipes.{start}.{key}", f"goes in a circle ({circle}); take one of these away")
            return
        if trail[-1] in config.recipes and trail[-1] not in trail[:-1]:
            waiting += [(key, [*trail, other]) for _, other in trained_before(config, trail[-1])]
