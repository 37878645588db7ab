"""From the raw mapping of a YAML file to a checked Config, or to the list of its mistakes."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from synthood.common.settings import Ref
from synthood.config.benchmarks import expanded
from synthood.config.detection import no_denoisers, not_deployable, too_large, unreadable
from synthood.config.like import SECTIONS, resolved, without_inherited
from synthood.config.messages import SHOWN, MistakeError, format_errors
from synthood.config.models import Config
from synthood.config.names import clashes
from synthood.config.read import DEEPEST, read
from synthood.config.refs import Entry, References
from synthood.config.renames import upgraded
from synthood.errors import UNSAFE, SynthoodError, nearest
from synthood.outliers.kinds.guided import GuidedOutliers
from synthood.outliers.kinds.inverted import InvertedOutliers
from synthood.outliers.kinds.sampled import SampledOutliers
from synthood.reporting.published import figures, sets_of
from synthood.reporting.published_sets import contradiction, declared, names_in_source
from synthood.reporting.settings import Published, TableSettings

JUDGED = {"outliers": "the gate", "generators": "what it judges"}
"""What a classifier of a section helps to choose."""


def load(raw: Mapping[str, Any], source: str = "config", of_text: Iterable[str] = ()) -> Config:
    """A checked configuration; SynthoodError names `source`, every key path and what was expected.

    `of_text` are mistakes found in the text that `raw` was read from.
    """
    config = None
    mistakes = list(foreign(raw, ""))
    try:
        if not mistakes:
            plain = upgraded(json.loads(json.dumps(raw)))
            given = {key: plain[key] for key in SECTIONS if isinstance(plain.get(key), dict)}
            followed = {key: expanded(of) if key == "datasets" else resolved(key, of) for key, of in given.items()}
            config = Config.model_validate_json(json.dumps(plain | followed))
            mistakes = [
                *wrong_references(config),
                *unreadable(config),
                *no_denoisers(config),
                *not_deployable(config),
                *clashes(config),
            ]
            mistakes += too_large(config)
    except ValidationError as error:
        mistakes = without_inherited(format_errors(error, Config), given)
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


def wrong_references(config: Config) -> Iterable[MistakeError]:
    """Names of no entry, cycles, and entries that cannot be used where they are named."""
    references = References(config)
    yield from references.unknown()
    yield from references.cycles()
    for path, to, mark in references:
        if to.section == "recipes" and mark.without:
            yield from unfit(config, path, to.name, mark)
    for name, recipe in config.recipes.items():
        if recipe.outliers and (found := config.outliers.get(recipe.outliers.from_)) and not found.latent:
            yield MistakeError(
                f"recipes.{name}.outliers.from",
                f"{recipe.outliers.from_!r} is of kind {found.kind!r}, whose images are for `exposure`; "
                f"take kind latent or bood-latent",
            )
        elif recipe.outliers and isinstance(found, InvertedOutliers) and found.inversion.per_class is not None:
            what = f"{recipe.outliers.from_!r} has tokens of some ID images alone; take its inversion.per_class away"
            yield MistakeError(f"recipes.{name}.outliers.from", what)
        yield from other_backbones(config, name)
    for name, table in config.tables.items():
        yield from missing_extra(config, references, name)
        if table.published:
            yield from wrong_published(f"tables.{name}.published", table.published, table, config)
        known = {
            "near",
            "far",
            "test",
            *(s for d in table.datasets if d in config.datasets for s in sets_of_dataset(config, d)),
        }
        for index, part in enumerate(table.tests.sets):
            if part not in known:
                what = f"{part!r} is no set of the table's datasets{nearest(part, known)}"
                yield MistakeError(f"tables.{name}.tests.sets.{index}", what)
        for index, on in enumerate(table.datasets if table.full_spectrum else []):
            if on in config.datasets and not config.datasets[on].shifted:
                path = f"tables.{name}.datasets.{index}"
                yield MistakeError(path, f"{on!r} has no `shifted` sets, which full_spectrum needs")
        if (assess := config.assess) and assess.judge_seed in table.seeds and assess.judge in table.all_recipes:
            yield MistakeError("assess.judge_seed", f"{assess.judge_seed} is also a seed of table {name!r}")
    for name, dataset in config.datasets.items():
        if config.generators and dataset.taught.class_count is None:
            yield MistakeError(f"datasets.{name}.id.classes", "name them; generators make so many images of each")
    for name, outliers in config.outliers.items():
        if not isinstance(outliers, SampledOutliers | GuidedOutliers | InvertedOutliers):
            continue
        yield from too_many_neighbours(config, name, outliers)
        yield from too_many_kept(name, outliers)
        source = config.generators.get(outliers.generator)
        if source and source.kind != "stable-diffusion":
            what = f"{outliers.generator!r} is of kind {source.kind!r}, expected 'stable-diffusion'"
            yield MistakeError(f"outliers.{name}.generator", what)


def sets_of_dataset(config: Config, name: str) -> Iterable[str]:
    """Its OOD sets."""
    return config.datasets[name].ood_sets


def other_backbones(config: Config, name: str) -> Iterable[MistakeError]:
    """Models that a recipe with a frozen backbone needs and that are not on the same cached features."""
    recipe = config.recipes[name]
    named = {"teacher.recipe": recipe.teacher and recipe.teacher.recipe, "warm_start": recipe.warm_start}
    for key, other in named.items():
        found = config.recipes.get(other) if recipe.network.frozen and other else None
        if found and found.network.backbone != recipe.network.backbone:
            yield MistakeError(
                f"recipes.{name}.{key}",
                f"{other!r} needs pixels, but a frozen backbone is trained on cached features; name a recipe whose "
                f"`network` is the same but for the head",
            )


def unfit(config: Config, path: str, recipe: str, mark: Ref) -> Iterable[MistakeError]:
    """Judges and classifiers that learn from what they judge, gate or filter, and a judge in another part."""
    real = "synthetic" in mark.without
    if config.assess and recipe == config.assess.judge and real and path != "assess.judge":
        yield MistakeError(path, f"is the judge, which must have no part in {JUDGED[path.partition('.')[0]]}")
    elif any(getattr(config.recipes[recipe], key) for key in mark.without):
        how = "from real images alone" if real else "without outliers"
        yield MistakeError(path, f"recipe {recipe!r} must learn {how}")


def missing_extra(config: Config, references: References, table: str) -> Iterable[MistakeError]:
    """Extra sets that something behind a table learns from and one of its datasets does not have."""
    behind = references.behind(Entry("tables", table))
    for on in filter(config.datasets.__contains__, config.tables[table].datasets):
        for entry in behind:
            for _, to, _ in references.of(entry):
                if to.section == "extra" and to.name not in config.datasets[on].extra:
                    what = f"{on!r} has no extra set {to.name!r}, which {entry.name!r} is shown"
                    yield MistakeError(f"tables.{table}.datasets", what)


def wrong_published(path: str, published: Published, table: TableSettings, config: Config) -> Iterable[MistakeError]:
    """Names that the table or the published figures do not have, and datasets that have other images than these."""
    datasets = [config.datasets[name] for name in table.datasets if name in config.datasets]
    sets = [name for dataset in datasets for name in (*dataset.ood_sets, *dataset.shifted)]
    for key, known in (
        ("trainings", table.all_recipes),
        ("detectors", table.all_detectors),
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


def too_many_neighbours(
    config: Config, name: str, outliers: SampledOutliers | GuidedOutliers | InvertedOutliers
) -> Iterable[MistakeError]:
    """Numbers of an outliers' section that the classes of a dataset cannot meet."""
    for dataset, settings in config.datasets.items():
        if (count := getattr(settings.id, "train_per_class", None)) is None:
            continue
        total = count * (settings.taught.class_count or 0)
        if isinstance(outliers, GuidedOutliers) and total and (k := outliers.guidance.k) > total:
            what = f"must not be above the {total} training images of dataset {dataset!r}, got {k}"
            yield MistakeError(f"outliers.{name}.guidance.k", what)
        if not isinstance(outliers, SampledOutliers):
            continue
        place, sought = f"outliers.{name}.{outliers.sought}", getattr(outliers, outliers.sought)
        images = f"the {count} training images of a class of dataset {dataset!r}"
        if (k := sought.k) >= count:
            yield MistakeError(f"{place}.k", f"must be below {images}, got {k}")
        if (points := sought.boundary_points) > count:
            what = f"must not be above {images}, got {points}"
            yield MistakeError(f"{place}.boundary_points", what)


def too_many_kept(name: str, outliers: SampledOutliers | GuidedOutliers | InvertedOutliers) -> Iterable[MistakeError]:
    """More outliers to keep than are sampled."""
    section = "guidance" if isinstance(outliers, GuidedOutliers) else "latents"
    wanted, attempts = outliers.gate.keep_per_class, getattr(outliers, section).attempts_per_class
    if wanted > attempts:
        what = f"must not be above {section}.attempts_per_class {attempts}, got {wanted}"
        yield MistakeError(f"outliers.{name}.gate.keep_per_class", what)
