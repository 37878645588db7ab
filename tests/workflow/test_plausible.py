"""Files, functions and classes that are not there are named before any job."""

import pytest
import yaml

from synthood.cli import main
from synthood.config.load import load
from synthood.errors import SynthoodError
from synthood.workflow.plan import Plan
from synthood.workflow.plausible import fetchable, impossible

GONE = "is not there; paths start where snakemake runs"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def told(raw):
    return list(map(str, impossible(load(raw))))


def test_the_demo_needs_nothing(demo):
    assert told(demo) == []
    assert fetchable(load(demo)) == []


CODE = {
    "def fit(reference): ...": [],
    "async def fit(r): ...": [],
    "class fit: ...": [],
    "fit = lambda r: r": [],
    "from other import fit": [],
    "from other import thing as fit": [],
    "from other import *": [],
    "try:\n  import torch\nexcept ImportError:\n  def fit(r): ...": [],
    "if True:\n  x = 1\nelse:\n  fit = len": [],
    "with open('x') as fit: ...": [],
    "def fitt(r): ...": ["detectors.own.function: own.py has no function 'fit'; did you mean 'fitt'? (known: fitt)"],
    "class A:\n  def fit(r): ...": ["detectors.own.function: own.py has no function 'fit' (known: A)"],
    "def a():\n  fit = 1": ["detectors.own.function: own.py has no function 'fit' (known: a)"],
    "x = 1\ndef fit(:": ["detectors.own.file: own.py: line 2: invalid syntax"],
    "def fit(r):\n\tif 1:\n        pass": ["detectors.own.file: own.py: line 3: inconsistent use of tabs"],
    "\0": ["detectors.own.file: own.py: "],
    "x = " + "(" * 5000: ["detectors.own.file: own.py: line 1: too many nested parentheses"],
}


@pytest.mark.parametrize("code", CODE, ids=lambda code: repr(code[:20]))
def test_a_detector_of_one_s_own_is_a_function_in_a_file_of_python(edited, tmp_path, code):
    (tmp_path / "own.py").write_text(code)
    found = told(edited({"detectors/own": {"kind": "custom", "file": "own.py"}}))
    assert len(found) == len(CODE[code])
    assert all(line.startswith(expected) for line, expected in zip(found, CODE[code], strict=True)), found


def test_a_detector_s_file_that_is_missing_is_named(edited):
    assert told(edited({"detectors/own": {"kind": "custom", "file": "gone/own.py"}})) == [
        "detectors.own.file: gone/own.py: No such file or directory; such paths start where snakemake runs"
    ]


def test_a_loss_of_one_s_own_is_a_class_that_works_on_made_up_numbers(edited, tmp_path):
    config = edited({"recipes/ce/custom": {"file": "own.py", "class": "Mine"}})
    assert told(config) == [
        "recipes.ce.custom.file: own.py: No such file or directory; such paths start where snakemake runs"
    ]
    (tmp_path / "own.py").write_text("class Main: ...\n")
    assert told(config) == ["recipes.ce.custom.class: own.py has no class 'Mine'; did you mean 'Main'? (known: Main)"]
    (tmp_path / "own.py").write_text("import nothing_of_this_name\nclass Mine: ...\n")
    (line,) = told(config)
    assert line.startswith("recipes.ce.custom: own.py: ModuleNotFoundError: No module named 'nothing_of_this_name'")
    assert line.endswith("(line 1)")


def test_a_generator_of_one_s_own_is_a_class_that_can_be_called(edited, tmp_path):
    keys = {"kind": "custom", "file": "own.py", "class": "Mine", "images_per_class": 2, "block_size": 2}
    config = edited({"generators/own": keys})
    assert told(config) == [
        "generators.own.file: own.py: No such file or directory; such paths start where snakemake runs"
    ]
    (tmp_path / "own.py").write_text("class Main: ...\n")
    assert told(config) == ["generators.own.class: own.py has no class 'Mine'; did you mean 'Main'? (known: Main)"]
    (tmp_path / "own.py").write_text("class Mine:\n  def fit(self, images): ...\n")
    (line,) = told(config)
    assert line.startswith(
        "generators.own: own.py: Mine: fit must take images, labels, classes, seed, folder, device: "
    )
    (tmp_path / "own.py").write_text("class Mine:\n  def fit(self, **given): ...\n  def sample(self, **given): ...\n")
    assert told(config) == []


