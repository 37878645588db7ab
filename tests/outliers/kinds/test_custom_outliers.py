"""Outliers of the user's own function: their pixels, the checks of them, and the stage that writes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkouts import PROJECT
from synthood.common.images import ImageSet, read_images, write_images
from synthood.common.seeds import derived_seed
from synthood.config.load import load, load_file
from synthood.errors import SynthoodError
from synthood.outliers import custom_outliers
from synthood.outliers.kinds.base import OutlierKind
from synthood.outliers.kinds.custom import CustomOutliers, CustomOutliersSettings
from synthood.plugins import plugins
from synthood.training.outlier_set import exposed_images
from synthood.workflow.code import digests_in
from synthood.workflow.plan import Plan
from synthood.workflow.plan import artefacts as at
from synthood.workflow.plausible import impossible

EXAMPLE = str(PROJECT / "examples/custom_outliers/jigsaw.py")
IMAGES = np.random.default_rng(0).integers(0, 256, (10, 12, 12, 3), np.uint8)
LABELS = np.arange(10) % 3


def custom(file: str, **more: Any) -> CustomOutliers:
    return CustomOutliers.model_validate({"file": file, **more})


def of_code(folder: Path, code: str) -> CustomOutliers:
    (folder / "mine.py").write_text(code + "\n")
    return custom(str(folder / "mine.py"))


@pytest.mark.parametrize("tiles", [2, 3])
def test_the_example_moves_the_tiles_of_every_image(tiles: int) -> None:
    found = custom(EXAMPLE, values={"tiles": tiles}).made_of(IMAGES, LABELS)
    side = 12 // tiles

    def cut(image: np.ndarray) -> list[bytes]:
        rows = (image[side * i : side * i + side] for i in range(tiles))
        return [row[:, side * j : side * j + side].tobytes() for row in rows for j in range(tiles)]

    for before, after in zip(IMAGES, found, strict=True):
        assert sorted(cut(before)) == sorted(cut(after))
        assert cut(before) != cut(after)


def test_the_seed_decides() -> None:
    first, again, other = (custom(EXAMPLE, seed=seed).made_of(IMAGES, LABELS) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_function_gets_images_labels_and_its_random_numbers(tmp_path: Path) -> None:
    code = (
        "def outliers(images, labels, random, add):\n"
        "    return images[labels == 1] // 2 + random.integers(9, dtype='u1') + add"
    )
    (tmp_path / "mine.py").write_text(code.replace("+ add", "+ images.dtype.type(add)"))
    found = custom(str(tmp_path / "mine.py"), values={"add": 3}, seed=5).made_of(IMAGES, LABELS)
    drawn = np.random.default_rng(derived_seed("custom outliers", 5)).integers(9, dtype=np.uint8)
    assert np.array_equal(found, IMAGES[LABELS == 1] // 2 + drawn + np.uint8(3))


WRONG = {
    "def outliers(images, labels, random): return 1 / 0": r"outliers: ZeroDivisionError: .* \(line 1\)",
    "import nowhere_at_all\ndef outliers(a, b, c): ...": r"mine.py: ModuleNotFoundError: .* \(line 1\)",
    "def outliers(images): ...": "outliers: TypeError",
    "def outliers(images, labels, random): return images / 255": r"must give uint8 images \[M,32,32,3\] .* float64",
    "def outliers(images, labels, random): return images[:, ::2]": r"with M >= 1, got uint8 \[24, 16, 32, 3\]",
    "def outliers(images, labels, random): return images[0]": r"got uint8 \[32, 32, 3\]",
    "def outliers(images, labels, random): return images[:0]": r"got uint8 \[0, 32, 32, 3\]",
    "def outliers(images, labels, random): return None": "got NoneType",
    "def outliers(images, labels, random): return images[::-1]": "all 24 outliers are ID training images",
    "def outliers(images, labels, random):\n images += 1": r"ValueError: .*read-only \(line 2\)",
    "import numpy as np\ndef outliers(images, labels, random): return images ^ np.random.randint(1, 255, dtype='u1')": (
        "gives other outliers of the same images; draw random numbers from `random` alone"
    ),
}


@pytest.mark.parametrize("code", WRONG)
def test_what_goes_wrong_is_one_sentence(tmp_path: Path, code: str) -> None:
    with pytest.raises(SynthoodError, match=WRONG[code]) as told:
        of_code(tmp_path, code).dry_run()
    assert "\n" not in str(told.value)


def test_the_stage_writes_images_that_exposure_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "train.safetensors", ImageSet(IMAGES, LABELS, ["a", "b", "c"]))
    mine = of_code(tmp_path, "def outliers(images, labels, random):\n x = images.copy()\n x[1:] //= 2\n return x")
    settings = CustomOutliersSettings(outliers=mine)
    output = tmp_path / "images.safetensors"
    inputs = ["--train", str(tmp_path / "train.safetensors"), "--output", str(output)]
    custom_outliers.main(["--threads", "1", "--settings", settings.canonical(), *inputs])
    assert "10 outliers of 10 ID images; 1 are ID images, pixel by pixel" in capsys.readouterr().out
    found = exposed_images(output, (12, 12, 3))
    assert np.array_equal(found[1:], IMAGES[1:] // 2)
    assert (read_images(output).labels == -1).all()


def test_the_plan_wires_what_the_kind_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(PROJECT)
    config = load_file(PROJECT / "examples/custom_outliers/config.yaml")
    plan = Plan(config)
    wildcards: Any = type("Wildcards", (), {"dataset": "digits", "recipe": "exposed", "outliers": "jigsaw"})
    made = at.CUSTOM_OUTLIERS.format(dataset="digits", outliers="jigsaw")
    assert plan.learned_from(wildcards)["exposure"] == [made]
    assert plan.table_outliers("jigsaw") == [made]
    assert plan.custom_outliers_settings(wildcards).outliers == config.outliers["jigsaw"]
    assert digests_in(plan.custom_outliers_settings(wildcards)).keys() == {"outliers"}
    assert impossible(config) == []


def test_every_kind_s_images_are_an_artefact() -> None:
    kinds = plugins(OutlierKind, "synthood.outliers.kinds")
    assert set(kinds) == {"bood-latent", "bood-pixel", "custom", "guided", "inverted", "latent", "pixel"}
    assert {f"{at.OUTLIERS}/{kind.images}" for kind in kinds.values()} == {at.GATE, at.CUSTOM_OUTLIERS}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"recipes/sio-biggan/outliers": {"from": "mine"}},
            "recipes.sio-biggan.outliers.from: 'mine' is of kind 'custom', whose images are for `exposure`",
        ),
        ({"outliers/mine/generator": "sd"}, "outliers.mine.generator: unknown key"),
        ({"outliers/mine/kind": "customs"}, "outliers.mine: unknown kind 'customs'; did you mean 'custom'?"),
    ],
)
def test_a_section_that_cannot_be_used_so_is_named(edited: Any, more: dict[str, Any], message: str) -> None:
    raw = edited({"outliers/mine": {"kind": "custom", "file": "mine.py"}} | more)
    with pytest.raises(SynthoodError) as told:
        load(raw)
    assert message in str(told.value)
