"""docs/published-settings.md is what the configurations say; a value that its sources contradict needs a reason."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from synthood.config.load import load_file
from synthood.config.models import Config

PROJECT = Path(__file__).parents[2]
CONFIGS = sorted((PROJECT / "configs").glob("*.yaml"))
LOADED: dict[Path, Config] = {}


@pytest.fixture(scope="module")
def settings() -> ModuleType:
    spec = importlib.util.spec_from_file_location("published_settings", PROJECT / "docs" / "published_settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def claims(settings: ModuleType) -> dict[str, Any]:
    found: dict[str, Any] = settings.read()[1]
    return found


def loaded(path: Path) -> Config:
    if path not in LOADED:
        LOADED[path] = load_file(path)
    return LOADED[path]


def test_the_page_is_current(settings: ModuleType) -> None:
    assert settings.page() == settings.DOCUMENT.read_text()


def test_check_says_whether_the_page_is_current(
    settings: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "DOCUMENT", tmp_path / "page.md")
    (tmp_path / "page.md").write_text("old")
    monkeypatch.setattr("sys.argv", ["published_settings.py", "--check"])
    with pytest.raises(SystemExit, match="not what the configurations say"):
        settings.main()
    monkeypatch.setattr("sys.argv", ["published_settings.py"])
    settings.main()
    monkeypatch.setattr("sys.argv", ["published_settings.py", "--check"])
    settings.main()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_no_claim_is_contradicted_without_a_reason(settings: ModuleType, claims: dict[str, Any], path: Path) -> None:
    config = loaded(path)
    beside = [name for name, table in config.tables.items() if table.published]
    if path.stem not in claims:
        assert not beside, "published figures stand beside it, so docs/published-settings.yaml must have its settings"
        return
    claim = claims[path.stem]
    assert settings.mistakes(path.stem, config, claim) == []
    assert settings.uncovered(config, claim) == []
    assert claim.rows
    head = path.read_text().partition("\nversion:")[0]
    assert "docs/published-settings.md" in head
    otherwise = [row for row in claim.rows if row.reason]
    assert ("Otherwise" in head) == bool(otherwise), "the header says what is otherwise than published, and why"


BROKEN = {
    "recipes.ce.epochs": (
        "openood-cifar10",
        ("recipes", "ce", "epochs"),
        200,
        "recipes.ce.epochs is 200, published 100",
    ),
    "recipes.sio.weight_decay": (
        "sio-cifar10",
        ("recipes", "sio", "weight_decay"),
        1e-4,
        "recipes.sio.weight_decay is 0.0001, published 0.0005",
    ),
    "detectors.vim.dimension": (
        "sio-cifar100",
        ("detectors", "vim", "dimension"),
        256,
        "detectors.vim.dimension is 256, published 42",
    ),
    "detectors.knn.k": (
        "openood-imagenet1k",
        ("detectors", "knn", "k"),
        [50, 100],
        "detectors.knn.k is [50, 100], published [50, 100, 200, 500, 1000]",
    ),
    "recipes.ce.keep": (
        "sio-imagenet200",
        ("recipes", "ce", "keep"),
        "last",
        "recipes.ce.keep is last, published best",
    ),
    "teacher.inputs": (
        "oal-cifar10",
        ("recipes", "oal-released", "teacher", "inputs"),
        "own",
        "recipes.oal-released.teacher.inputs is own, published student",
    ),
}


@pytest.mark.parametrize(("name", "place", "value", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_copy_fails(
    settings: ModuleType,
    claims: dict[str, Any],
    name: str,
    place: tuple[str, ...],
    value: Any,
    told: str,
    tmp_path: Path,
) -> None:
    """One value of a copy of the configuration is another one, and is named with what was published."""
    content = yaml.safe_load((PROJECT / "configs" / f"{name}.yaml").read_text())
    *sections, key = place
    section = content
    for one in sections:
        section = section[one]
    section[key] = value
    copy = tmp_path / f"{name}.yaml"
    copy.write_text(yaml.safe_dump(content))
    found = settings.mistakes(name, load_file(copy), claims[name])
    assert f"{name}: {told}" in found
    assert len({one.rpartition(" is ")[0].rpartition(".")[2] for one in found}) == 1  # of recipes, those like it too


def claim_of(settings: ModuleType, *rows: dict[str, Any]) -> Any:
    return settings.Claim.model_validate({"claims": "x", "rows": list(rows)})


def test_rows_must_say_what_they_are_about(settings: ModuleType) -> None:
    """An old reason, a place that is not there, a row without a value or without words."""
    config = loaded(PROJECT / "configs" / "openood-cifar10.yaml")

    def mistakes(**row: Any) -> list[str]:
        found: list[str] = settings.mistakes("c", config, claim_of(settings, row))
        return found

    assert mistakes(setting="recipes.ce.epochs", release=100, source="s") == []
    assert mistakes(setting="recipes.ce.epochs", paper=100, release=90, source="s") == []
    (old,) = mistakes(setting="recipes.ce.epochs", release=100, source="s", reason="r")
    assert "as published, so its reason is old" in old
    assert mistakes(setting="recipes.ce.epochs", release=90, source="s", reason="r") == []
    (missing,) = mistakes(setting="recipes.ce.epoch", release=90, source="s")
    assert "no such setting" in missing
    (silent,) = mistakes(setting="recipes.ce.epochs", source="s")
    assert "give the paper's value" in silent
    (wordless,) = mistakes(what="crops", release="a", source="s")
    assert "must say what, here and reason" in wordless
    assert mistakes(what="crops", release="a", here="b", source="s", reason="r") == []


def test_a_star_stands_for_what_has_no_row_of_its_own(settings: ModuleType) -> None:
    config = loaded(PROJECT / "configs" / "openood-cifar10.yaml")
    content = settings.resolved(config)
    star = {"setting": "recipes.*.augmentation.cutout", "release": 0, "source": "s"}
    own = {"setting": "recipes.cutout.augmentation.cutout", "release": 16, "source": "s"}
    both = claim_of(settings, star, own)
    assert settings.values(content, both, both.rows[0]) == {
        f"recipes.{name}.augmentation.cutout": 0 for name in ("ce", "randaugment", "pixmix")
    }
    assert settings.mistakes("c", config, both) == []
    assert settings.mistakes("c", config, claim_of(settings, star)) == [
        "c: recipes.cutout.augmentation.cutout is 16, published 0"
    ]
    apart = settings.Claim.model_validate({"claims": "x", "rows": [star], "apart": ["cutout"]})
    assert settings.mistakes("c", config, apart) == []


def test_values_are_the_same_by_meaning(settings: ModuleType) -> None:
    assert settings.same(90, 90.0)
    assert settings.same([1, 10.0], [1.0, 10])
    assert not settings.same(1, True)
    assert not settings.same([1, 2], [1])
    assert not settings.same(None, 0)
    assert [settings.shown(value) for value in (90.0, [0.5, 1], True, None, "a b", 1e-6)] == [
        "90",
        "[0.5, 1]",
        "true",
        "null",
        "a b",
        "1e-06",
    ]


def test_what_has_figures_must_have_rows(settings: ModuleType, claims: dict[str, Any]) -> None:
    """Without its row a published detector's number is missed, and so is a recipe's augmentation."""
    config, claim = loaded(PROJECT / "configs" / "openood-cifar10.yaml"), claims["openood-cifar10"]
    taken = ("detectors.knn.k", "recipes.cutout.augmentation.cutout")
    fewer = claim.model_copy(update={"rows": [row for row in claim.rows if row.setting not in taken]})
    assert settings.uncovered(config, fewer) == ["recipes.cutout.augmentation.cutout", "detectors.knn.k"]
