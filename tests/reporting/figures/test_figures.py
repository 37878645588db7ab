"""What holds for every figure: its three forms, the numbers inside its specification, and tables of all kinds."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest

from synthood.common.identity import FORMAT, seal
from synthood.errors import SynthoodError
from synthood.reporting import draw, plot, plot_results
from synthood.reporting.figures.base import FORMS, Data, Figure, Model, TableData, figures, kinds, plain
from synthood.reporting.figures.style import RC
from toy_figures import SETTINGS, frame, image_files, table

KINDS = list(figures())
BLANK = {"settings_curves", "run_time", "hardest"}
"""Figures that a table may have nothing for."""


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> TableData:
    """With images, and with recipes that differ in one setting."""
    settings = SETTINGS.model_copy(
        update={"recipes": ["plain", "a", "b", "c"], "varied": {"synthetic.alpha": {"a": 0.5, "b": 0.8, "c": 0.9}}}
    )
    return table(settings, images=image_files(tmp_path_factory.mktemp("images")))


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary in a specification."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(inner)


def test_the_list_is_what_the_files_hold() -> None:
    folder = Path(plot.__file__).parent / "figures"
    named = {kind for file in folder.glob("*.py") for kind in re.findall(r'kind: Literal\["(\w+)"\]', file.read_text())}
    assert set(KINDS) == named
    assert [figures()[kind].order for kind in KINDS] == sorted({figures()[kind].order for kind in KINDS})
    assert sorted([*kinds("scores"), *kinds("results")]) == sorted(KINDS)


def test_the_reference_lists_every_figure_with_its_caption() -> None:
    text = (Path(__file__).parents[3] / "docs" / "figures.md").read_text()
    rows = [f"| `{kind}` | {figure.title}. {figure.caption} |" for kind, figure in figures().items()]
    assert [line for line in text.splitlines() if line.startswith("| `")] == rows


@pytest.mark.parametrize("kind", KINDS)
def test_a_specification_is_complete_json_for_any_page(full: TableData, kind: str) -> None:
    figure = figures()[kind]
    spec = figure.spec(figure.data(full))
    text = json.dumps(spec, allow_nan=False)
    assert json.loads(text) == spec
    about = spec["usermeta"]["synthood"]
    assert {**about, "caption": ""} == {
        "section": figure.section,
        "title": figure.title,
        "order": figure.order,
        "caption": "",
    }
    assert about["caption"].startswith(figure.caption)
    assert spec["description"] == f"{figure.title}. {about['caption']}"
    assert spec["$schema"].startswith("https://vega.github.io/schema/vega-lite/v")
    assert spec["background"] == "transparent"
    assert spec["width"] == ("container" if kind != "hardest" else spec["width"])
    names = [param["name"] for part in parts(spec) for param in part.get("params", [])]
    assert len(names) == len(set(names))  # twice the same is a duplicate signal
    urls = [part["url"] for part in parts(spec) if isinstance(part.get("url"), str)]
    assert all(url.startswith("data:image/webp;base64,") for url in urls)
    assert not any("url" in part.get("data", {}) for part in parts(spec))


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_an_encoding_names_is_in_the_numbers(full: TableData, kind: str) -> None:
    """A typing error in a field's name shows as an empty figure, without a warning."""
    figure = figures()[kind]
    spec = figure.spec(figure.data(full))
    known = {key for part in parts(spec) for row in part.get("data", {}).get("values", []) for key in row}
    for part in parts(spec):
        made = part.get("as", [])
        known |= set(made if isinstance(made, list) else [made])
        known |= {f"line{place}" for place in range(len(full.settings.recipes)) if "pivot" in part}
    fields = {part["field"] for part in parts({k: spec[k] for k in spec if k != "data"}) if "field" in part}
    assert {field for field in fields if isinstance(field, str)} - known == set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_drawn_and_has_its_panels(full: TableData, kind: str) -> None:
    figure = figures()[kind]
    with matplotlib.rc_context(RC):
        picture = figure.draw(figure.data(full))
        picture.draw_without_rendering()
    assert all(axis.has_data() for axis in picture.axes if axis.axison or kind == "hardest")


