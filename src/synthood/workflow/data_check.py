"""What the files behind a configuration hold, and what is wrong with them, before any job runs."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from synthood.common.image_facts import ImageFacts, difference_note, sizes
from synthood.common.images import pixel_sha256
from synthood.config.detection import above, detectors_for
from synthood.data import overlaps, raw
from synthood.data.calibration_part import note_on, places_of
from synthood.data.files.decode import Reading
from synthood.data.overlap_settings import CALIBRATION, ID_PARTS, refusal
from synthood.data.part_settings import PartSettings
from synthood.data.prepare import prepare
from synthood.data.sources.in_files import InFiles, no_class_emptied
from synthood.errors import SynthoodError
from synthood.training.networks.imported_recipe import ImportedRecipe
from synthood.workflow.plan import Plan
from synthood.workflow.plausible import unknown_classes

MOST = 5_000
"""Images of a part that are decoded, evenly spread; all are listed and counted."""
FEW = 100
"""Validation images below which what is chosen on them is reported as uncertain."""
RATE = 0.05
"""Of ID images rejected: the usual threshold."""
ROLES = ("near", "far", "shifted", "extra")
COLUMNS = ("part", "role", "images", "classes", "per class", "size", "native size")


@dataclass
class Findings:
    """Lines that describe the data, warnings, and the faults that would stop a job."""

    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Seen:
    """What a part holds: labels int64 [N] of all its images; height and width, facts and digests of those decoded."""

    labels: np.ndarray
    classes: list[str]
    notes: list[str]
    side: tuple[int, ...]
    facts: ImageFacts | None
    digests: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Images of each class; empty for OOD images."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))


def check_data(plan: Plan, most: int = MOST) -> Findings:
    """Reads the images and checkpoints behind the tables to be built; writes nothing."""
    findings, classes = Findings(), dict[str, list[str]]()
    wrong = [mistake.path for mistake in unknown_classes(plan.config)]
    for name in plan.built_datasets():
        if any(path.startswith(f"datasets.{name}.") for path in wrong):
            continue  # every part would fail for what is named already
        seen = dict(_parts(plan, name, most, findings))
        findings.lines += [f"{name}:", *(f"  {line}" for line in _table(plan, name, seen))]
        findings.faults += [f"datasets.{name}: {fault}" for fault in (*_sides(seen), *_shared(plan, name, seen))]
        findings.warnings += [f"datasets.{name}: {text}" for text in (*_different(seen), *_few(seen))]
        findings.faults += _banks(plan, name, seen)
        classes |= {name: seen["train"].classes} if "train" in seen else {}
    findings.faults += _checkpoints(plan, classes)
    return findings


def _parts(plan: Plan, name: str, most: int, findings: Findings) -> Iterator[tuple[str, Seen]]:
    """Every part that can be read; what is wrong with the ID images is not named again for sets made of them."""
    dataset, faults = plan.config.datasets[name], dict[str, None]()
    for part in [*dataset.evaluated_parts, *dataset.extra]:
        role = next((role for role in ROLES if part in getattr(dataset, role)), "")
        key = f"datasets.{name}." + ("id" if part in ID_PARTS else f"{role}.{part}" if role else part)
        settings = plan.settings_of_part(name, part)
        of_id_images = bool(settings.held_out) or settings.validation is not None
        if raw.missing(settings) or (of_id_images and faults):
            continue  # missing files are named by `workflow.plausible`
        try:
            yield part, look(settings, most)
        except SynthoodError as error:
            faults[f"{key}: {error}"] = None
    findings.faults += faults


def look(settings: PartSettings, most: int = MOST) -> Seen:
    """Lists a part and decodes at most so many of its images, evenly spread.

    Raises SynthoodError for whatever would stop the stage `prepare`.
    """
    source = settings.source
    if not isinstance(source, InFiles):
        made = prepare(settings)
        digests = pixel_sha256(made.images)
        return Seen(made.labels, made.classes, made.notes, made.images.shape[1:3], made.facts, digests)
    listing = source.listed(settings.asked)
    notes = listing.notes
    chosen = np.unique(np.linspace(0, len(listing) - 1, min(most, len(listing))).round().astype(int))
    reading = Reading(listing.chosen(chosen), source, threads=4)
    found = [(pixel_sha256(image[None]), image.shape[:2]) for image in reading]
    if len(chosen) < len(listing):
        notes = [*notes, f"{len(chosen)} of {len(listing)} images decoded"]
    elif not settings.ood or settings.held_out:
        no_class_emptied(listing, reading)
    labels = np.full(len(listing), -1, np.int64) if settings.ood else listing.labels
    classes = [] if settings.ood else listing.classes
    digests = np.concatenate([digest for digest, _ in found])
    if settings.of_validation:
        kept = places_of(settings, digests, settings.draw)
        notes = [*notes, note_on(settings, len(kept), len(digests))]
        labels, digests = reading.labels[kept], digests[kept]
    return Seen(labels, classes, [*notes, *reading.notes], found[0][1], reading.facts, digests)


def _table(plan: Plan, name: str, seen: dict[str, Seen]) -> Iterator[str]:
    """A row for each part, the training images of each class, and the parts' notes."""
    dataset = plan.config.datasets[name]
    roles = {part: role for role in ROLES for part in getattr(dataset, role)} | dict.fromkeys(ID_PARTS, "ID")
    rows = [COLUMNS]
    for part, one in seen.items():
        spread = f"{one.counts.min()} to {one.counts.max()}" if one.counts.size else "-"
        native = sizes(one.facts.native) if one.facts else "unknown"
        shape = f"{one.side[1]}x{one.side[0]}"
        counts = (str(len(one.labels)), str(len(one.classes)) if one.classes else "-")
        rows.append((part, roles.get(part, "validation"), *counts, spread, shape, native))
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if train := seen.get("train"):
        pairs = zip(train.classes, train.counts.tolist(), strict=True)
        yield f"classes (training images): {', '.join(f'{word} ({count})' for word, count in pairs)}"
    yield from (f"{part}: {note}" for part, one in seen.items() for note in one.notes)


