"""All parts of a dataset have one size in the end, and what they were before is recorded."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from command_lines import writing
from synthood.common.encoded import is_encoded
from synthood.common.images import ImageSet, check_sizes, read_facts, read_images, write_images
from synthood.config.load import load
from synthood.data.part_settings import PartSettings
from synthood.data.prepare import main, prepare
from synthood.data.selection import Selection
from synthood.data.sources.computed import Noise, PhotoPatches, Textures
from synthood.errors import SynthoodError
from synthood.evaluation import extract, score_model
from synthood.training import train
from synthood.workflow.plan import Plan

COMPUTED = {
    "photos": {"kind": "photo-patches", "images": 6},
    "textures": {"kind": "textures", "images": 6},
    "noise": {"kind": "noise", "images": 6},
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """Stages set these; the test gives them back."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")


@pytest.fixture
def own(demo, tmp_path, draw):
    """A configuration of 64 px pictures in two class folders, and sets to be added to it."""
    for word in ("ant", "bee"):
        for index in range(12):
            draw(f"id/{word}/{index}.png", 64, 64)

    def made(far=COMPUTED, **id_keys):
        id_source = {"kind": "folders", "path": str(tmp_path / "id"), "classes": ["ant", "bee"], **id_keys}
        near = {"strange": {"kind": "folders", "path": str(tmp_path / "near")}}
        ood = {"kind": "shuffled-quadrants", "images": 4}
        dataset = {"id": id_source, "near": near, "far": far, "ood_validation": ood}
        table = {"datasets": ["own"], "recipes": ["ce"], "seeds": [0], "detectors": ["msp"], "baselines": ["ce"]}
        recipes = {"ce": demo["recipes"]["ce"]}
        raw = {"version": 1, "build": ["t"], "datasets": {"own": dataset}, "recipes": recipes, "tables": {"t": table}}
        return load(raw | {"detectors": {"msp": {"kind": "msp"}}})

    return made


def settings_of(config, part):
    return Plan(config).part_settings(SimpleNamespace(dataset="own", part=part))


@pytest.mark.parametrize("keys", [{"size": 64}, {}], ids=["size in the configuration", "size in the files"])
def test_computed_sets_are_as_large_as_the_id_images(own, keys):
    config = own(**keys)
    for part in COMPUTED:
        settings = PartSettings.parse(settings_of(config, part).canonical())
        made = prepare(settings)
        assert made.images.shape == (6, 64, 64, 3)
        assert made.facts.native == {64: 6}


def test_a_size_that_only_the_files_say_must_be_square(own, tmp_path, draw):
    config = own()
    for path in (tmp_path / "id").rglob("*.png"):
        draw(str(path.relative_to(tmp_path)), 40, 30)
    with pytest.raises(
        SynthoodError, match=r"part noise: noise are square, but the ID images have 40x30 px; set `size`"
    ):
        prepare(settings_of(config, "noise"))


def test_a_part_without_a_size_must_have_that_of_the_others(own, tmp_path, draw):
    settings = settings_of(own(size=64), "strange")
    assert (settings.side, settings_of(own(), "strange").side) == (64, None)
    draw("near/1.png", 32, 32)
    output = tmp_path / "out" / "strange.safetensors"
    with pytest.raises(SystemExit):
        main(["--settings", settings.canonical(), "--output", str(output)])
    assert not output.exists()
    draw("near/1.png", 64, 64)
    main(["--settings", settings.canonical(), "--output", str(output)])
    assert read_images(output).images.shape == (1, 64, 64, 3)


def test_a_set_that_is_added_changes_no_other_part(own):
    more = COMPUTED | {"more": {"kind": "folders", "path": "x", "size": 64}}
    for keys in ({}, {"size": 64}):
        before, after = own(**keys), own(more, **keys)
        for part in ("train", "val", "test", "strange", *COMPUTED):
            assert settings_of(before, part) == settings_of(after, part)


@pytest.mark.parametrize(
    ("far", "message"),
    [
        ({"d": {"kind": "digits", "classes": [1]}}, "far.d: images of 32 px.*id have 64 px.*set `size: 32` in id"),
        ({"m": {"kind": "mnist", "path": "x"}}, "far.m: images of 28 px.*set `size: 64` in far.m"),
        ({"c": {"kind": "cifar10", "path": "x"}}, "far.c: images of 32 px.*set `size: 64` in far.c"),
        ({"f": {"kind": "folders", "path": "x", "size": 48}}, "far.f: images of 48 px.*set `size: 64` in far.f"),
        ({"a": {"kind": "arrays", "path": "x.npz", "size": 32}}, "far.a: images of 32 px.*set `size: 64` in far.a"),
        ({"t": {"kind": "textures", "images": 5, "size": 32}}, "far.t: images of 32 px.*set `size: 64` in far.t"),
    ],
)
def test_sizes_that_differ_are_refused_where_the_configuration_says_them(own, far, message):
    with pytest.raises(SynthoodError, match=message):
        own(far, size=64)
    sizes = {"m": {"kind": "mnist", "path": "x", "size": 64}, "t": {"kind": "textures", "images": 5, "size": 64}}
    assert own(sizes, size=64).datasets["own"].side == 64


def shrunk(images, side):
    return np.stack([np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BOX)) for image in images])


@pytest.fixture
def sets(tmp_path):
    """Training images of 64 px, and the test images shrunk to 32 px as an OOD set."""
    images = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    for name in ("train", "val", "test"):
        write_images(tmp_path / f"{name}.safetensors", ImageSet(images, np.arange(6) % 2, ["a", "b"]))
    write_images(tmp_path / "small.safetensors", ImageSet.out_of_distribution(shrunk(images, 32)))
    write_images(tmp_path / "val32.safetensors", ImageSet(shrunk(images, 32), np.arange(6) % 2, ["a", "b"]))
    (tmp_path / "model").write_text("read only after the sizes")
    return tmp_path