OF_YOURS = {
    "recipes.ce.network": (
        {"network": {"kind": "custom", "file": "own.py", "class": "Mine"}},
        "must give a torch.nn.Module",
    ),
    "recipes.ce.augmentation.custom": (
        {"augmentation": {"custom": {"file": "own.py", "class": "Mine"}}},
        "its objects must be callable: __call__(self, images, random)",
    ),
}


@pytest.mark.parametrize("place", OF_YOURS)
def test_networks_and_augmentations_of_one_s_own_are_tried(edited, tmp_path, place):
    keys, message = OF_YOURS[place]
    config = edited({f"recipes/ce/{key}": value for key, value in keys.items()} | {"recipes/cutout": {"like": "ce"}})
    missing = f"{place}.file: own.py: No such file or directory; such paths start where snakemake runs"
    own = [line for line in told(config) if "own.py" in line]
    assert own == [missing]
    (tmp_path / "own.py").write_text("class Mind: ...\n")
    assert f"{place}.class: own.py has no class 'Mine'; did you mean 'Mind'? (known: Mind)" in told(config)
    (tmp_path / "own.py").write_text("class Mine:\n    def __init__(self, classes=0): ...\n")
    assert f"{place}: own.py: Mine: {message}" in "\n".join(told(config))
    (tmp_path / "own.py").write_text("class Mine: ...\n1 / 0\n")
    assert f"{place}: own.py: ZeroDivisionError: division by zero (line 2)" in told(config)


def test_a_network_is_tried_on_images_of_the_data_s_size(edited, tmp_path):
    text = "from torch import nn\n\ndef net(classes, side):\n"
    text += "    return nn.Sequential(nn.Flatten(), nn.Linear(3 * side * side, classes))\n"
    (tmp_path / "own.py").write_text(text)
    network = {"kind": "custom", "file": "own.py", "function": "net"}
    for side, expected in ((32, []), (28, ["recipes.ce.network: own.py: net: RuntimeError: "])):
        found = told(edited({"recipes/ce/network": network | {"values": {"side": side}}}))
        assert [line[: len(one)] for line, one in zip(found, expected, strict=True)] == expected


