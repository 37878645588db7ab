"""The hardest images: OOD that is accepted most confidently, and ID that is rejected most confidently."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, Literal

from synthood.common.images import open_set
from synthood.common.lazy import np, pd
from synthood.errors import visible
from synthood.reporting.figures.base import Data, Figure, Spec, TableData
from synthood.reporting.figures.classes import class_names
from synthood.reporting.figures.histograms import threshold
from synthood.reporting.figures.style import choice, first, new_picture
from synthood.reporting.short_names import CELL, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture
    from numpy.typing import NDArray

SHOWN = 12
"""Images of a kind, recipe and detector."""
MOST_RECIPES = 6
SIDE = 64
"""Pixels of the longer side on a page, at most; smaller images are enlarged by whole numbers."""
QUALITY = 70
ACCEPTED, REJECTED = "OOD, accepted", "ID, rejected"


class Hardest(Figure):
    """Which images a detector gets most wrong."""

    kind: Literal["hardest"] = "hardest"

    title = "Hardest images"
    caption = (
        "By the table's first detector: OOD images with the highest confidence above the threshold that accepts 95 % "
        "of ID images, and ID images with the lowest below it. Confidence is the mean over seeds of an image's rank "
        "among the ID images, in percent: 0 is below all of them. Images are enlarged pixel by pixel."
    )
    section = "Images"
    order = 70

    def data(self, table: TableData) -> Data:
        settings, detector = table.settings, table.settings.detectors[0]
        recipes, notes = first(settings.recipes, MOST_RECIPES, "recipes")
        rows: list[dict[str, Any]] = []
        for dataset in settings.datasets:
            missing = [p for p in [*settings.ids(dataset), *settings.sets(dataset)] if (dataset, p) not in table.images]
            if missing:
                notes = [*notes, f"No image files of {dataset}: {', '.join(missing)}."]
                continue
            for recipe in recipes:
                rows += [
                    row | {"dataset": dataset, "recipe": recipe} for row in hardest(table, dataset, recipe, detector)
                ]
        if not rows:
            empty = "No image files." if notes else f"{detector} decides no image wrongly at 95 % of ID accepted."
            return Data(empty=empty)
        needed = {(row["dataset"], part) for row in rows for part in ("test", row["part"])}
        files = {key: open_set(table.images[key]) for key in sorted(needed)}
        most = 1 + max(row["prediction"] for row in rows)
        names = {dataset: class_names(table, dataset, most) for dataset, _ in needed}
        for row in rows:
            found = files[row["dataset"], row["part"]]
            row["image"] = np.asarray(found.images[row["index"]])
            row["name"] = visible(row["path"] or f"{row['part']}/{row['index']}")
            row["called"] = names[row["dataset"]][row["prediction"]]
        named = list(dict.fromkeys(row["name"] for row in rows))
        some = ", ".join(named[:40]) + (f" and {len(named) - 40} more" if len(named) > 40 else "")
        return Data(pd.DataFrame(rows), {"detector": detector}, [*notes, f"Shown: {some}."])

    def view(self, data: Data) -> Spec:
        datasets, recipes = (list(dict.fromkeys(data.rows[key])) for key in ("dataset", "recipe"))
        pictures: dict[tuple[str, str, int], dict[str, Any]] = {}
        values = []
        for row in data.rows.to_dict("records"):
            key = (row["dataset"], row["part"], row["index"])
            if key not in pictures:
                pictures[key] = {"id": len(pictures), "url": data_uri(row["image"])}
            kept = {name: row[name] for name in ("dataset", "recipe", "group", "place", "name", "called")}
            values.append(kept | {"id": pictures[key]["id"], "rank": round(row["rank"], 1)})
        lookup = {"data": {"values": list(pictures.values())}, "key": "id", "fields": ["url"]}
        tooltip = [{"field": "name", "title": "image"}, {"field": "called"}]
        tooltip += [{"field": "rank", "title": "rank among ID, %"}]
        return {
            "height": 2 * (SIDE + 16),
            "width": SHOWN * (SIDE + 6),
            "autosize": "pad",  # images keep their size
            "data": {"values": values},
            "params": [choice("dataset", datasets, "Dataset"), choice("recipe", recipes, "Recipe")],
            "transform": [
                {"filter": "datum.dataset == dataset && datum.recipe == recipe"},
                {"lookup": "id", "from": lookup},
            ],
            "encoding": {
                "x": {"field": "place", "type": "ordinal", "axis": None},
                "y": {"field": "group", "type": "nominal", "sort": [ACCEPTED, REJECTED], "title": None,
                      "axis": {"domain": False, "ticks": False}},
            },
            "layer": [
                {"mark": {"type": "image", "width": SIDE, "height": SIDE},
                 "encoding": {"url": {"field": "url"}, "tooltip": tooltip}},
                {"mark": {"type": "text", "dy": SIDE // 2 + 7, "fontSize": 9, "limit": SIDE + 4},
                 "encoding": {"text": {"field": "called"}}},
            ],
        }  # fmt: skip

    def picture(self, data: Data) -> Picture:
        rows = data.rows[data.rows["dataset"] == data.rows["dataset"].iloc[0]]
        recipes = list(dict.fromkeys(rows["recipe"]))
        lines = [(recipe, group) for recipe in recipes for group in (ACCEPTED, REJECTED)]
        high, wide = rows["image"].iloc[0].shape[:2]
        above, gap = round(0.22 * high), round(0.06 * wide) + 1  # pixels of the images
        step = high + above, wide + gap
        canvas = np.full((len(lines) * step[0], SHOWN * step[1], 3), 255, np.uint8)
        image = new_picture(0.75 * SHOWN + 1.4, 0.75 * SHOWN * canvas.shape[0] / canvas.shape[1] + 0.4)
        axis = image.subplots()
        for number, (recipe, group) in enumerate(lines):
            own = rows[(rows["recipe"] == recipe) & (rows["group"] == group)].to_dict("records")
            top = number * step[0] + above
            name = f"{short(recipe, CELL)}\n{group}" + ": none" * (not own)
            axis.text(-gap, top + high / 2, name, ha="right", va="center", fontsize=7)
            for row in own:
                left = row["place"] * step[1]
                canvas[top : top + high, left : left + wide] = row["image"]
                called = f"{short(row['called'], 10)}, {row['rank']:.0f} %"
                axis.text(left + wide / 2, top - 0.02 * high, called, ha="center", va="bottom", fontsize=6)
        axis.imshow(canvas, interpolation="nearest")
        axis.set_axis_off()
        title = f"{short(data.more['detector'])}; above each image what it is called, and its rank among ID images"
        axis.set_title(title, fontsize=8)
        return image


def hardest(table: TableData, dataset: str, recipe: str, detector: str) -> list[dict[str, Any]]:
    """The samples of a recipe that are most wrong, with their mean rank among the ID images of each seed."""
    settings = table.settings
    models, ids = table.of(dataset, recipe), settings.ids(dataset)
    parts = [*ids, *settings.sets(dataset)]
    ranks, limits = [], []
    for model in models:
        known = np.sort(model.column(detector, ids))
        ranks.append(percentiles(known, model.column(detector, parts)))
        limits.append(percentiles(known, np.array([threshold(known)]))[0])
    samples = models[0].samples(parts)[["part", "index", "path", "prediction"]].assign(rank=np.mean(ranks, axis=0))
    limit = float(np.mean(limits))
    # Many lie above all ID images but one: of equal ranks the confidence decides
    samples["confidence"] = np.mean([model.column(detector, parts) for model in models], axis=0)
    order = samples.sort_values(["rank", "confidence"], kind="stable")
    inside = order["part"].isin(ids)
    accepted = order[~inside & (order["rank"] >= limit)][::-1]
    rejected = order[inside & (order["rank"] < limit)]
    return [
        {"group": group, "place": place} | {str(name): value for name, value in row.items()}
        for group, chosen in ((ACCEPTED, accepted), (REJECTED, rejected))
        for place, row in enumerate(chosen.head(SHOWN).to_dict("records"))
    ]


def percentiles(known: NDArray[np.floating], values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Percent of the sorted ID confidences that are below each value, ties half."""
    below, not_above = np.searchsorted(known, values), np.searchsorted(known, values, side="right")
    return 50 * (below + not_above) / len(known)


def data_uri(image: np.ndarray) -> str:
    """An image uint8 [H,W,3] as lossy WebP, small ones enlarged by a whole number, large ones reduced."""
    from PIL import Image

    picture = Image.fromarray(image)
    longest = max(picture.size)
    if longest > SIDE:
        picture = picture.resize([max(1, round(side * SIDE / longest)) for side in picture.size], Image.Resampling.BOX)
    elif (times := SIDE // longest) > 1:
        picture = picture.resize([side * times for side in picture.size], Image.Resampling.NEAREST)
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
