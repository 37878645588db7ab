"""Tables of features that were made elsewhere, against the same scores by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file

from odd_names import ODD, REVERSED
from synthood.cli import main
from synthood.errors import UNSAFE, SynthoodError
from synthood.evaluation.ranking import auroc
from synthood.evaluation.read_features import linear_layer, read_reference, read_set
from synthood.tables import read_table, tabulate_features

SIZES = {"train": 30, "val": 20, "test": 25, "close": 15, "away": 10}
WEIGHT = torch.randn((3, 5), generator=torch.Generator().manual_seed(0))


def arrays(seed: int, part: str) -> dict[str, np.ndarray]:
    random = torch.Generator().manual_seed(100 * seed + len(part))
    labels = torch.arange(SIZES[part]) % 3
    known = part in ("train", "val", "test")
    features = torch.randn((SIZES[part], 5), generator=random) + WEIGHT[labels] * known
    found = {"features": features, "logits": features @ WEIGHT.T + 0.5}
    return {name: x.numpy() for name, x in (found | {"labels": labels} if known else found).items()}


def write(path: Path, of: dict[str, np.ndarray]) -> None:
    if path.suffix == ".npz":
        np.savez(path, **of)
    elif path.suffix == ".safetensors":
        save_file({name: torch.from_numpy(x) for name, x in of.items()}, path)
    else:
        pd.DataFrame({name: list(x) for name, x in of.items()}).to_parquet(path)


TABLE: dict[str, Any] = {
    "kind": "features",
    "path": "features/{recipe}/seed{seed}",
    "near": ["close"],
    "far": ["away"],
    "detectors": {"msp": {"kind": "msp"}, "vim": {"kind": "vim", "dimension": 2}},
    "table": {
        "datasets": ["mine"],
        "recipes": ["ce", "sio"],
        "seeds": [0, 1],
        "detectors": ["msp", "vim"],
        "baselines": ["ce"],
        "resamples": 10,
    },
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two recipes of two seeds, one of them missing, in every format."""
    monkeypatch.chdir(tmp_path)
    for place, (recipe, seed) in enumerate((("ce", 0), ("ce", 1), ("sio", 0))):
        folder = tmp_path / "features" / recipe / f"seed{seed}"
        folder.mkdir(parents=True)
        for part in SIZES:
            write(folder / f"{part}{('.npz', '.safetensors', '.parquet')[place]}", arrays(place, part))
    (tmp_path / "features.yaml").write_text(yaml.safe_dump(TABLE))
    return tmp_path


def test_values_are_those_of_the_scores(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tabulate_features(read_table(Path("features.yaml")))
    values = results.values.set_index(["recipe", "detector", "set", "metric"])
    areas = []
    for place in (0, 1):
        test, away = (torch.from_numpy(arrays(place, part)["logits"]).softmax(1).amax(1) for part in ("test", "away"))
        areas.append(100 * auroc(test.numpy(), away.numpy()))
    line = values.loc[("ce", "msp", "away", "auroc")]
    assert [line["mean"], line["seeds"]] == [pytest.approx(np.mean(areas)), 2]
    assert values.loc[("sio", "vim", "near", "auroc")]["seeds"] == 1
    main(["tabulate", "features.yaml", "--out", "out"])
    text = (files / "out" / "table.md").read_text()
    heads = [line for line in text.splitlines() if line.startswith("| detector")]
    assert heads
    assert all("| near (close) |" in head and "| close |" not in head for head in heads)
    assert capsys.readouterr().out == text
    assert "Models that are missing, so fewer seeds: sio on mine, seed 1." in text
    names = [
        "table-gains.csv",
        "table-leaderboard.csv",
        "table-wide.csv",
        "table.csv",
        "table.html",
        "table.md",
        "table.tex",
    ]
    assert sorted(path.name for path in (files / "out").iterdir()) == names


def test_formats_hold_the_same(tmp_path: Path) -> None:
    for ending in ("npz", "safetensors", "parquet"):
        write(tmp_path / f"{ending}.{ending}", arrays(3, "test"))
        found, expected = read_set(tmp_path, ending), arrays(3, "test")
        assert np.array_equal(found.logits.numpy(), expected["logits"])
        assert np.array_equal(found.labels.numpy(), expected["labels"])


def test_the_last_layer_is_read_or_computed(files: Path) -> None:
    folder = files / "features/ce/seed0"
    reference = read_reference(folder)
    torch.testing.assert_close(reference.weight, WEIGHT, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(reference.bias, torch.full((3,), 0.5), atol=1e-4, rtol=1e-4)
    write(folder / "head.npz", {"weight": 2 * WEIGHT.numpy(), "bias": np.zeros(3)})
    torch.testing.assert_close(read_reference(folder).weight, 2 * WEIGHT)
    train = read_set(folder, "train")
    with pytest.raises(SynthoodError, match="no linear layer gives the logits of the features; write its `weight`"):
        linear_layer(type(train)(train.logits.exp(), train.features, train.labels), folder)


def broken(change: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: x for name, x in (arrays(0, "away") | change).items() if x is not None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": None}, "away.npz: logits missing; it has features"),
        ({"logits": np.full((10, 3), np.nan)}, "away.npz: logits or features are not finite"),
        ({"logits": np.ones((9, 3))}, "away.npz: logits, features and labels differ in length"),
        ({"logits": np.array([["<b>"] * 3] * 10)}, "away.npz: `logits` holds <U3, expected numbers"),
        ({"logits": np.array([{}] * 10, dtype=object)}, "away.npz: not readable as .npz .*allow_pickle=False"),
    ],
)
def test_a_file_that_holds_something_else_is_named(files: Path, change: dict[str, Any], message: str) -> None:
    np.savez(files / "features/ce/seed0/away.npz", **broken(change))
    with pytest.raises(SynthoodError, match=message):
        tabulate_features(read_table(Path("features.yaml")))


def test_a_set_has_one_file(files: Path) -> None:
    folder = files / "features/ce/seed0"
    write(folder / "away.parquet", arrays(0, "away"))
    with pytest.raises(SynthoodError, match=r"seed0: 2 files for 'away'; expected one of away\.npz, away\.safetensors"):
        read_set(folder, "away")
    with pytest.raises(SynthoodError, match="seed0: no file for 'sky'"):
        read_set(folder, "sky")
    (folder / "close.npz").write_bytes(b"not a zip")
    with pytest.raises(SynthoodError, match=r"close\.npz: not readable as \.npz"):
        read_set(folder, "close")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"near": [], "far": []}, "no OOD test set; name one under `near` or `far`"),
        ({"near": ["away"]}, "near and far: 'away' is named twice; name each set once"),
        ({"near": ["close", "Close"]}, "near and far: 'Close' is named twice; name each set once"),
        ({"near": ["test"]}, "near and far: 'test' is another file's name, or that of a mean; take another"),
        ({"far": ["near"]}, "near and far: 'near' is another file's name, or that of a mean; take another"),
        (
            {"path": "features/{recipe}"},
            "path: features/ce is the folder of ce on mine, seed 0, and of ce on mine, seed 1",
        ),
        ({"path": "features"}, "path: features is the folder of ce on mine, seed 0, and of ce on mine, seed 1"),
        ({"near": ["<b>"]}, "near.0"),
        ({"near": ["n" * 200]}, "near.0"),
        ({"far": ["שלום"]}, "far.0"),
        ({"detectors": {"msp": {"kind": "msp"}}}, "no detector is named 'vim'"),
        ({"detectors": {"msp": {"kind": "msp"}, "vim": {"kind": "gram"}}}, "detectors.vim: it needs maps of the model"),
    ],
)
def test_a_table_that_cannot_be_is_refused(files: Path, change: dict[str, Any], message: str) -> None:
    Path("features.yaml").write_text(yaml.safe_dump(TABLE | change, allow_unicode=True))
    with pytest.raises(SynthoodError, match=f"features.yaml: .*{message}"):
        read_table(Path("features.yaml"))


