"""References between sections, as their types mark them: unknown names, cycles, and what lies behind an entry."""

from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from synthood.common.settings import Ref, Settings
from synthood.config.messages import MistakeError, word
from synthood.config.models import Config
from synthood.errors import nearest


class Entry(NamedTuple):
    """An entry of a section; of a recipe, where a seed is given, its model of that seed."""

    section: str
    name: str
    seed: int | None = None


class Reference(NamedTuple):
    """A key path, the entry that is named there, and the mark of the key; an unknown entry has no section."""

    path: str
    to: Entry
    mark: Ref


class References:
    """All references of a configuration, by the entry that holds them."""

    def __init__(self, config: Config) -> None:
        sections = {key: value for key, value in config if isinstance(value, dict)}
        extra = dict.fromkeys(part for dataset in config.datasets.values() for part in dataset.extra)
        self.known: Mapping[str, Collection[str]] = {**sections, "extra": extra}
        self.top = list(self._within(config.model_copy(update=dict.fromkeys(sections)), ""))
        self.by_entry = {
            Entry(section, name): list(self._within(settings, f"{section}.{name}"))
            for section, entries in sections.items()
            for name, settings in entries.items()
        }

    def __iter__(self) -> Iterator[Reference]:
        yield from self.top
        for found in self.by_entry.values():
            yield from found

    def of(self, entry: Entry) -> list[Reference]:
        """Those that an entry holds, in the order of its keys."""
        return self.by_entry.get(entry._replace(seed=None), [])

    def _within(self, value: Any, path: str, mark: Ref | None = None, seed: int | None = None) -> Iterator[Reference]:
        if isinstance(value, Settings):
            for key, field in type(value).model_fields.items():
                mark = next((one for one in field.metadata if isinstance(one, Ref)), None)
                seed = getattr(value, mark.seed) if mark and mark.seed else None
                where = ".".join(filter(None, (path, field.alias or key)))
                yield from self._within(getattr(value, key), where, mark, seed)
        elif isinstance(value, dict | list):
            for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
                yield from self._within(inner, f"{path}.{step}", mark, seed)
        elif mark and isinstance(value, str):
            section = next((one for one in mark.sections if value in self.known[one]), "")
            yield Reference(path, Entry(section, value, seed), mark)

    def unknown(self) -> Iterator[MistakeError]:
        """Names that no entry has, with the nearest that one has."""
        for path, to, mark in self:
            if not to.section:
                what = " or ".join(map(word, mark.sections))
                known = {name for section in mark.sections for name in self.known[section]}
                yield MistakeError(path, f"no {what} is named {to.name!r}{nearest(to.name, known)}")

    def cycles(self) -> Iterator[MistakeError]:
        """The first cycle among entries that need each other, at the first recipe in it."""
        try:
            TopologicalSorter(
                {one: [r.to._replace(seed=None) for r in found] for one, found in self.by_entry.items()}
            ).prepare()
        except CycleError as error:
            cycle, order = error.args[1][:0:-1], list(self.by_entry)
            first = min(range(len(cycle)), key=lambda i: (cycle[i].section != "recipes", order.index(cycle[i])))
            cycle = [*cycle[first:], *cycle[: first + 1]]
            path = next(path for path, to, _ in self.of(cycle[0]) if to[:2] == cycle[1][:2])
            names = " -> ".join(one.name for one in cycle if one.section == cycle[0].section)
            yield MistakeError(path, f"goes in a circle ({names}); take one of these away")

    def behind(self, *entries: Entry) -> list[Entry]:
        """These entries and all that they need, each once; a model's seed is that of the model that needs it."""
        found, waiting = dict[Entry, None](), list(entries)
        while waiting:
            if (entry := waiting.pop()) not in found:
                found[entry] = None
                for _, to, _ in self.of(entry):
                    of_model = to.section == "recipes" and to.seed is None
                    waiting.append(to._replace(seed=entry.seed) if of_model else to)
        return list(found)
