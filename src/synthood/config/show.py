"""`synthood show recipe NAME`: an entry of a configuration as it is used, defaults included."""

from pathlib import Path

import yaml

from synthood.config.load import load_file
from synthood.errors import SynthoodError, nearest

KINDS = {
    "dataset": "datasets",
    "generator": "generators",
    "outliers": "outliers",
    "recipe": "recipes",
    "detector": "detectors",
    "table": "tables",
}
"""What can be shown, and the part of the configuration that it is in."""


def resolved_entry(kind: str, name: str, file: Path) -> str:
    """YAML of one entry, `like:` and `benchmark:` followed; the same when it is read again."""
    if kind not in KINDS:
        raise SynthoodError(f"{kind!r} cannot be shown{nearest(kind, KINDS)}")
    entries = getattr(load_file(file), KINDS[kind])
    if name not in entries:
        raise SynthoodError(f"{file}: {KINDS[kind]}: no {kind} is named {name!r}{nearest(name, entries)}")
    entry = entries[name].model_dump(mode="json", by_alias=True)
    for key, section in entry.items():
        if isinstance(section, dict) and section.get("kind") == key:  # the only kind, as of `teacher`
            del section["kind"]
    content = {KINDS[kind]: {name: entry}}
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
