"""Raw data and weights in storage, where the configuration names them."""

from pathlib import Path

import pytest

from synthood.config.load import load_file
from synthood.data import raw
from synthood.workflow import raw_copies
from synthood.workflow.plan import Plan

CONFIG = Path(__file__).parents[1] / "config.yaml"
QUERY = "s3://bucket/raw"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / ".snakemake/storage/s3/bucket/raw/data/set.npz"
    copy.parent.mkdir(parents=True)
    copy.write_text("stored")
    return copy


@pytest.mark.parametrize("query", [QUERY, f"{QUERY}/"])
def test_a_copy_is_linked_where_the_configuration_names_it(copy: Path, query: str) -> None:
    for _ in range(2):  # a link of an earlier job is replaced
        assert raw_copies.link(copy, query) == Path("data/set.npz")
    assert Path("data/set.npz").read_text() == "stored"
    assert [path.name for path in Path("data").iterdir()] == ["set.npz"]


def test_a_link_to_a_copy_that_is_gone_is_replaced(copy: Path) -> None:
    Path("data").mkdir()
    Path("data/set.npz").symlink_to("gone")
    raw_copies.link(copy, QUERY)
    assert Path("data/set.npz").read_text() == "stored"


def test_a_file_in_the_way_is_an_error(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data").mkdir()
    Path("data/set.npz").write_text("local")
    monkeypatch.setenv(raw.STORED, QUERY)
    assert raw_copies.main([str(copy)]) == 1
    assert capsys.readouterr().err == (
        f"error: data/set.npz: there, and in SYNTHOOD_RAW={QUERY} too; move it away, or unset SYNTHOOD_RAW\n"
    )
    assert Path("data/set.npz").read_text() == "local"


def with_arrays(tmp_path: Path, path: str) -> Plan:
    text = CONFIG.read_text().replace("{kind: digits, classes: [8]}", f"{{kind: arrays, path: {path}, size: 32}}")
    (tmp_path / "config.yaml").write_text(text)
    return Plan(load_file(tmp_path / "config.yaml"))


@pytest.mark.parametrize("path", ["data/near.npz", "/data/near.npz", "../near.npz"])
def test_relative_paths_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    plan, made = with_arrays(tmp_path, path), "results/digits/images/digits-8.safetensors"
    assert not plan.stored(made)
    assert [one.path for one in plan.missing()] == [Path(path)]
    monkeypatch.setenv(raw.STORED, QUERY)
    plan, stored = with_arrays(tmp_path, path), path == "data/near.npz"
    assert plan.stored(made) == [f"{QUERY}/{path}"] * stored
    assert [one.path for one in plan.missing()] == [Path(path)] * (not stored)
    assert not plan.stored("results/digits/images/train.safetensors")


def test_a_file_of_this_machine_is_found_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(raw.STORED, QUERY)
    plan = with_arrays(tmp_path, "data/near.npz")
    assert plan.in_the_way() == []
    Path("data").mkdir()
    Path("data/near.npz").symlink_to(tmp_path / "config.yaml")
    assert plan.in_the_way() == []
    Path("data/near.npz").unlink()
    Path("data/near.npz").write_text("")
    assert plan.in_the_way() == [Path("data/near.npz")]


def test_planning_knows_no_state_of_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (Path("weights.pt"), Path("folder/one.pt")):
        path.parent.mkdir(exist_ok=True)
        path.write_text("1")
    states = [raw.state_of_file(Path("weights.pt"), tmp_path), raw.state_of_folder(Path("folder"), tmp_path)]
    assert all(states)
    monkeypatch.setenv(raw.STORED, QUERY)
    assert not raw.state_of_file(Path("weights.pt"), tmp_path)
    assert not raw.state_of_folder(Path("folder"), tmp_path)
    assert raw.state_of_file(tmp_path / "weights.pt", tmp_path)
