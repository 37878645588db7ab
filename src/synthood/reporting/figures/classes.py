"""Names of classes."""

from __future__ import annotations

from synthood.common.images import open_set
from synthood.errors import visible
from synthood.reporting.figures.base import TableData


def class_names(table: TableData, dataset: str, count: int) -> list[str]:
    """Those of a dataset's test images, or their numbers where no images are at hand."""
    path = table.images.get((dataset, "test"))
    names = [visible(str(name)) for name in open_set(path).classes] if path else []
    return [*names, *map(str, range(len(names), count))]
