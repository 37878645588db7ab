"""Figures of the page: Vega-Lite specifications that `plot` wrote, by section."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synthood.errors import SynthoodError

SECTION = "More figures"
"""Of figures that name none."""
ENDING = ".vl.json"


def figures(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Name, table, section, title, caption and specification of each file TABLE/NAME.vl.json, ordered by section.

    Sections come in the order of their first figure. Raises SynthoodError at what is no specification.
    """
    found = [read_figure(path) for path in paths]
    found.sort(key=lambda one: one["order"])
    sections = list(dict.fromkeys(one["section"] for one in found))
    return sorted(found, key=lambda one: sections.index(one["section"]))


def read_figure(path: Path) -> dict[str, Any]:
    """One file; what it does not say of itself is taken from its name."""
    try:
        spec = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SynthoodError(f"{path}: no JSON ({error}); delete it and run again") from error
    if not isinstance(spec, dict):
        raise SynthoodError(f"{path}: no Vega-Lite specification; delete it and run again")
    meta = spec.get("usermeta") if isinstance(spec.get("usermeta"), dict) else {}
    own = meta.get("synthood") if isinstance(meta, dict) else None
    facts = own if isinstance(own, dict) else {}
    name = path.name.removesuffix(ENDING)
    order = facts.get("order")
    return {
        "table": path.parent.name,
        "name": name,
        "section": text(facts.get("section")) or SECTION,
        "title": text(facts.get("title")) or name.replace("_", " ").replace("-", " ").capitalize(),
        "caption": text(facts.get("caption")),
        "order": order if isinstance(order, int | float) and math.isfinite(order) else math.inf,
        "spec": without_nan({key: value for key, value in spec.items() if key != "usermeta"}),
    }


def text(value: Any) -> str:
    """Text as it is, anything else as none."""
    return value if isinstance(value, str) else ""


def without_nan(value: Any) -> Any:
    """Null for what is no finite number, at every depth."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