NONE: dict[str, list[str]] = {"pets": []}


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [0]},
        {"recipes": ["plain"]},
        {"detectors": ["knn"]},
        {"recipes": ["plain"], "detectors": ["msp"], "seeds": [0]},
        {"near": NONE},
        {"far": NONE},
        {"datasets": ["pets", "cars"], "near": NONE | {"cars": ["close"]}, "far": {"pets": ["away"], "cars": []}},
        {"baselines": []},
        {"baselines": ["plain", "sio"]},
        {"recipes": ["x.y", "a-b"], "baselines": ["x.y"]},
    ],
    ids=str,
)
def test_tables_of_all_shapes_have_figures(change: dict[str, Any]) -> None:
    settings = SETTINGS.model_copy(update=change | ({"baselines": []} if change.get("recipes") == ["plain"] else {}))
    of = table(settings)
    for figure in figures().values():
        data = figure.data(of)
        json.dumps(figure.spec(data), allow_nan=False)
        with matplotlib.rc_context(RC):
            figure.draw(data)
        if data.empty:
            about = figure.spec(data)["usermeta"]["synthood"]
            assert about["empty"] == about["caption"] == data.empty
            assert figure.kind in BLANK | {"gains", "critical_difference"}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hardest"])
def test_a_large_table_stays_small_and_says_what_is_left_out(kind: str) -> None:
    """60 recipes by 200 detectors: numbers of a page's figure stay below half a megabyte."""
    recipes, detectors = [f"r{i}" for i in range(60)], [f"d{i}" for i in range(200)]
    settings = SETTINGS.model_copy(
        update={"recipes": recipes, "detectors": detectors, "seeds": [0], "baselines": ["r0"]}
    )
    one = frame(0)
    scores = pd.concat([one, pd.DataFrame(dict.fromkeys(detectors, one["knn"]))], axis=1)
    runs = {("pets", recipe, 0): Model(scores) for recipe in recipes}
    values, gains = large(recipes, detectors)
    history = table().histories["pets", "plain", 0]
    times = {name: {"fit": 0.1, "score": 0.1, "samples": 10} for name in detectors}
    of = TableData(
        settings, values=values, gains=gains, models=runs, histories=dict.fromkeys(runs, history),
        seconds=dict.fromkeys(runs, times),
    )  # fmt: skip
    figure = figures()[kind]
    data = figure.data(of)
    assert len(json.dumps(figure.spec(data), separators=(",", ":"))) < 500_000
    if kind != "settings_curves":
        assert re.search(r"Shown are the (first|best|slowest) \d+ of \d+", " ".join(data.notes))


