"""What the stages of images read."""

from pathlib import Path

from synthood.data import raw
from synthood.data.files.settings import Files
from synthood.data.leaks.settings import LeakSettings
from synthood.data.settings import HeldOutClasses, PartSettings, ShuffledQuadrants
from synthood.workflow.plan.paths import Paths, Wildcards


class DataPlan(Paths):
    """What the stages of images read."""

    def all_parts(self, wildcards: Wildcards) -> list[str]:
        """All parts that something is learned from or tested on."""
        dataset = self.config.datasets[wildcards.dataset]
        return [self.images(wildcards.dataset, part) for part in [*dataset.evaluated_parts, *dataset.extra]]

    def evaluated(self, wildcards: Wildcards) -> list[str]:
        """All parts that a model is run over."""
        parts = self.config.datasets[wildcards.dataset].evaluated_parts
        if self.config.leaks is None or not self.config.leaks.drop:
            return [self.images(wildcards.dataset, part) for part in parts]
        names = [part if part in ("train", "val") else f"without_leaks/{part}" for part in parts]
        return [self.images(wildcards.dataset, name) for name in names]

    def kept_parts(self, wildcards: Wildcards) -> list[str]:
        """ID parts that keep the images that stand in another part as well."""
        names = ["train", "val"] if wildcards.part == "test" else ["train", "val", "test"]
        return [self.images(wildcards.dataset, part) for part in names]

    def leak_synthetic(self, wildcards: Wildcards) -> list[str]:
        """Blocks of the generators that the built tables' recipes learn from on this dataset."""
        tables = [self.config.tables[name] for name in self.config.build]
        recipes = [r for t in tables if wildcards.dataset in t.datasets for r in t.recipes]
        used = [s.from_ for recipe in recipes if (s := self.config.recipes[recipe].synthetic)]
        return [block for name in dict.fromkeys(used) for block in self.blocks(wildcards.dataset, name)]

    def part_settings(self, wildcards: Wildcards) -> PartSettings:
        return self._part_settings(wildcards.dataset, wildcards.part)

    def _part_settings(self, dataset_name: str, part: str) -> PartSettings:
        dataset = self.config.datasets[dataset_name]
        source = dataset.source(part)
        ood = part in (*dataset.ood_sets, "ood_validation")
        values = {"part": part, "ood": ood, "source": source}
        if isinstance(source, ShuffledQuadrants):
            values["validation"] = dataset.taught
        if isinstance(source, HeldOutClasses):
            values |= {"source": dataset.id, "held_out": source.classes}
        if part in dataset.shifted:
            values["taught"] = dataset.taught
        return PartSettings.model_validate(values)

    def raw_state(self, wildcards: Wildcards) -> str:
        """A digest of the raw files of a part, so that a change of them is noticed."""
        return raw.state(self.part_settings(wildcards), Path(self.images(wildcards.dataset, wildcards.part)))

    def prepare_threads(self, wildcards: Wildcards) -> int:
        """Threads that decode image files; the images do not depend on their number."""
        return 4 if isinstance(self.part_settings(wildcards).source, Files) else 1

    def leak_settings(self, wildcards: Wildcards) -> LeakSettings:
        """What counts as nearly the same."""
        return (self.config.leaks or LeakSettings()).model_copy(update={"drop": False})

    def drop_settings(self, wildcards: Wildcards) -> LeakSettings:
        """The same without what only concerns the page."""
        settings = self.leak_settings(wildcards)
        return LeakSettings(hash_bits=settings.hash_bits, correlation=settings.correlation)

    def data_pages(self) -> list[str]:
        """What the configuration asks to be shown of the images behind the tables to be built."""
        files = ["images/sheet.png"] if self.config.figures.contact_sheets else []
        files += ["leaks.html"] if self.config.leaks is not None else []
        return [f"results/{dataset}/{file}" for dataset in self.built_datasets() for file in files]