def _sides(seen: dict[str, Seen]) -> Iterator[str]:
    """Parts whose images end at another size than those of the first."""
    for part, one in itertools.islice(seen.items(), 1, None):
        first, other = next(iter(seen.items()))
        if one.side != other.side:
            own, ids = (f"{side[1]}x{side[0]} px" for side in (one.side, other.side))
            yield f"{part} has images of {own}, {first} of {ids}; give both parts the same `size`"


def _shared(plan: Plan, name: str, seen: dict[str, Seen]) -> list[str]:
    """Parts that share more images with identical pixels than they may, among those decoded."""
    settings = plan.overlap_settings_of(name)
    parts = [overlaps.Part.of(part, one.digests) for part, one in seen.items()]
    refused = refusal(overlaps.compared(parts, settings.extra), settings)
    return [refused.removeprefix(f"datasets.{name}: ")] if refused else []


def _different(seen: dict[str, Seen]) -> Iterator[str]:
    """Parts that differ from the training images apart from content."""
    ids = seen["train"].facts if "train" in seen else None
    for part, one in seen.items():
        if ids and one.facts and part != "train" and (sentence := difference_note(part, ids, one.facts)):
            yield sentence


def _few(seen: dict[str, Seen]) -> Iterator[str]:
    """Too few validation images for what is chosen on them."""
    for part in ("val", CALIBRATION, "ood_validation"):
        if part in seen and (count := len(seen[part].labels)) < FEW:
            error = 100 * math.sqrt(RATE * (1 - RATE) / count)
            yield (
                f"{part} has {count} images: a threshold that rejects {RATE:.0%} of them has a standard error of "
                f"{error:.1f} points on new ones; take {FEW} or more"
            )


def _banks(plan: Plan, name: str, seen: dict[str, Seen]) -> list[str]:
    """Detectors that need more training images than there are."""
    tables = [table for table in plan.config.tables.values() if name in table.datasets]
    recipes = dict.fromkeys(recipe for table in tables for recipe in table.recipes)
    count = len(seen["train"].labels) if "train" in seen else None
    found: dict[str, None] = {}
    for recipe in recipes:
        for key, detector in detectors_for(plan.config, recipe).items():
            for value in (value for value, bound in detector.limited_by.items() if bound == "training images"):
                if wrong := above(detector, value, count, f"training images of {name}"):
                    found[f"detectors.{key}.{value}: {wrong}"] = None
    return list(found)


def _checkpoints(plan: Plan, classes: dict[str, list[str]]) -> Iterator[str]:
    """Checkpoints that are there but do not fit their network or the classes."""
    for table in (plan.config.tables[name] for name in plan.config.build):
        words = [classes[name] for name in table.datasets if name in classes]
        for name in table.all_recipes:
            recipe = plan.config.recipes[name]
            if not isinstance(recipe, ImportedRecipe):
                continue
            files = {one.path: one for one in (recipe.of_seed(str(seed)) for seed in table.seeds)}
            faults = (_misfit(one, own) for one, own in itertools.product(files.values(), words))
            yield from dict.fromkeys(f"recipes.{name}: {fault}" for fault in faults if fault)


def _misfit(recipe: ImportedRecipe, classes: list[str]) -> str:
    try:
        recipe.classifier(classes)
    except SynthoodError as error:
        return str(error)
    return ""