def large(recipes: list[str], detectors: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Results of as many rows as such a table has, all the same."""
    named = [("", "test", "id_accuracy")] + [
        (d, part, "auroc") for d in detectors for part in ("close", "near", "far", "away", "far2")
    ]
    keys = [
        {"dataset": "pets", "recipe": r, "detector": d, "set": s, "metric": m} for d, s, m in named for r in recipes
    ]
    values = pd.DataFrame(keys).assign(mean=90.0, sd=1.0, low=88.0, high=92.0, seeds=1)
    gains = pd.DataFrame(keys).assign(base="r0", gain=1.0, low=-1.0, high=2.0, seeds=1, p=np.nan)
    return values, gains.assign(base_detector=gains["detector"])


def test_numbers_that_are_none_are_null() -> None:
    given = {"a": np.array([1.0, np.nan, 2.5]), "b": [np.float32(np.inf), np.int64(3), "x", None, True], "c": -0.0}
    assert plain(given) == {"a": [1, None, 2.5], "b": [None, 3, "x", None, True], "c": 0}


def test_what_is_empty_says_why() -> None:
    figure = figures()["roc"]
    spec = figure.spec(Data(empty="No OOD set."))
    assert spec["usermeta"]["synthood"]["empty"] == "No OOD set."
    assert figure.draw(Data(empty="No OOD set.")).axes[0].texts[0].get_text() == "No OOD set."


class Files:
    """What the stage reads and writes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.table = folder, table()
        self.images = image_files(folder / "images")
        self.train = folder / "images" / "train.safetensors"
        shutil.copyfile(next(iter(self.images.values())), self.train)
        self.values, self.gains = folder / "small.csv", folder / "small-gains.csv"
        self.table.values.to_csv(self.values, index=False)
        self.table.gains.to_csv(self.gains, index=False)
        self.scores, self.histories = [], []
        for (_, recipe, seed), model in self.table.models.items():
            self.scores.append(folder / f"{recipe}{seed}.parquet")
            self.histories.append(folder / f"{recipe}{seed}.csv")
            model.scores.to_parquet(self.scores[-1])
            seal(self.scores[-1], self.scores[-1], {"format": FORMAT})
            self.table.histories["pets", recipe, seed].to_csv(self.histories[-1], index=False)

    def run(self, place: str, drawn: list[str], names: list[str] | None = None) -> Path:
        """Runs the stage of these figures, all of which are drawn from the same."""
        out, settings = self.folder / place, SETTINGS.model_copy(update={"drawn": drawn})
        named = names or [f"{kind}.{form}" for kind in drawn for form in FORMS]
        words: list[object] = ["--settings", settings.canonical(), "--output", *(out / name for name in named)]
        if figures()[drawn[0]].drawn_from == "results":
            plot_results.main(list(map(str, [*words, "--values", self.values, "--gains", self.gains])))
        else:
            words += ["--scores", *self.scores, "--histories", *self.histories]
            words += ["--images", self.train, *self.images.values()]
            plot.main(list(map(str, words)))
        return out


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


def test_where_images_lie_is_not_in_the_bytes(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    # As in local copies of object storage
    here = files.run("here", ["roc", "hardest"])
    moved = {part: files.folder / "moved" / path.name for part, path in files.images.items()}
    shutil.copytree(files.folder / "images", files.folder / "moved")
    monkeypatch.setattr(files, "images", moved)
    monkeypatch.setattr(files, "train", files.folder / "moved" / "train.safetensors")
    there = files.run("there", ["roc", "hardest"])
    for name in ("roc.png", "hardest.png"):
        assert (here / name).read_bytes() == (there / name).read_bytes()


def test_the_stage_writes_the_same_bytes_twice(files: Files) -> None:
    drawn = ["roc", "hardest"], ["gains"]
    one, other = (max(files.run(place, each) for each in drawn) for place in ("one", "other"))
    names = sorted(path.name for path in one.iterdir() if not path.name.startswith("."))
    made = [f"{kind}.{form}" for kinds in drawn for kind in kinds for form in FORMS]
    assert names == sorted([*made, *(f"{name}.provenance.json" for name in made)])
    for name in names:
        if not name.endswith("provenance.json"):
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert (one / "roc.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (one / "roc.svg").read_bytes()
    roc: Figure = figures()["roc"]
    assert json.loads((one / "roc.vl.json").read_text()) == roc.spec(roc.data(files.table))


def test_outputs_are_those_of_the_settings(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        files.run("wrong", ["gains"], ["gains.svg", "gains.png", "roc.vl.json"])
    assert "--output: expected files named gains.svg, gains.png, gains.vl.json" in capsys.readouterr().err
    assert not list((files.folder / "wrong").glob("*.svg"))


def test_images_belong_to_the_datasets_in_turn() -> None:
    two = SETTINGS.model_copy(update={"datasets": ["pets", "cars"]})
    found = plot.image_files(two, [Path(f"{name}.x") for name in ("p/train", "p/test", "c/train", "c/test", "c/away")])
    assert found["pets", "test"] == Path("p/test.x")
    assert found["cars", "away"] == Path("c/away.x")
    assert len(found) == 5


def test_a_name_that_no_figure_has_is_refused() -> None:
    with pytest.raises(SynthoodError, match=r"expected files named nothing\.svg"):
        draw.by_kind(SETTINGS.model_copy(update={"drawn": ["nothing"]}), [Path("roc.svg")])
