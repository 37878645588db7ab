"""Public data sets that a configuration names and that are not there."""

from collections.abc import Iterable
from pathlib import Path

from synthood.data.settings import DatasetSettings


def wanted(datasets: Iterable[DatasetSettings]) -> list[tuple[str, Path]]:
    """Names that `fetch` knows, and the folders they go below; each once, in the configuration's order."""
    parts = [(dataset, part) for dataset in datasets for part in [*dataset.evaluated_parts, *dataset.extra]]
    found = [dataset.source(part).download(part) for dataset, part in parts]
    return list(dict.fromkeys(one for one in found if one is not None))
