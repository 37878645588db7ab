"""Reports and pages of made-up tables."""

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from synthood.reporting.page.settings import PageTable
from synthood.reporting.page.tables import Report
from synthood.reporting.results import GAINS

NAN = float("nan")


def value(recipe: str, detector: str, part: str, mean: float, **more: Any) -> dict[str, Any]:
    """A row of a table's CSV file."""
    own = {"dataset": "digits", "recipe": recipe, "detector": detector, "set": part, "metric": "auroc", "mean": mean}
    return {**own, "sd": 0.5, "low": mean - 1, "high": mean + 1, "seeds": 3, **more}


def gain(recipe: str, detector: str, part: str, points: float, base: str = "ce", **more: Any) -> dict[str, Any]:
    """A row of its file of gains."""
    own = {"dataset": "digits", "recipe": recipe, "detector": detector, "set": part, "metric": "auroc", "base": base}
    bounds = {"gain": points, "low": points - 1, "high": points + 1, "seeds": 3, "p": NAN}
    return {**own, "base_detector": detector, **bounds, **more}


def report(
    values: Sequence[Mapping[str, Any]],
    gains: Iterable[Mapping[str, Any]] = (),
    name: str = "toy",
    settings: Mapping[str, Any] = {},
    **table: Any,
) -> Report:
    """A report of these rows, its settings those that the rows need and what is given."""
    own = {
        "datasets": list(dict.fromkeys(row["dataset"] for row in values)),
        "recipes": list(dict.fromkeys(row["recipe"] for row in values)),
        "detectors": list(dict.fromkeys(row["detector"] for row in values if row["detector"])),
        "columns": list(dict.fromkeys(row["metric"] for row in values)),
        "seeds": [0, 1, 2],
        **table,
    }
    sets: dict[str, Any] = {"near": {"digits": ["eights"]}, "far": {"digits": ["noise", "textures"]}, **settings}
    page_table = PageTable(name=name, **own, **sets)
    frame = pd.DataFrame(gains, columns=[*GAINS, *({"published"} & set(values[0]))])
    return Report(page_table, pd.DataFrame(values), frame)


def small_report(**more: Any) -> Report:
    """Two recipes by two detectors, near and far, the second recipe better by a significant point near."""
    means = {("ce", "msp"): 80.0, ("ce", "knn"): 85.0, ("sio", "msp"): 81.0, ("sio", "knn"): 88.0}
    values = [
        value(recipe, detector, part, mean + 5 * (part not in ("near", "eights")))
        for (recipe, detector), mean in means.items()
        for part in ("near", "far", "eights", "noise", "textures")
    ]
    gains = [
        gain("sio", "msp", "near", 1.0, p=0.01),
        gain("sio", "knn", "near", 3.0),
        gain("sio", "msp", "far", 1.0, p=0.2),
    ]
    return report(values, gains, baselines=["ce"], **more)


def specification(section: str = "Curves", title: str = "A line", order: int = 1) -> dict[str, Any]:
    """A figure as `plot` writes it."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": f"{title}: three points",
        "width": "container",
        "height": 120,
        "data": {"values": [{"x": 0, "y": 1.0}, {"x": 1, "y": None}, {"x": 2, "y": 3.0}]},
        "mark": {"type": "line", "point": True, "tooltip": True},
        "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
        "usermeta": {"synthood": {"section": section, "title": title, "caption": "Up.", "order": order}},
    }


def png(width: int = 60, height: int = 40) -> bytes:
    """A picture of noise."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def embedded(page: str) -> dict[str, Any]:
    """The data in a page."""
    found: dict[str, Any] = json.loads(page.split('id="data">')[1].split("</script>")[0])
    return found


def decoded(text: str) -> Image.Image:
    """A picture in base64."""
    return Image.open(io.BytesIO(base64.b64decode(text)))
