"""A table's scores, histories, images and results, small and random, for tests of figures."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthood.common.images import ImageSet, open_set, write_images
from synthood.reporting.figures.base import Model, PlotSettings, TableData, kinds
from synthood.reporting.settings import FigureSettings, TableSettings, TabulateSettings
from synthood.reporting.tabulate import tabulate

COUNTS = {"test": 60, "close": 40, "away": 30, "far2": 30}
CLASSES = ["cat", "dog", "owl"]
SETTINGS = PlotSettings(
    figures=FigureSettings(),
    drawn=[*kinds("scores"), *kinds("results")],
    datasets=["pets"],
    recipes=["plain", "sio"],
    seeds=[0, 1],
    detectors=["msp", "knn"],
    near={"pets": ["close"]},
    far={"pets": ["away", "far2"]},
    baselines=["plain"],
    lower_is_better=["fpr95_id_positive"],
)


def frame(seed: int, counts: Mapping[str, int] = COUNTS) -> pd.DataFrame:
    """Scores of one model, by detectors msp (a probability) and knn (of any size)."""
    random, size = np.random.default_rng(seed), sum(counts.values())
    parts = np.repeat(list(counts), list(counts.values()))
    inside = parts == "test"
    labels = np.where(inside, random.integers(0, 3, size), -1)
    wrong = random.random(size) < 0.2
    predictions = np.where(inside & ~wrong, labels, random.integers(0, 3, size))
    msp = np.clip(random.beta(3, 1, size) + 0.2 * inside, 0.34, 1).astype(np.float32)
    facts = {"part": parts, "index": np.concatenate([np.arange(n) for n in counts.values()]), "path": ""}
    columns = {"label": labels, "prediction": predictions, "probability": msp, "msp": msp}
    return pd.DataFrame(facts | columns | {"knn": random.normal(inside, 1.0).astype(np.float32)})


def history(seed: int, epochs: int = 4) -> pd.DataFrame:
    loss = np.geomspace(2, 0.1 + seed / 100, epochs)
    return pd.DataFrame(
        {"epoch": range(epochs), "loss": loss, "accuracy": 1 - loss / 3, "val_accuracy": 0.9 - loss / 3}
    )


def table(settings: PlotSettings = SETTINGS, **more: Any) -> TableData:
    """What figures are drawn from, without images."""
    runs = [(d, r, s) for d in settings.datasets for r in settings.recipes for s in settings.seeds]
    frames = {run: frame(index) for index, run in enumerate(runs)}
    results = tabulated(settings.model_dump_json())
    seconds = {run: {"msp": {"fit": 0.0, "score": 0.001, "samples": 100}} for run in runs}
    given = {
        "models": {run: Model(one) for run, one in frames.items()},
        "histories": {run: history(run[2]) for run in runs},
        "seconds": seconds,
        "values": results[0],
        "gains": results[1],
    }
    return TableData(settings, **(given | more))


@cache
def tabulated(settings: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The results of the same scores, as `tabulate` has them."""
    of = PlotSettings.parse(settings)
    runs = [(d, r, s) for d in of.datasets for r in of.recipes for s in of.seeds]
    asked = TableSettings(
        datasets=of.datasets,
        recipes=of.recipes,
        seeds=of.seeds,
        detectors=of.detectors,
        **({"baselines": of.baselines} if of.baselines else {}),
        columns=["auroc", "fpr95_id_positive", "id_accuracy"],
        resamples=20,
    )
    job = TabulateSettings(table=asked, near=of.near, far=of.far)
    values, gains = tabulate({run: frame(index) for index, run in enumerate(runs)}, job)
    return values, gains


def image_files(folder: Path, side: int = 8) -> dict[tuple[str, str], Path]:
    """Image sets with as many images as the scores."""
    folder.mkdir(exist_ok=True)
    found = {}
    for place, (part, count) in enumerate(COUNTS.items()):
        pixels = np.random.default_rng(place).integers(0, 256, (count, side, side, 3), np.uint8)
        labels = np.arange(count) % 3 if part == "test" else np.full(count, -1)
        found["pets", part] = folder / f"{part}.safetensors"
        write_images(found["pets", part], ImageSet(pixels, labels.astype(np.int64), CLASSES))
    return found


def renamed(of: TableData, names: Mapping[str, str], folder: Path, classes: list[str]) -> TableData:
    """The same numbers under other names of everything."""

    def new(one: Any) -> Any:
        if isinstance(one, Mapping):
            return {new(key): new(value) for key, value in one.items()}
        if isinstance(one, list | tuple):
            return type(one)(map(new, one))
        return names.get(one, one) if isinstance(one, str) else one

    models = {
        new(run): Model(model.scores.rename(columns=names).replace({"part": dict(names)}))
        for run, model in of.models.items()
    }
    files = {key: folder / path.name for key, path in of.images.items()}
    for key, path in files.items():
        found = open_set(of.images[key])
        write_images(path, ImageSet(np.asarray(found.images), found.labels, classes))
    return TableData(
        of.settings.model_construct(**new(dict(of.settings))),
        of.values.replace(dict(names)),
        of.gains.replace(dict(names)),
        models,
        new(of.histories),
        new(files),
        new(of.seconds),
    )
