"""The JSON schema of config.yaml, for editors; generated from the typed models."""

import json
from collections.abc import Iterator
from typing import Any

from synthood.config.benchmarks import benchmark_names
from synthood.config.like import ROLES, SECTIONS
from synthood.config.models import Config

LIKE = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    "default": None,
    "description": "entries of this section whose keys come first, those of a later one over those of an earlier",
}


def json_schema() -> str:
    """Draft 2020-12 for editors; with `like:` an entry may leave out any key, and null takes one away."""
    schema = config_schema()
    parts = schema["$defs"]
    entries = _entries(schema)
    required = {name: parts[name].pop("required", []) for name in _reached(parts, entries)}
    for name in required:
        parts[name] = _partial(parts[name])
    schema["properties"] |= {section: _partial(schema["properties"][section], null=False) for section in SECTIONS}
    for name in entries:
        parts[name]["anyOf"] = [{"required": required[name]}, {"required": ["like"]}]
    parts["DatasetSettings"]["anyOf"].append({"required": ["benchmark"]})
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def config_schema() -> dict[str, Any]:
    """The schema of a configuration whose entries are complete, with the keys that are followed when it is read."""
    schema: dict[str, Any] = Config.model_json_schema(by_alias=True)
    parts, dataset = schema["$defs"], schema["$defs"]["DatasetSettings"]
    sets = {name for role in (*ROLES, "ood_validation") for name in _named(dataset["properties"][role])}
    for name in _entries(schema) | sets:
        parts[name]["properties"]["like"] = LIKE
    dataset["properties"] |= {
        "benchmark": {"enum": benchmark_names(), "default": None, "description": "a protocol whose keys come first"},
        "path": {"type": "string", "default": None, "description": "the folder with the benchmark's data"},
    }
    return schema


def _entries(schema: dict[str, Any]) -> set[str]:
    """Definitions of the entries of sections that `like:` may name."""
    return {name for section in SECTIONS for name in _named(schema["properties"][section])}


def _named(part: Any) -> Iterator[str]:
    """Definitions that a part of the schema refers to."""
    if isinstance(part, dict):
        if isinstance(reference := part.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for inner in part.values():
            yield from _named(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _named(inner)


def _reached(parts: dict[str, Any], names: set[str]) -> set[str]:
    """These definitions and all within them."""
    found, waiting = set[str](), list(names)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += _named(parts[name])
    return found


def _partial(part: Any, null: bool = True) -> Any:
    """The same where keys may be left out: any of several kinds, and null for a key that is taken away."""
    if isinstance(part, list):
        return [_partial(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    result = {("anyOf" if key == "oneOf" else key): _partial(inner) for key, inner in part.items()}
    if null and isinstance(keys := result.get("properties"), dict):
        result["properties"] = {key: _or_null(value) for key, value in keys.items()}
    return result


def _or_null(value: dict[str, Any]) -> dict[str, Any]:
    if "const" in value or {"type": "null"} in value.get("anyOf", []):
        return value
    if isinstance(value.get("type"), str) and "enum" not in value:
        return value | {"type": [value["type"], "null"]}
    return {"anyOf": [value, {"type": "null"}]}