@pytest.mark.parametrize("name", [*ODD.values(), REVERSED])
@pytest.mark.parametrize("key", ["datasets", "recipes", "detectors", "title"])
def test_odd_names_are_refused_and_odd_titles_are_not(files: Path, key: str, name: str) -> None:
    table = TABLE["table"] | {"baselines": ["ce"], key: name if key == "title" else [*TABLE["table"][key], name]}
    Path("features.yaml").write_text(yaml.safe_dump(TABLE | {"table": table}, allow_unicode=True))
    if key == "title" and name != REVERSED:
        assert read_table(Path("features.yaml")).table.title == name
        return
    with pytest.raises(SynthoodError, match=rf"^features.yaml: table\b.*{key}") as told:
        read_table(Path("features.yaml"))
    assert not UNSAFE.search(str(told.value))


def test_folders_may_be_told_apart_by_case_alone_on_some_systems(files: Path) -> None:
    table = TABLE["table"] | {"recipes": ["ce", "CE"]}
    Path("features.yaml").write_text(yaml.safe_dump(TABLE | {"table": table}))
    with pytest.raises(
        SynthoodError, match=r"path: features/CE/seed0 is the folder of ce .* and of CE on mine, seed 0"
    ):
        read_table(Path("features.yaml"))


def test_a_table_in_the_same_place_is_said_to_be_replaced(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["tabulate", "features.yaml"])
    main(["tabulate", "features.yaml"])
    assert capsys.readouterr().err == ""
    Path("other.yaml").write_text(yaml.safe_dump(TABLE | {"table": TABLE["table"] | {"detectors": ["msp"]}}))
    main(["tabulate", "other.yaml"])
    assert capsys.readouterr().err == "tables: another table was there and is replaced; `--out DIR` keeps both\n"


def test_a_model_that_lacks_a_file_is_named(files: Path) -> None:
    (files / "features/ce/seed1/away.safetensors").unlink()
    with pytest.raises(SynthoodError, match=r"^features/ce/seed1: no file for 'away'"):
        tabulate_features(read_table(Path("features.yaml")))


def test_a_table_of_one_role_and_one_seed(files: Path) -> None:
    table = TABLE["table"] | {"seeds": [0]}
    Path("features.yaml").write_text(yaml.safe_dump(TABLE | {"table": table, "near": []}))
    results = tabulate_features(read_table(Path("features.yaml")), Path("out"))
    assert set(results.values["set"]) == {"test", "away", "far"}
    assert results.values["sd"].isna().all()
    text = Path("out/table.md").read_text()
    assert text.startswith("One seed; ")
    assert "| detector | recipe | far (away) | gain far |\n" in text


def test_a_recipe_without_models_is_named(files: Path) -> None:
    table = TABLE["table"] | {"recipes": ["ce", "oal"]}
    Path("features.yaml").write_text(yaml.safe_dump(TABLE | {"table": table}))
    with pytest.raises(SynthoodError, match="no scores of recipe 'oal' on 'mine'"):
        tabulate_features(read_table(Path("features.yaml")))
