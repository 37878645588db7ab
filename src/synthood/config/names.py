"""Names that cannot bear what is made of them: files of other artefacts, rows of tables."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from unicodedata import normalize

from synthood.config.messages import MistakeError
from synthood.config.models import Config
from synthood.data.settings import DatasetSettings
from synthood.errors import nearest
from synthood.evaluation.settings import FACTS

BELOW_RESULTS = ("logs", "benchmarks", "tables", "figures", "report", "README.md")
"""Folders below results/ that hold no dataset."""
PARTS = {
    "head": "the file of the network's last layer",
    "near": "the mean over the near sets",
    "far": "the mean over the far sets",
}
"""What else lies in the folder of a model's features, or in the column `set` of the metrics."""
TABLE_ENDINGS = ("-gains", "-wide", "-leaderboard")
"""What is added to a table's name for its further CSV files."""
PROVENANCE = ".provenance.json"


def clashes(config: Config) -> Iterator[MistakeError]:
    """Names that something else bears, tables that are built twice, and class names that are blank or given twice."""
    for name in config.datasets:
        if name.lower() in map(str.lower, BELOW_RESULTS):
            yield MistakeError(f"datasets.{name}", f"results/{name} is not a dataset's folder; take another name")
    for name, dataset in config.datasets.items():
        yield from _parts(config, name, dataset)
    for name in config.detectors:
        if name in FACTS:
            yield MistakeError(f"detectors.{name}", "a column of the scores has this name; take another")
    for name in config.generators:
        if name.endswith(PROVENANCE):
            yield MistakeError(f"generators.{name}", f"names that end in {PROVENANCE} are for records of runs")
    for section in ("datasets", "generators", "outliers", "recipes", "tables"):
        yield from _alike([(name, f"{section}.{name}") for name in getattr(config, section)])
    yield from _files_of_tables(config)
    for index, name in enumerate(config.build):
        if name in config.build[:index]:
            yield MistakeError(f"build.{index}", f"table {name!r} is named before; name it once")
    yield from _classes(config)
    yield from _tables_by_class(config)


def _files_of_tables(config: Config) -> Iterator[MistakeError]:
    """Tables whose name is that of another table's file."""
    files = {f"{name}{ending}".lower(): name for name in config.tables for ending in TABLE_ENDINGS}
    for name in config.tables:
        if other := files.get(name.lower()):
            what = f"results/tables/{name}.csv is a file of table {other!r}; take another name"
            yield MistakeError(f"tables.{name}", what)


def _parts(config: Config, name: str, dataset: DatasetSettings) -> Iterator[MistakeError]:
    paths = [
        (part, f"datasets.{name}.{role}.{part}")
        for role in ("extra", "near", "far", "shifted")
        for part in getattr(dataset, role)
    ]
    for part, path in paths:
        synthetic = part.removeprefix("synthetic-")
        if meant := PARTS.get(part.lower()):
            yield MistakeError(path, f"{part!r} is {meant}; take another name")
        elif part != synthetic and synthetic in config.generators:
            yield MistakeError(path, f"{part!r} is what the leaks page calls images of generator {synthetic!r}")
    yield from _alike(
        [*((part, f"datasets.{name}.id") for part in ("train", "val", "calibration", "test", "ood_validation")), *paths]
    )


def _alike(names: Sequence[tuple[str, str]]) -> Iterator[MistakeError]:
    """Names that a file system without upper and lower case takes for one."""
    first: dict[str, str] = {}
    for name, path in names:
        other = first.setdefault(name.lower(), name)
        if other != name:
            yield MistakeError(path, f"differs from {other!r} in case alone, which some file systems do not see")


def _classes(config: Config) -> Iterator[MistakeError]:
    """Class names that are blank, or the same in NFC."""
    lists: Mapping[str, object] = {
        **{f"datasets.{name}.id.classes": getattr(d.id, "classes", None) for name, d in config.datasets.items()},
        **{
            f"datasets.{name}.{role}.{part}.classes": getattr(source, "classes", None)
            for name, dataset in config.datasets.items()
            for role in ("extra", "near", "far", "shifted")
            for part, source in getattr(dataset, role).items()
        },
        **{f"generators.{name}.classes": getattr(g, "classes", None) for name, g in config.generators.items()},
    }
    for path, names in lists.items():
        words = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        for index, word in enumerate(words):
            if not word.strip():
                yield MistakeError(f"{path}.{index}", "a class needs a name")
        count = Counter(normalize("NFC", word.strip()) for word in words if word.strip())
        for word, times in count.items():
            if times > 1:
                yield MistakeError(path, f"class {word!r} is named {times} times; name each once")


def _tables_by_class(config: Config) -> Iterator[MistakeError]:
    """Words, glosses, ImageNet classes and weights given for a class that no dataset has."""
    known: set[str] = set()
    for dataset in config.datasets.values():
        names = getattr(dataset.id, "classes", None)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return
        known |= set(names)
    tables: dict[str, Iterable[str]] = {}
    for name, generator in config.generators.items():
        tables |= {f"generators.{name}.{key}": getattr(generator, key, {}) for key in ("words", "glosses")}
        pretrained = getattr(generator, "pretrained", None)
        tables[f"generators.{name}.pretrained.class_ids"] = getattr(pretrained, "class_ids", {})
    for name, recipe in config.recipes.items():
        weights = getattr(recipe, "class_weights", None)
        tables[f"recipes.{name}.class_weights"] = weights if isinstance(weights, dict) else {}
    for key, table in tables.items():
        for word in table:
            if word not in known:
                yield MistakeError(f"{key}.{word}", f"no dataset has this class{nearest(word, known)}")