TIMM = {"like": "ce", "network": {"name": "timm/resnet18", "width": None, "stem": None, "pretrained": "nets/r18.pt"}}
CHECKPOINT = {
    "kind": "checkpoint", "path": "nets/seed{seed}.pt", "network": {"name": "resnet20"},
    "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
}  # fmt: skip
HUB = {"from": "owner/model", "revision": "abc"}
MISSING = {
    "far set": ({"datasets/digits/far/own": {"kind": "folders", "path": "a/b"}}, ["datasets.digits.far.own: a/b"]),
    "validation": (
        {"datasets/digits/ood_validation": {"kind": "arrays", "path": "v.npz"}},
        ["datasets.digits.ood_validation: v.npz"],
    ),
    "timm weights": ({"recipes/sio-sd": TIMM}, ["recipes.sio-sd.network.pretrained: nets/r18.pt"]),
    "of a warm start": (
        {"recipes/extra": TIMM, "recipes/cutout/warm_start": "extra"},
        ["recipes.extra.network.pretrained: nets/r18.pt"],
    ),
    "of a recipe that no table has": ({"recipes/extra": TIMM}, []),
    "checkpoint": (
        {"recipes/sio-sd": CHECKPOINT},
        [f"recipes.sio-sd.path: nets/seed{seed}.pt" for seed in (0, 1, 2)],
    ),
    "checkpoint of a teacher": (
        {"recipes/net": CHECKPOINT, "recipes/cutout/teacher": {"recipe": "net", "seed": 7}},
        ["recipes.net.path: nets/seed7.pt"],
    ),
    "checkpoint of the judge": ({"recipes/judge": CHECKPOINT}, ["recipes.judge.path: nets/seed1000.pt"]),
    "pictures": (
        {"recipes/cutout/augmentation/pixmix": {"pictures": "fractals"}},
        ["recipes.cutout.augmentation.pixmix.pictures: fractals"],
    ),
    "diffusion": (
        {"generators/sd/fit": None, "generators/sd/pretrained": {"from": "models/sd"}},
        ["generators.sd.pretrained.from: models/sd"],
    ),
    "diffusion of the hub": ({"generators/sd/fit": None, "generators/sd/pretrained": HUB}, []),
    "lora": (
        {"generators/sd/fit": None, "generators/sd/pretrained": HUB | {"lora": {"from": "l.safetensors"}}},
        ["generators.sd.pretrained.lora.from: l.safetensors"],
    ),
    "biggan": (
        {"generators/biggan/fit": None, "generators/biggan/pretrained": {"from": "big"}},
        [f"generators.biggan.pretrained.from: big/{name}" for name in ("config.json", "pytorch_model.bin")],
    ),
    "biggan by name": (
        {"generators/biggan/fit": None, "generators/biggan/pretrained": {"from": "biggan-deep-128"}},
        [],
    ),
    "clip": (
        {"outliers/oal/encoder": {"kind": "clip", "path": "clip"}},
        ["outliers.oal.encoder: clip"],
    ),
    "inception": ({"assess/inception": "inception.pth"}, ["assess.inception: inception.pth"]),
}


@pytest.mark.parametrize(("edits", "expected"), MISSING.values(), ids=MISSING)
def test_what_is_missing_is_told_with_its_key(edited, edits, expected):
    assert sorted(told(edited(edits))) == sorted(f"{line} {GONE}" for line in expected)


def test_what_is_there_or_no_longer_needed_is_not_missing(edited, tmp_path):
    raw = edited({"datasets/digits/far/own": {"kind": "folders", "path": "data"}, "recipes/sio-sd": TIMM})
    assert len(told(raw)) == 2
    (tmp_path / "data").mkdir()
    assert told(raw) == [f"recipes.sio-sd.network.pretrained: nets/r18.pt {GONE}"]
    for seed in (0, 1, 2):
        made = tmp_path / f"results/digits/models/sio-sd/seed{seed}/model.safetensors"
        made.parent.mkdir(parents=True)
        assert len(told(raw)) == 1
        made.touch()
    assert told(raw) == []
    assert [
        str(one) for one in Plan(load(raw)).missing_for({"results/digits/models/sio-sd/seed1/model.safetensors"})
    ] == ["nets/r18.pt (recipes.sio-sd.network.pretrained)"]


def test_public_data_may_be_fetched(edited, tmp_path, capsys):
    raw = edited({"datasets/digits/far/cifar": {"kind": "cifar10", "path": "data"}, "build": ["demo-sio"]})
    assert told(raw) == []
    assert {str(one) for one in fetchable(load(raw))} == {
        f"data/cifar-10-batches-py/{name} (datasets.digits.far.cifar)" for name in ("test_batch", "batches.meta")
    }
    raw["datasets"]["digits"]["far"]["own"] = {"kind": "arrays", "path": "own.npz"}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(SystemExit):
        main(["check", "c.yaml"])
    assert capsys.readouterr().err == f"error: c.yaml: datasets.digits.far.own: own.npz {GONE}\n"
    (tmp_path / "own.npz").touch()
    main(["check", "c.yaml"])
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.endswith("is not there yet; `synthood fetch --config c.yaml` gets it")
    assert last.startswith("c.yaml: valid; tables ")


