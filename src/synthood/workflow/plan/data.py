"""What the stages of images read."""

import json

from synthood.data import raw
from synthood.data.leaks.settings import LeakSettings
from synthood.data.overlap_settings import CALIBRATION, OverlapSettings
from synthood.data.part_settings import PartSettings
from synthood.workflow.plan import artefacts as at
from synthood.workflow.plan.paths import Paths, Wildcards


class DataPlan(Paths):
    """What the stages of images read."""

    def all_parts(self, wildcards: Wildcards) -> list[str]:
        """All parts that something is learned from or tested on."""
        dataset = self.config.datasets[wildcards.dataset]
        return [self.images(wildcards.dataset, part) for part in [*dataset.evaluated_parts, *dataset.extra]]

    def evaluated(self, wildcards: Wildcards) -> list[str]:
        """All parts that a model is run over."""
        return self._evaluated(wildcards.dataset)

    def table_images(self, table: str) -> list[str]:
        """All parts that a table's models are run over, by dataset."""
        return [path for dataset in self.config.tables[table].datasets for path in self._evaluated(dataset)]

    def _evaluated(self, dataset: str) -> list[str]:
        parts = self.config.datasets[dataset].evaluated_parts
        if self.config.leaks is None or not self.config.leaks.drop:
            return [self.images(dataset, part) for part in parts]
        files = [(at.IMAGES if part in ("train", "val") else at.WITHOUT_LEAKS, part) for part in parts]
        return [file.format(dataset=dataset, part=part) for file, part in files]

    def compared_parts(self, wildcards: Wildcards) -> list[str]:
        """Parts that must not share images: those that are evaluated, and the extra sets that something learns from."""
        dataset = self.config.datasets[wildcards.dataset]
        used = {to.name for _, to, _ in self.references if to.section == "extra"}
        extra = [name for name in dataset.extra if name in used]
        return [self.images(wildcards.dataset, part) for part in [*dataset.evaluated_parts, *extra]]

    def compared(self, table: str) -> list[str]:
        """That the parts of each of a table's datasets have been compared."""
        return [at.OVERLAPS.format(dataset=dataset) for dataset in self.config.tables[table].datasets]

    def overlap_settings(self, wildcards: Wildcards) -> OverlapSettings:
        """What of a dataset's settings says which parts may share images."""
        return self.overlap_settings_of(wildcards.dataset)

    def overlap_settings_of(self, name: str) -> OverlapSettings:
        dataset = self.config.datasets[name]
        drop = self.config.leaks is not None and self.config.leaks.drop
        return OverlapSettings(dataset=name, allowed=dataset.allow_overlap, extra=list(dataset.extra), drop=drop)

    def id_parts(self, wildcards: Wildcards) -> list[str]:
        """The ID parts."""
        return [self.images(wildcards.dataset, part) for part in self.config.datasets[wildcards.dataset].id_parts]

    def id_overlap_settings(self, wildcards: Wildcards) -> OverlapSettings:
        """Nothing that an edit of the configuration changes, since all that learns depends on it."""
        return OverlapSettings(dataset=wildcards.dataset)

    def allowed_overlaps(self, of_others: str) -> str:
        """What each dataset's parts may share, as JSON for `overlap_guard`, beside what other modules allow."""
        own = {f"{self.prefix}{name}": self.overlap_settings_of(name).model_dump() for name in self.config.datasets}
        return json.dumps(json.loads(of_others) | own)

    def kept_parts(self, wildcards: Wildcards) -> list[str]:
        """ID parts that keep the images that stand in another part as well."""
        parts = self.config.datasets[wildcards.dataset].id_parts
        if wildcards.part == CALIBRATION:
            names = ["train", "val"]
        else:
            names = [part for part in parts if part != "test" or wildcards.part != "test"]
        return [self.images(wildcards.dataset, part) for part in names]

    def leak_synthetic(self, wildcards: Wildcards) -> list[str]:
        """Blocks of the generators that the built tables' recipes learn from on this dataset."""
        tables = [self.config.tables[name] for name in self.config.build]
        recipes = [r for t in tables if wildcards.dataset in t.datasets for r in t.all_recipes]
        used = [s.from_ for recipe in recipes if (s := self.config.recipes[recipe].synthetic)]
        return [block for name in dict.fromkeys(used) for block in self.blocks(wildcards.dataset, name)]

    def part_settings(self, wildcards: Wildcards) -> PartSettings:
        return self.settings_of_part(wildcards.dataset, wildcards.part)

    def settings_of_part(self, dataset: str, part: str) -> PartSettings:
        return self.config.datasets[dataset].part(part)

    def raw_state(self, wildcards: Wildcards) -> str:
        """A digest of the raw files of a part, so that a change of them is noticed."""
        return raw.state(self.part_settings(wildcards), self.place(self.images(wildcards.dataset, wildcards.part)))

    def prepare_threads(self, wildcards: Wildcards) -> int:
        """Threads that decode image files; the images do not depend on their number."""
        return self.part_settings(wildcards).source.threads

    def leak_settings(self, wildcards: Wildcards) -> LeakSettings:
        """What counts as nearly the same."""
        return (self.config.leaks or LeakSettings()).model_copy(update={"drop": False})

    def drop_settings(self, wildcards: Wildcards) -> LeakSettings:
        """The same without what only concerns the page."""
        settings = self.leak_settings(wildcards)
        return LeakSettings(hash_bits=settings.hash_bits, correlation=settings.correlation)

    def data_pages(self) -> list[str]:
        """What the configuration asks to be shown of the images behind the tables to be built."""
        files = [at.SHEET] if self.config.figures.contact_sheets else []
        files += [at.LEAKS] if self.config.leaks is not None else []
        return [file.format(dataset=dataset) for dataset in self.built_datasets() for file in files]
