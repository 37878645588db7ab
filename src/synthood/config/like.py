"""`like: other` in an entry that has a name: the other's keys first, then the entry's, section by section."""

from collections.abc import Callable
from functools import reduce
from typing import Any

from synthood.config.messages import MistakeError, word
from synthood.errors import nearest

Raw = dict[str, Any]
SECTIONS = ("datasets", "generators", "outliers", "recipes", "detectors", "tables")
ROLES = ("extra", "near", "far", "shifted")


def resolved(section: str, entries: Raw, path: Callable[[str], str] | None = None) -> Raw:
    """Every entry without `like:`; raises MistakeError at an unknown name or a cycle."""
    all_layers = {name: layers(section, name, entries, path) for name in entries}
    return {
        name: reduce(merged, all_layers[name]) if isinstance(entry, dict) else entry for name, entry in entries.items()
    }


def layers(section: str, name: str, entries: Raw, path: Callable[[str], str] | None = None) -> list[Raw]:
    """Keys of all that an entry is like, the farthest first and each entry once, then its keys."""

    order: dict[str, None] = {}

    def follow(name: str, trail: list[str]) -> None:
        for other in _parents(entries[name]):
            where = f"{path(name) if path else f'{section}.{name}'}.like"
            if not isinstance(other, str) or other not in entries:
                raise MistakeError(where, f"no {word(section)} is named {other!r}{nearest(str(other), entries)}")
            if other in trail:
                circle = " -> ".join([*trail, other])
                raise MistakeError(where, f"goes in a circle ({circle}); take one `like` away")
            if other not in order:
                follow(other, [*trail, other])
        order[name] = None

    follow(name, [name])
    sections = [entries[one] for one in order if isinstance(entries[one], dict)]
    return [{key: value for key, value in entry.items() if key != "like"} for entry in sections]


def _parents(entry: Any) -> list[Any]:
    like = entry.get("like", []) if isinstance(entry, dict) else []
    return like if isinstance(like, list) else [like]


def sets_resolved(dataset: Any, where: str) -> Any:
    """A dataset whose sets have no `like:`; each may be like another set of the dataset."""
    if not isinstance(dataset, dict):
        return dataset
    roles = {role: dataset[role] for role in ROLES if isinstance(dataset.get(role), dict)}
    roles |= {"": {key: dataset[key] for key in ("ood_validation",) if key in dataset}}
    sets = {name: entry for entries in roles.values() for name, entry in entries.items()}
    place = {name: ".".join(filter(None, (where, role, name))) for role, entries in roles.items() for name in entries}
    found = resolved("sets", sets, place.__getitem__)
    own = {role: {name: found[name] for name in entries} for role, entries in roles.items()}
    return dataset | own.pop("") | own


def merged(below: Raw, above: Raw) -> Raw:
    """Keys of both; where both have a section, its keys of both; a null above takes the key away."""
    result = dict(below)
    for key, value in above.items():
        inherited = result.get(key)
        if isinstance(value, dict) and isinstance(inherited, dict) and not chosen_otherwise(inherited, value):
            result[key] = merged(inherited, value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def chosen_otherwise(below: Raw, above: Raw) -> bool:
    """Whether one of two networks is chosen by `kind` and the other by `name`, so that they share no keys."""
    first, second = ({"kind", "name"} & section.keys() for section in (below, above))
    return bool(first and second) and not first & second


def without_inherited(mistakes: list[MistakeError], raw: Raw) -> list[MistakeError]:
    """Leaves out what an entry only takes over by `like:` from one whose mistake is reported already."""
    reported = {(mistake.path, mistake.what) for mistake in mistakes}

    def inherited(mistake: MistakeError) -> bool:
        section, _, rest = mistake.path.partition(".")
        entries = raw.get(section) if section in SECTIONS else None
        name = next((name for name in entries or () if f"{rest}.".startswith(f"{name}.")), None)
        if not isinstance(entries, dict) or name is None:
            return False
        inner, value = rest[len(name) :], entries[name]
        for key in inner.split(".")[1:]:
            value = value.get(key, KeyError) if isinstance(value, dict) else KeyError
        parents = _parents(entries[name])
        is_set = bool(inner) and value is not KeyError
        return not is_set and any((f"{section}.{other}{inner}", mistake.what) in reported for other in parents)

    return [mistake for mistake in mistakes if not inherited(mistake)]
