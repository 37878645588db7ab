"""Galleries of the page: pictures as lossy WebP, with figures that are good, fair or poor by the documented limits."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from synthood.errors import SynthoodError, visible
from synthood.reporting.page import limits
from synthood.reporting.page.checks import SPACES
from synthood.reporting.page.limits import Limit
from synthood.reporting.page.settings import Picture

QUALITY = 78
MOST_PIXELS = 4_000_000
"""Of a picture; below them it is cut off, and the page says so."""
TITLES = {
    "synthetic": "Synthetic images of {name}",
    "outliers": "Outliers of {name}",
    "curve": "Outliers of {name} by scale",
    "map": "Map of {name}: ID features, outliers and OOD sets",
}
MEASURED = ("synthetic", "outliers")
"""Kinds of pictures that come with a file of figures."""


def galleries(
    pictures: Sequence[Picture], files: Sequence[Path], figures: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Every picture with its title and figures; `figures` are those of the kinds in `MEASURED`, in their order."""
    measured = iter(figures)
    found = []
    for picture, file in zip(pictures, files, strict=True):
        own = next(measured) if picture.kind in MEASURED else {}
        rows = synthetic_figures(own) if picture.kind == "synthetic" else outlier_figures(own) if own else []
        found.append(
            {
                "kind": picture.kind,
                "dataset": picture.dataset,
                "title": TITLES[picture.kind].format(name=picture.name),
                "figures": rows,
                "file": file.as_posix(),
                **as_webp(file),
            }
        )
    return found


def read_figures(path: Path) -> dict[str, Any]:
    """Figures that `assess` or `assess_outliers` wrote; raises SynthoodError where they are no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SynthoodError(f"{path}: no JSON ({error}); delete it and run again") from error
    if not isinstance(found, dict):
        raise SynthoodError(f"{path}: no JSON object; delete it and run again")
    return found


def as_webp(path: Path) -> dict[str, Any]:
    """A picture in base64, its size in pixels, and whether its lower part is left out."""
    with Image.open(path) as opened:
        whole = opened.convert("RGB")
    height = max(1, min(whole.height, MOST_PIXELS // whole.width))
    stream = io.BytesIO()
    whole.crop((0, 0, whole.width, height)).save(stream, "WEBP", quality=QUALITY, method=4)
    return {
        "image": base64.b64encode(stream.getvalue()).decode(),
        "width": whole.width,
        "height": height,
        "cut": height < whole.height,
    }


def synthetic_figures(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """What docs/generators.md lists, and a row per class that is worse than the limits."""
    copying = found.get("copying", {})
    own = found.get("features", {}).get("classifier", {})
    rows = [
        figure("agreement of the judge", found.get("agreement"), limits.AGREEMENT, "{:.1%}"),
        figure("diversity, of real images' own", found.get("diversity"), limits.DIVERSITY, "{:.2f}"),
        figure("copies", found.get("copy_share"), limits.COPY_SHARE, "{:.1%}"),
        *(
            figure(f"copying, {SPACES.get(space, space)}", value, limits.COPYING, "{:.1f}")
            for space, value in copying.items()
        ),
        figure("classifier FID", own.get("fid", {}).get("value"), None, "{:.3g}"),
        figure("of real images", own.get("floor", {}).get("fid", {}).get("value"), None, "{:.3g}"),
    ]
    for name, one in found.get("by_class", {}).items():
        for key, limit, form in (("agreement", limits.AGREEMENT, "{:.0%}"), ("diversity", limits.DIVERSITY, "{:.2f}")):
            if limit.judge(one.get(key)) == "poor":
                rows.append(figure(f"{key} of {visible(name)}", one[key], limit, form))
    return rows


def selection_figures(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """Of boundary embeddings the selection's or the way across, of tokens those of the classes' manifolds."""
    if steps := found.get("steps_to_cross"):
        return [figure("steps to cross, median", steps["p50"], None, "{:.0f}")]
    if "manifolds" not in found:
        percentile = found.get("percentile_among_candidates")
        return [figure("percentile among candidates", percentile, limits.SELECTED, "{:.3f}")]
    names = {"held_out_inside": "new ID images inside the manifolds", "outliers_outside_all": "tokens outside all"}
    return [figure(name, found["manifolds"][key]["share"], None, "{:.0%}") for key, name in names.items()]


def outlier_figures(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """What docs/outliers.md lists."""
    after, before = found.get("after_gate", {}), found.get("before_gate", {})
    rows = [
        figure("accepted", found.get("kept"), None, "{:.0f}"),
        figure("of latents", found.get("latents"), None, "{:.0f}"),
        *selection_figures(found),
    ]
    names = {"intended_share": limits.INTENDED, "surely_other_class_share": limits.MISLABELLED}
    names |= {"called_id_share": limits.CALLED_ID}
    meanings = {"intended_share": "intended class", "surely_other_class_share": "surely another ID class"}
    for key, limit in names.items():
        meaning = meanings.get(key, "called ID")
        rows.append(figure(f"{meaning}, accepted", after.get(key), limit, "{:.0%}"))
        rows.append(figure(f"{meaning}, before the gate", before.get(key), None, "{:.0%}"))
    if crossed := found.get("crossed"):
        parts = {
            "embeddings": "embeddings",
            "id_embeddings": "ID embeddings",
            "images": "images",
            "id_images": "ID images",
        }
        rows += [figure(f"another class, {name}", crossed.get(key), None, "{:.1%}") for key, name in parts.items()]
    return rows


def figure(name: str, value: float | None, limit: Limit | None, form: str) -> dict[str, str]:
    """A figure as text, and whether it is good, fair or poor."""
    there = value is not None and value == value
    judged = limit.judge(value) if limit else ""
    return {"name": name, "text": form.format(value) if there else "–", "judged": judged}