def held_out(demo, source, *names):
    digits = demo["datasets"]["digits"]
    digits.pop("extra")
    demo["generators"], demo["outliers"] = {}, {}
    for key in ("generators", "outliers", "assess"):
        demo.pop(key, None)
    demo["recipes"] = {"ce": demo["recipes"]["ce"]}
    demo["tables"] = {"t": demo["tables"]["demo-sio"] | {"recipes": ["ce"]}}
    demo["build"] = ["t"]
    digits["id"] = source
    digits["near"] = {"held": {"kind": "held-out-classes", "classes": list(names)}}
    digits["ood_validation"] = {"kind": "textures", "images": 9, "seed": 1}
    return demo


@pytest.mark.parametrize("split", ["", "train/", "Training/"])
def test_classes_held_out_are_folders_of_the_data(demo, tmp_path, split):
    for name in ("cat", "hat", "shoes", "e\u0301"):
        (tmp_path / "data" / f"{split}{name}").mkdir(parents=True)
        (tmp_path / "data" / (split and "test") / name).mkdir(parents=True, exist_ok=True)
    raw = held_out(demo, {"kind": "folders", "path": "data"}, "hat", "\u00e9")
    assert told(raw) == []
    raw["datasets"]["digits"]["id"]["except_classes"] = ["cats"]
    raw["datasets"]["digits"]["near"]["held"]["classes"] = ["hat", "shoe"]
    first, second = told(raw)
    assert first.startswith("datasets.digits.id.except_classes.0: no class is named 'cats'")
    assert second.startswith("datasets.digits.near.held.classes.1: no class is named 'shoe'")


def test_classes_held_out_are_labels_of_the_table(demo, tmp_path):
    (tmp_path / "t.csv").write_text("path,label\na.png,hat\nb.png,cat\nc.png,dog\n")
    raw = held_out(demo, {"kind": "manifest", "path": "t.csv"}, "hat", "hut")
    assert told(raw) == ["datasets.digits.id: a.png: not found, but named by t.csv (3 are missing)"]
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    assert told(raw) == [
        "datasets.digits.near.held.classes.1: no class is named 'hut'; did you mean 'hat'? (known: cat, dog, hat)"
    ]


def test_a_folder_of_weights_of_another_network_is_named(edited, tmp_path):
    network = {"name": "transformers/clip", "pretrained": "weights"}
    raw = edited({"recipes/own": {"network": network, "epochs": 1, "batch_size": 2, "learning_rate": 0.1}})
    (tmp_path / "weights").mkdir()
    assert told(raw)[0] == (
        "recipes.own.network.pretrained: weights: no config.json in it; transformers saves one by save_pretrained"
    )
    (tmp_path / "weights" / "config.json").write_text('{"model_type": "dinov2"}')
    assert "weights/config.json: of a network of type dinov2, not of clip; fix network.name" in told(raw)[0]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ({}, "1024 must be below 1024, the penultimate features of recipes.own"),
        ({"head": {"kind": "mlp", "width": 12}}, "1024 must be below 12, the penultimate features of recipes.own"),
    ],
)
def test_a_detector_wants_fewer_components_than_a_network_of_a_library_has(edited, head, expected):
    """Its features are counted by building it; a head that decides them is refused when the file is read."""
    network = {"name": "torchvision/shufflenet_v2_x0_5", "pretrained": __file__} | head
    vim = {"kind": "vim", "dimension": 1024}
    own = {"network": network, "epochs": 1, "batch_size": 2, "learning_rate": 0.1}
    raw = edited({"recipes/own": own, "detectors/vim": vim})
    # The demo's own networks have fewer features than that
    raw["tables"] = {"t": raw["tables"]["demo-sio"] | {"recipes": ["own"], "baselines": ["own"]}}
    raw["build"] = ["t"]
    if head:
        with pytest.raises(SynthoodError, match=f"detectors.vim.dimension: {expected}"):
            load(raw)
    else:
        assert told(raw) == [f"detectors.vim.dimension: {expected}"]
