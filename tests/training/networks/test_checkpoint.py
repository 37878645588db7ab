"""State dicts of other code: renamed, checked, and the same function afterwards."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from command_lines import writing
from synthood.common.artefact import read_provenance
from synthood.common.images import ImageSet, write_images
from synthood.common.tensors import read_tensors
from synthood.errors import SynthoodError
from synthood.training import import_checkpoint
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import BLOCKS, Network
from synthood.training.networks.checkpoint import imported
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.networks.heads.standardised import StandardisedHead
from synthood.training.networks.import_settings import ImportSettings
from synthood.training.networks.model import Classifier

CLASSES = ["cat", "dog", "owl"]
MEAN, DEVIATION = [0.1, 0.2, 0.3], [0.5, 0.25, 1.0]
PADDED, PROJECTED = Network(name="resnet8", width=8, shortcut="padded"), Network(name="resnet14", width=8)


def foreign(network: Network, head: str = "linear", prefix: str = "", shortcut: str = "shortcut") -> dict[str, Tensor]:
    """A state with random statistics and the keys that ResNets outside bear."""
    made, random = build(network, len(CLASSES), seed=3), torch.Generator().manual_seed(0)
    blocks, state = BLOCKS[network.name], {}
    names = {"convolution1": "conv1", "norm1": "bn1", "convolution2": "conv2", "norm2": "bn2", "shortcut": shortcut}
    places = [f"layer{stage + 1}.{index}" for stage, count in enumerate(blocks) for index in range(count)]
    for key, value in made.state_dict().items():
        first, *rest = key.split(".")
        if first == "stages":
            key = ".".join([places[int(rest[0])], names[rest[1]], *rest[2:]])
        elif first == "stem":
            key = ".".join([["conv1", "bn1"][int(rest[0])], *rest[1:]])
        else:
            key = ".".join([head, *rest])
        random_value = 0.5 + torch.rand(value.shape, generator=random)
        state[prefix + key] = random_value * 0.3 if value.is_floating_point() else value
    return state


def recipe(path: Path, network: Network) -> CheckpointRecipe:
    return CheckpointRecipe(kind="checkpoint", path=str(path), network=network, mean=MEAN, std=DEVIATION)


def outside(state: dict[str, Tensor], x: Tensor, blocks: list[int], shortcut: str) -> Tensor:
    """The network of a state, by the functions of torch alone."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (
            state[f"{name}.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    x = norm(F.conv2d(x, state["conv1.weight"], padding=1), "bn1").relu()
    for stage, count in enumerate(blocks):
        for index in range(count):
            name, stride = f"layer{stage + 1}.{index}", 2 if stage and not index else 1
            out = norm(F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1), f"{name}.bn1").relu()
            out = norm(F.conv2d(out, state[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
            if f"{name}.{shortcut}.0.weight" in state:
                x = norm(F.conv2d(x, state[f"{name}.{shortcut}.0.weight"], stride=stride), f"{name}.{shortcut}.1")
            elif stride == 2:
                padded = torch.zeros_like(out)
                quarter = out.shape[1] // 4
                padded[:, quarter : 3 * quarter] = x[:, :, ::2, ::2]
                x = padded
            x = (out + x).relu()
    head = "fc" if "fc.weight" in state else "linear"
    return x.mean((2, 3)) @ state[f"{head}.weight"].T + state[f"{head}.bias"]


@pytest.mark.parametrize(
    ("network", "head", "shortcut"),
    [
        (PADDED, "linear", "shortcut"),
        (PROJECTED, "linear", "shortcut"),
        (PROJECTED, "fc", "downsample"),
        (Network(name="resnet18", width=8), "fc", "shortcut"),  # OpenOOD's keys
    ],
)
def test_it_computes_what_the_other_code_does(network: Network, head: str, shortcut: str, tmp_path: Path) -> None:
    state = foreign(network, head, shortcut=shortcut)
    torch.save(state, tmp_path / "a.pt")
    found = imported(recipe(tmp_path / "a.pt", network), CLASSES)
    assert (found.classes, found.mean, found.deviation) == (CLASSES, MEAN, DEVIATION)
    images = torch.randn((4, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    expected = outside(state, images, BLOCKS[network.name], shortcut)
    assert expected.std() > 0
    with torch.no_grad():
        torch.testing.assert_close(found.network(images), expected, rtol=1e-4, atol=1e-4)


def test_a_network_of_standardised_features_is_read_by_openoods_keys(tmp_path: Path) -> None:
    """As ASCOOD's code saves it: below `backbone`, with a number `sigma`."""
    plain, settings = Network(name="resnet18", width=8), StandardisedHead(scale=0.5)
    state = foreign(plain, "fc", prefix="backbone.") | {"sigma": torch.tensor(0.5)}
    torch.save(state, tmp_path / "a.pt")
    there = recipe(tmp_path / "a.pt", plain.model_copy(update={"head": settings}))
    found = imported(there.model_copy(update={"ignore": ["sigma"]}), CLASSES)
    torch.save(foreign(plain, "fc"), tmp_path / "b.pt")
    other = imported(recipe(tmp_path / "b.pt", plain), CLASSES).network.eval()
    images = torch.randn((4, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = other.features(images)
        z_scores = 0.5 * (features - features.mean(1, keepdim=True)) / features.std(1, keepdim=True)
        torch.testing.assert_close(found.network.eval()(images), other.head(z_scores), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["state_dict", "module.", "safetensors", "half", "without counters", "legacy"])
def test_containers_prefixes_and_formats_make_no_difference(form: str, tmp_path: Path) -> None:
    state = foreign(PADDED)
    torch.save(state, tmp_path / "plain.pt")
    expected = imported(recipe(tmp_path / "plain.pt", PADDED), CLASSES).network.state_dict()
    path = tmp_path / ("a.safetensors" if form == "safetensors" else "a.pt")
    if form == "safetensors":
        save_file(state, path)
    elif form == "legacy":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        prefix = "module." if form in ("module.", "state_dict") else ""
        kept = {prefix + k: v for k, v in state.items() if form != "without counters" or "tracked" not in k}
        kept = {k: v.half() if form == "half" and v.is_floating_point() else v for k, v in kept.items()}
        torch.save({"state_dict": kept, "best": 91.7} if form == "state_dict" else kept, path)
    found = imported(recipe(path, PADDED), CLASSES).network.state_dict()
    assert found.keys() == expected.keys()
    tolerance = 1e-3 if form == "half" else 0
    for key, value in found.items():
        assert value.dtype == expected[key].dtype
        torch.testing.assert_close(value, expected[key], rtol=tolerance, atol=tolerance)


def test_files_of_our_own_are_read_too(tmp_path: Path) -> None:
    network = build(PROJECTED, len(CLASSES), seed=1)
    Classifier(PROJECTED, CLASSES, MEAN, DEVIATION, network).save(tmp_path / "model.safetensors")
    found = imported(recipe(tmp_path / "model.safetensors", PROJECTED), CLASSES).network.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", r"do not fit `network`: missing head\.bias \(see"),
        ("unknown", r"do not fit `network`: unknown extra\.weight \(see"),
        ("projected", r"missing stages\.1\.shortcut\.0\.weight, .* and 6 more \(see"),
        ("classes", r"linear\.weight has shape \[3, 32\], the network's \[4, 32\]; fix network\.name"),
        ("width", r"has shape \[\d+.*\], the network's \[\d+"),
        ("not finite", r"linear\.bias is not finite"),
    ],
)
def test_a_state_that_does_not_fit_is_told(change: str, message: str, tmp_path: Path) -> None:
    state, network, classes = foreign(PADDED), PADDED, CLASSES
    if change == "missing":
        del state["linear.bias"]
    elif change == "unknown":
        state["extra.weight"] = torch.zeros(1)
    elif change == "projected":
        network = Network(name="resnet8", width=8)
    elif change == "classes":
        classes = [*CLASSES, "yak"]
    elif change == "width":
        network = Network(name="resnet8", width=16, shortcut="padded")
    else:
        state["linear.bias"][1] = float("nan")
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(SynthoodError, match=message):
        imported(recipe(tmp_path / "a.pt", network), classes)


class Touch:
    """What a pickle can do when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [True, False])
def test_nothing_in_a_checkpoint_is_run(legacy: bool, tmp_path: Path) -> None:
    content = {"state_dict": foreign(PADDED), "extra": Touch(tmp_path / "touched")}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(SynthoodError, match=r"a\.pt: holds more than weights.*save its state_dict alone"):
        imported(recipe(tmp_path / "a.pt", PADDED), CLASSES)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pt", b"no checkpoint", r"a\.pt: "),
        ("a.pt", b"", r"a\.pt: "),
        ("a.safetensors", b"no checkpoint", r"not a readable checkpoint"),
        ("a.pt", pickle.dumps([1, 2], protocol=2), r"a\.pt: "),
    ],
)
def test_other_files_are_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SynthoodError, match=message):
        imported(recipe(tmp_path / name, PADDED), CLASSES)


@pytest.mark.parametrize(("content", "message"), [([1], "no state dict"), ({"a": 1}, "no state dict")])
def test_other_contents_are_refused(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(SynthoodError, match=message):
        imported(recipe(tmp_path / "a.pt", PADDED), CLASSES)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("a.pt", "a.safetensors"):
        with pytest.raises(SynthoodError, match=rf"{name}: not found; paths start where snakemake runs"):
            imported(recipe(tmp_path / name, PADDED), CLASSES)


@pytest.mark.parametrize(
    ("path", "of_seed_2"), [("a.pt", "a.pt"), ("s{seed}/a.pt", "s2/a.pt"), ("{seed}{seed}", "22"), ("a%d.pt", "a%d.pt")]
)
def test_the_seed_is_filled_in(path: str, of_seed_2: str) -> None:
    assert recipe(Path(path), PADDED).of_seed(2).path == of_seed_2


def test_other_braces_are_refused() -> None:
    with pytest.raises(ValueError, match=r"braces around something else than {seed}"):
        recipe(Path("{sed}.pt"), PADDED)


def test_the_stage_writes_what_train_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    state = foreign(PADDED)
    state["linear.weight"] *= 0
    state["linear.bias"] = torch.tensor([0.0, 5.0, 0.0])
    torch.save(state, tmp_path / "a.pt")
    pixels = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), dtype=np.uint8)
    write_images(tmp_path / "val", ImageSet(pixels, np.array([1, 1, 1, 0]), CLASSES))
    outputs = [tmp_path / name for name in ("model.safetensors", "history.csv", "heads.safetensors")]
    settings = ImportSettings(recipe=recipe(tmp_path / "a.pt", PADDED)).canonical()
    words = ["--settings", settings, "--val", str(tmp_path / "val")]
    import_checkpoint.main([*words, "--raw", "abc", *writing(import_checkpoint.main, outputs)])
    assert "validation accuracy 0.7500" in capsys.readouterr().out
    model = Classifier.load(outputs[0])
    assert (model.classes, model.mean, model.settings) == (CLASSES, MEAN, PADDED)
    assert read_provenance(outputs[0])["weights_sha256"] == hashlib.sha256((tmp_path / "a.pt").read_bytes()).hexdigest()
    assert outputs[1].read_text() == "epoch,learning_rate,loss,accuracy,val_accuracy\n"
    assert read_tensors(outputs[2]) == ({}, {"terms": []})


def random_state(other: nn.Module) -> dict[str, Tensor]:
    """The keys of a network outside, with random statistics."""
    random = torch.Generator().manual_seed(2)
    return {
        key: 0.3 * (0.5 + torch.rand(value.shape, generator=random)) if value.is_floating_point() else value
        for key, value in other.state_dict().items()
    }


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvisions_networks_are_read_by_their_keys(name: str, tmp_path: Path) -> None:
    other = getattr(torchvision.models, name)(weights=None, num_classes=3).eval()
    state = random_state(other)
    for key, value in state.items():
        if key.endswith("weight") and value.ndim == 4:
            state[key] = value / value[0].numel() * 4
    other.load_state_dict(state)
    torch.save(state, tmp_path / "a.pt")
    settings = Network.model_validate({"name": name, "width": 64, "stem": 224})
    found = imported(recipe(tmp_path / "a.pt", settings), CLASSES).network
    images = torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = other(images)
        assert expected.std() > 0
        torch.testing.assert_close(found(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "blocks"), [("wrn-40-2", 6), ("wrn-28-10", 4)])
def test_public_wide_networks_are_read_by_their_keys(name: str, blocks: int, tmp_path: Path) -> None:
    """Those of the public code are `block1.layer.0.bn1` and so on, and `bn1` is after the blocks."""
    settings = Network.model_validate({"name": name, "width": 8})
    made = build(settings, len(CLASSES), seed=3)
    parts = {
        "norm1": "bn1",
        "convolution1": "conv1",
        "norm2": "bn2",
        "convolution2": "conv2",
        "projection": "convShortcut",
    }
    state, ours = {}, random_state(made)
    for key, value in ours.items():
        first, *rest = key.split(".")
        if first == "stages" and int(rest[0]) < 3 * blocks:
            stage, index = divmod(int(rest[0]), blocks)
            key = ".".join([f"block{stage + 1}.layer.{index}", parts[rest[1]], *rest[2:]])
        elif first == "stages":
            key = ".".join(["bn1", *rest[1:]])
        else:
            key = ".".join([{"stem": "conv1", "head": "fc"}[first], rest[-1]])
        state[key] = value
    assert {"conv1.weight", "block2.layer.0.convShortcut.weight", "bn1.running_var", "fc.bias"} <= state.keys()
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "a.pt")
    found = imported(recipe(tmp_path / "a.pt", settings), CLASSES).network.state_dict()
    assert all(torch.equal(found[key], value) for key, value in ours.items())


def test_another_digest_is_told(tmp_path: Path) -> None:
    torch.save(foreign(PADDED), tmp_path / "a.pt")
    digest = hashlib.sha256((tmp_path / "a.pt").read_bytes()).hexdigest()
    right = recipe(tmp_path / "a.pt", PADDED).model_copy(update={"sha256": digest})
    imported(right, CLASSES)
    with pytest.raises(SynthoodError, match=rf"a\.pt: has SHA-256 {digest}, not `sha256` ffff"):
        imported(right.model_copy(update={"sha256": "f" * 64}), CLASSES)
