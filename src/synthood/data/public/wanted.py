"""Public data sets that a configuration names and that are not there."""

from collections.abc import Iterable
from pathlib import Path

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
        source = dataset.source(part)
        if isinstance(source, Torchvision | IdTorchvision):
            split = "train" if part == "train" or getattr(source, "split", "") == "train" else "test"
            if any(not file.exists() for file in files_of(source.kind, Path(source.path), split)):
                found.append((source.kind, _target(source.kind, Path(source.path))))
        if isinstance(source, Imglist | IdImglist):
            named = source.list if isinstance(source, Imglist) else source.train
            above = next((folder for folder in Path(named).parents if folder.name == LISTS), None)
            if above is not None and not (Path(named).exists() and Path(source.path).exists()):
                large = Path(source.path).name == "images_largescale"
                found.append(("openood-imagenet" if large else "openood", above.parent))
    return found


def _target(kind: str, path: Path) -> Path:
    """What `fetch` must be given so that the files lie where the configuration says."""
    inside = "svhn" if kind == "svhn" else PLACES[kind]
    return path.parents[len(Path(inside).parts) - 1] if inside and path.as_posix().endswith(inside) else path
