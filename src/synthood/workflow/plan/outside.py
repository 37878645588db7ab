"""Files and folders that the configuration names and no rule makes: which job needs which, and which are missing."""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from synthood.config.refs import Entry
from synthood.data import raw
from synthood.data.sources.base import Source
from synthood.training.networks.settings import pretrained_file
from synthood.workflow.plan import artefacts as at
from synthood.workflow.plan.data import DataPlan


@dataclass(frozen=True)
class Needed:
    """A file or folder, the key that names it, and the artefact that is made from it and then does without."""

    key: str
    path: Path
    made: str
    source: Source | None = None
    """Of image data: what may be public."""
    part: str = ""

    def __str__(self) -> str:
        return f"{self.path} ({self.key})"


class OutsidePlan(DataPlan):
    """What the tables to be built need from elsewhere."""

    def missing(self) -> list[Needed]:
        """What is not there and is still needed, each path once."""
        gone = [one for one in self.needed() if not self.place(one.made).exists() and _gone(one.path)]
        return list({one.path: one for one in reversed(gone)}.values())[::-1]

    def missing_for(self, made: set[str]) -> list[Needed]:
        """What is not there of the files and folders that these artefacts are made from, each path once."""
        gone = [one for one in self.needed() if str(self.place(one.made)) in made and _gone(one.path)]
        return list({one.path: one for one in reversed(gone)}.values())[::-1]

    def stored(self, made: str) -> list[str]:
        """Where storage has the raw data and weights that an artefact is made from; empty without such storage."""
        return self._stored.get(made, [])

    def in_the_way(self) -> list[Path]:
        """Files and folders of this machine where those of storage belong."""
        stored = {one.path for one in self.needed() if raw.in_storage(one.path)}
        return sorted(path for path in stored if path.exists() and not path.is_symlink())

    @cached_property
    def _stored(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for one in self.needed() if os.environ.get(raw.STORED) else ():
            if raw.in_storage(one.path):
                found[one.made].append(raw.stored_at(one.path))
        return {made: list(dict.fromkeys(each)) for made, each in found.items()}

    def needed(self) -> Iterator[Needed]:
        """Everything from elsewhere behind the tables to be built."""
        for name in self.built_datasets():
            yield from self._images(name)
        for table in self.config.build:
            behind = self._behind(table)
            for on, (section, name, seed) in product(self.config.tables[table].datasets, behind):
                if section == "recipes" and seed is not None:
                    yield from self._weights(on, name, seed)
                elif section == "generators":
                    yield from self._generator(on, name)
                elif section == "outliers" and (path := self.config.outliers[name].outside):
                    yield Needed(
                        f"outliers.{name}.encoder", Path(path), at.EMBEDDINGS.format(dataset=on, outliers=name)
                    )

    def _images(self, name: str) -> Iterator[Needed]:
        dataset = self.config.datasets[name]
        for part in [*dataset.evaluated_parts, *dataset.extra]:
            role = next((role for role in ("extra", "near", "far", "shifted") if part in getattr(dataset, role)), "")
            key = f"{role}.{part}" if role else part if part == "ood_validation" else "id"
            for path in raw.raw_paths(self.settings_of_part(name, part)):
                yield Needed(f"datasets.{name}.{key}", path, self.images(name, part), dataset.source(part), part)

    def _behind(self, table: str) -> list[Entry]:
        """What must be there for a table, the judge of its generators included."""
        runs, assess = self.config.tables[table], self.config.assess
        models = [Entry("recipes", recipe, seed) for recipe in runs.all_recipes for seed in runs.seeds]
        found = self.references.behind(*models)
        if assess and any(one.section == "generators" for one in found):
            return self.references.behind(*models, Entry("recipes", assess.judge, assess.judge_seed))
        return found

    def _weights(self, on: str, recipe: str, seed: int) -> Iterator[Needed]:
        settings, made = self.config.recipes[recipe], self.model(on, recipe, seed)
        if path := settings.outside(seed):
            key = "augmentation.pixmix.pictures" if settings.kind == "train" else "path"
            yield Needed(f"recipes.{recipe}.{key}", Path(path), made)
        if path := pretrained_file(settings.network):
            yield Needed(f"recipes.{recipe}.network.pretrained", Path(path), made)

    def _generator(self, on: str, name: str) -> Iterator[Needed]:
        generator, made = self.config.generators[name], at.GENERATOR.format(dataset=on, generator=name)
        for one in generator.outside():
            yield Needed(f"generators.{name}.{one.key}", one.path, made, one.source, one.part)
        if (assess := self.config.assess) and assess.inception:
            yield Needed("assess.inception", Path(assess.inception), at.QUALITY.format(dataset=on, generator=name))


def _gone(path: Path) -> bool:
    return not raw.in_storage(path) and not path.exists()
