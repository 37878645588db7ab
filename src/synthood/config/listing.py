"""`synthood list FAMILY`: the names that a key can take, one line each."""

import re
import textwrap
from collections.abc import Iterator

from synthood.config.benchmarks import FOLDER, benchmark_names
from synthood.config.explain import matching
from synthood.config.keys import NAME, Key, all_keys, first_paragraph, nested, properties, sections, tag_of
from synthood.errors import SynthoodError, nearest
from synthood.plugins import description_of
from synthood.reporting.settings import METRICS

FAMILIES = {
    "detectors": ["detectors"],
    "losses": [],
    "generators": ["generators"],
    "samplers": ["generators.sample"],
    "encoders": ["outliers.encoder"],
    "outliers": ["outliers"],
    "sources": ["datasets.id", "datasets.near"],
    "networks": ["recipes.network"],
    "augmentations": ["recipes.augmentation"],
    "metrics": [],
    "benchmarks": [],
}
"""The keys whose kinds, values or keys each family has."""
NO_LOSSES = ("network", "augmentation", "synthetic")
"""Sections of a recipe that are no terms of its loss."""


def listing(family: str) -> str:
    """Name and meaning of each member; raises SynthoodError at an unknown family."""
    if family not in FAMILIES:
        raise SynthoodError(f"{family!r} cannot be listed{nearest(family, FAMILIES)}")
    if family == "benchmarks":
        rows = [(name, _comment(name)) for name in benchmark_names()]
    elif family == "metrics":
        rows = [(kind, description_of(cls)) for kind, cls in METRICS.items()]
    elif family == "losses":
        rows = [row for key in _terms() for row in _choices(key, str(key.path[-1]))]
    else:
        paths = FAMILIES[family]
        rows = [row for path in paths for row in _family(path, path.rpartition(".")[2] if len(paths) > 1 else "")]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {meaning}".rstrip() for name, meaning in rows)


def _family(path: str, prefix: str) -> list[tuple[str, str]]:
    keys = matching(path)
    unions = [key for key in keys if len(nested(key.node)) > 1]
    return list(dict.fromkeys(row for key in unions or keys for row in _choices(key, prefix)))


def _terms() -> Iterator[Key]:
    """The sections of a recipe that add to its loss or change it."""
    for key in all_keys():
        of_recipes = len(key.path) == 4 and key.path[:2] == ("recipes", NAME)
        if of_recipes and sections(key.node) and key.path[-1] not in NO_LOSSES:
            yield key


def _choices(key: Key, prefix: str) -> Iterator[tuple[str, str]]:
    """Kinds of a section; keys of a section of one kind, or itself where it has a prefix; else values in words."""
    found, before = nested(key.node), f"{prefix}." if prefix else ""
    if len(found) > 1:
        tags = [(tag, section) for section in found if (tag := tag_of(section))]
        yield from ((f"{before}{value}", first_paragraph(section)) for tag, section in tags for value in tag.values)
    elif found and prefix:
        yield prefix, first_paragraph(found[0])
    elif found:
        yield from ((name, Key((name,), node, found[0]).meaning) for name, node in properties(found[0]))
    else:
        yield from re.findall(r"(\w+): ([^;]+)", key.meaning)


def _comment(benchmark: str) -> str:
    """The beginning of a benchmark's file."""
    comment = re.match(r"(?:#.*\n)*", (FOLDER / f"{benchmark}.yaml").read_text())
    return textwrap.shorten(comment[0].replace("#", ""), 100, placeholder=" ...") if comment else ""
