"""Settings that recipes or datasets of a table vary, one at a time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from synthood.common.settings import canonical_json
from synthood.config.models import Config

FEWEST = 3
"""Values of a setting that make a curve."""
SOURCES = {"synthetic": "generators", "outliers": "outliers"}
"""Keys of a recipe whose `from` names an entry of a section that belongs to its settings."""


def varied(config: Config, recipes: Sequence[str]) -> dict[str, dict[str, float]]:
    """By dotted key its values by recipe, of recipes that agree in all other settings; at least three values.

    A generator and outliers count as settings of the recipes that learn from them.
    """
    return curves({name: dict(numbers(settings_of(config, name))) for name in recipes})


def varied_by_datasets(config: Config, datasets: Sequence[str]) -> dict[str, dict[str, float]]:
    """The same of datasets, such as images per class."""
    given = {name: config.datasets[name].model_dump(mode="json", by_alias=True) for name in datasets}
    return curves({name: dict(numbers(settings)) for name, settings in given.items()})


def curves(flat: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By key its values by name, of those that agree in all other settings."""
    found: dict[str, dict[str, float]] = {}
    for key in sorted({key for own in flat.values() for key, value in own.items() if is_number(value)}):
        groups: dict[str, dict[str, float]] = defaultdict(dict)
        for name, own in flat.items():
            if is_number(own.get(key)):
                others = canonical_json({other: value for other, value in own.items() if other != key})
                groups[others][name] = float(own[key])
        group = max(groups.values(), key=lambda values: len(set(values.values())))
        if len(set(group.values())) >= FEWEST:
            found[key] = group
    return found


def settings_of(config: Config, recipe: str) -> dict[str, Any]:
    """A recipe's settings, with those of what it learns from in the place of the name."""
    found = config.recipes[recipe].model_dump(mode="json", by_alias=True)
    for key, section in SOURCES.items():
        source = found.get(key)
        if isinstance(source, dict) and source.get("from") in getattr(config, section):
            source["from"] = getattr(config, section)[source["from"]].model_dump(mode="json", by_alias=True)
    return found


def numbers(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested settings by its dotted key."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from numbers(inner, f"{place}.{key}".removeprefix("."))
    else:
        yield place, value


def is_number(value: Any) -> bool:
    """Whether a setting is a number, not a switch."""
    return isinstance(value, int | float) and not isinstance(value, bool)