MESSAGE = "images of 32x32 px, but {} has images of 64x64 px; give both parts the same `size`"


def test_the_id_images_shrunk_are_no_ood_set(sets):
    paths = [sets / f"{name}.safetensors" for name in ("train", "test", "small")]
    check_sizes(paths[:2])
    with pytest.raises(SynthoodError) as caught:
        check_sizes(paths)
    assert str(caught.value) == f"{paths[2]}: {MESSAGE.format(paths[0])}"


@pytest.mark.parametrize("stage", ["extract", "score_model", "train"])
def test_no_stage_starts_with_two_sizes(sets, stage, capsys):
    images = [str(sets / f"{name}.safetensors") for name in ("train", "val", "test", "small")]
    scored = ["--model", str(sets / "model"), "--images", *images]
    recipe = {"network": {"name": "resnet8", "width": 8}, "epochs": 1, "batch_size": 4, "learning_rate": 0.1}
    learned = ["--seed", "0", "--train", images[0], "--val", str(sets / "val32.safetensors")]
    run, settings, words = {
        "extract": (extract.main, {}, scored),
        "score_model": (score_model.main, {"detectors": {}, "near": ["small"], "far": []}, scored),
        "train": (train.main, {"recipe": recipe}, learned),
    }[stage]
    outputs = [sets / "out" / name for name in run.command.outputs]
    with pytest.raises(SystemExit):
        run(["--settings", json.dumps(settings), *words, *writing(run, outputs)])
    assert MESSAGE.format(images[0]) in capsys.readouterr().err


@pytest.mark.parametrize("side", [8, 31, 64, 97])
def test_computed_sets_have_every_size_and_keep_their_kind(side):
    for kind in (PhotoPatches, Textures, Noise):
        name = kind.model_fields["kind"].annotation.__args__[0]
        made = kind(kind=name, images=7, size=side).read(Selection(part="far"))
        assert made.images.shape == (7, side, side, 3)
        assert len({image.tobytes() for image in made.images}) == 7


def test_textures_are_the_same_pictures_at_every_size():
    small, large = (Textures(images=30, size=side).read(Selection(part="far")).images for side in (32, 128))
    for index in range(0, 30, 3):  # gratings, whose periods scale
        one, other = (images[index, :, :, 0].ravel() for images in (small, shrunk(large, 32)))  # colours are others
        assert abs(np.corrcoef(one, other)[0, 1]) > 0.9


def test_textures_do_not_depend_on_how_many_are_computed_together(monkeypatch):
    settings = Textures(images=40)
    expected = settings.read(Selection(part="far")).images
    monkeypatch.setattr("synthood.data.sources.computed.AT_ONCE", 7 * 32 * 32)
    np.testing.assert_array_equal(settings.read(Selection(part="far")).images, expected)


def test_patches_that_overlap_are_noted_and_too_large_ones_refused():
    assert PhotoPatches(images=4, size=213).read(Selection(part="far")).notes == []  # 3 x 2 of either photograph
    noted = PhotoPatches(images=5, size=224).read(Selection(part="far")).notes
    assert noted == ["5 patches of 224 px overlap: the photographs have room for 4 apart"]
    with pytest.raises(SynthoodError, match="428 px are more than the photographs have"):
        PhotoPatches(images=1, size=428).read(Selection(part="far"))


def test_large_computed_sets_are_stored_encoded(tmp_path):
    output = tmp_path / "n.safetensors"
    main(["--settings", '{"part":"n","source":{"kind":"noise","images":3,"size":80}}', "--output", str(output)])
    assert is_encoded(output)
    np.testing.assert_array_equal(
        read_images(output).images, Noise(images=3, size=80).read(Selection(part="far")).images
    )
    assert read_facts(output).native == {80: 3}


def test_every_kind_of_source_records_what_its_images_were(own, tmp_path, draw):
    config = own({"textures": {"kind": "textures", "images": 3}}, size=32)
    ids = prepare(settings_of(config, "train")).facts
    assert (ids.native, ids.modes, ids.formats) == ({32: 20}, {"RGB": 20}, {"PNG": 20})
    assert ids.resize == {"shorter side to 32 px, bilinear": 20}
    assert prepare(settings_of(config, "ood_validation")).facts.native == {32: 2}  # of the validation images
    draw("near/1.jpg", 20, 40)
    grey = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "near/2.webp", lossless=True)
    source = {"kind": "folders", "path": str(tmp_path / "near"), "size": 32}
    mixed = prepare(PartSettings.model_validate({"part": "far", "ood": True, "source": source})).facts
    assert (mixed.native, mixed.modes) == ({20: 1, 28: 1}, {"RGB": 1, "grey": 1})
    assert mixed.formats == {"JPEG": 1, "WEBP, lossless": 1}
    np.savez(tmp_path / "grey.npz", images=np.stack([grey] * 3))
    arrays = {"kind": "arrays", "path": str(tmp_path / "grey.npz"), "size": 32}
    made = prepare(PartSettings.model_validate({"part": "far", "ood": True, "source": arrays}))
    assert (made.facts.native, made.facts.modes, made.facts.formats) == ({28: 3}, {"grey": 3}, {"array": 3})
    assert made.notes == ["3 grey images became RGB"]
    digits = {"kind": "digits", "classes": [1]}
    enlarged = prepare(PartSettings.model_validate({"part": "far", "ood": True, "source": digits})).facts
    assert (set(enlarged.native), set(enlarged.modes)) == ({8}, {"grey"})
