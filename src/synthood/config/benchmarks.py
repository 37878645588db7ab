"""Benchmarks by name: `benchmark: NAME` in a dataset stands for `data/benchmarks/NAME.yaml`."""

from functools import cache, reduce
from pathlib import Path
from typing import Any

import yaml

from synthood.config.like import Raw, layers, merged, sets_resolved
from synthood.config.messages import MistakeError
from synthood.errors import nearest

FOLDER = Path(__file__).parents[1] / "data" / "benchmarks"


def benchmark_names() -> list[str]:
    """Names of the benchmarks that come with the package."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def expanded(datasets: Raw) -> Raw:
    """Every dataset: its benchmark's keys, those of datasets it is like, then its keys; null takes a key away.

    Raises MistakeError where a name is unknown or no path says where the data lies.
    """
    return {
        name: sets_resolved(
            _expanded(f"datasets.{name}", layers("datasets", name, datasets) or [own]), f"datasets.{name}"
        )
        for name, own in datasets.items()
    }


def _expanded(where: str, given: list[Any]) -> Any:
    first = reduce(merged, given)
    if not isinstance(first, dict) or "benchmark" not in first:
        return first
    name, path = first["benchmark"], first.get("path")
    if name not in benchmark_names():
        raise MistakeError(
            f"{where}.benchmark", f"no benchmark is named {name!r}{nearest(str(name), benchmark_names())}"
        )
    if not isinstance(path, str) or not path:
        raise MistakeError(f"{where}.path", f"expected the folder that holds the data of {name}")
    entries = [{key: value for key, value in layer.items() if key not in ("benchmark", "path")} for layer in given]
    dataset = reduce(merged, entries, _placed(_read(name), path))
    if "allow_overlap" in dataset and not any("allow_overlap" in layer for layer in entries):
        dataset["allow_overlap"] = [entry for entry in dataset["allow_overlap"] if _there(entry["parts"], dataset)]
    return dataset


def _there(parts: list[str], dataset: dict[str, Any]) -> bool:
    """Whether a dataset still has the parts of a benchmark's allowance, some of whose sets it may have taken away."""
    sets = {name for role in ("near", "far") for name in dataset.get(role) or {}}
    return set(parts) <= {"train", "val", "calibration", "test", "ood_validation"} | sets


@cache
def _read(name: str) -> dict[str, Any]:
    return dict(sets_resolved(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()), f"benchmark {name}"))


def _placed(value: Any, path: str) -> Any:
    """The same with `{path}` replaced in every text."""
    if isinstance(value, dict):
        return {key: _placed(inner, path) for key, inner in value.items()}
    if isinstance(value, list):
        return [_placed(inner, path) for inner in value]
    return value.replace("{path}", path) if isinstance(value, str) else value
