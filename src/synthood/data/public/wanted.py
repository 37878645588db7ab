"""Public data sets that a configuration names and that are not there."""

from collections.abc import Iterable
from pathlib import Path

from synthood.common.settings import Settings
from synthood.data.files.layouts import PLACES, files_of
from synthood.data.files.settings import IdImglist, IdTorchvision, Imglist, Torchvision
from synthood.data.settings import DatasetSettings

LISTS = "benchmark_imglist"
"""The folder in which OpenOOD keeps its lists."""


def wanted(datasets: Iterable[DatasetSettings]) -> list[tuple[str, Path]]:
    """Names that `fetch` knows, and the folders they go below; each once, in the configuration's order."""
    found = [one for dataset in datasets for one in _of(dataset)]
    return list(dict.fromkeys(found))


def _of(dataset: DatasetSettings) -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    for part in [*dataset.evaluated_parts, *dataset.extra]:
        found += _lost(dataset.source(part), part)
    return found


def name_of(source: Settings, part: str) -> str | None:
    """What `fetch` calls the missing data of a part, where it knows it."""
    return next((name for name, _ in _lost(source, part)), None)


def _lost(source: Settings, part: str) -> list[tuple[str, Path]]:
    if isinstance(source, Torchvision | IdTorchvision):
        split = "train" if part == "train" or getattr(source, "split", "") == "train" else "test"
        if any(not file.exists() for file in files_of(source.kind, Path(source.path), split)):
            return [(source.kind, _target(source.kind, Path(source.path)))]
    if isinstance(source, Imglist | IdImglist):
        named = source.list if isinstance(source, Imglist) else source.train
        above = next((folder for folder in Path(named).parents if folder.name == LISTS), None)
        if above is not None and not (Path(named).exists() and Path(source.path).exists()):
            large = Path(source.path).name == "images_largescale"
            return [("openood-imagenet" if large else "openood", above.parent)]
    return []


def _target(kind: str, path: Path) -> Path:
    """What `fetch` must be given so that the files lie where the configuration says."""
    inside = "svhn" if kind == "svhn" else PLACES[kind]
    return path.parents[len(Path(inside).parts) - 1] if inside and path.as_posix().endswith(inside) else path
