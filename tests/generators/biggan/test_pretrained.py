"""BigGANs of ImageNet's classes: folders as the package saves them, whole or broken."""

import json
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_pretrained_biggan import BigGAN, BigGANConfig
from pytorch_pretrained_biggan.model import CONFIG_NAME, WEIGHTS_NAME

from synthood.common.identity import sha256
from synthood.errors import SynthoodError
from synthood.generators.biggan import imagenet
from synthood.generators.biggan import network as biggan
from synthood.generators.biggan import pretrained as pretrained_biggan
from synthood.generators.biggan.settings import Pretrained
from synthood.generators.block_settings import BlockSettings
from synthood.generators.folder import Description
from synthood.generators.kinds.biggan import generator_classes
from synthood.generators.synthesise import synthesise

KING_PENGUIN, TENCH, BEAGLE = "n02056570", "n01440764", "n02088364"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network of a thousand classes in the published format, with 51 rows of statistics."""
    folder = tmp_path_factory.mktemp("biggan-deep-16")
    torch.manual_seed(0)
    config = BigGANConfig(
        output_dim=16, z_dim=8, class_embed_dim=8, channel_width=8, num_classes=1000,
        layers=[(True, 4, 2), (True, 2, 1)], attention_layer_position=1, n_stats=51,
    )  # fmt: skip
    config.layers = [(True, 16, 8), (True, 8, 4), (False, 4, 4), (False, 4, 2), (False, 2, 1)]
    config.attention_layer_position = 3
    network = BigGAN(config)
    torch.nn.init.ones_(network.generator.bn.weight)
    torch.nn.init.zeros_(network.generator.bn.bias)
    for row, layer in enumerate(biggan.batch_norms(network)):
        layer.running_means.normal_(0, 0.1, generator=torch.Generator().manual_seed(row))
        layer.running_vars.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(row))
    with torch.no_grad():
        for _ in range(3):
            network(torch.zeros(2, 8), torch.eye(1000)[:2], 1.0)
    (folder / CONFIG_NAME).write_text(network.eval().config.to_json_string())
    torch.save(network.state_dict(), folder / WEIGHTS_NAME)
    return folder


def pretrained(folder: str, **more: Any) -> Pretrained:
    return Pretrained.model_validate({"from": folder} | more)


def changed(published: Path, folder: Path, **config: Any) -> Path:
    """A copy whose configuration differs."""
    folder.mkdir()
    values = json.loads((published / CONFIG_NAME).read_text()) | config
    (folder / CONFIG_NAME).write_text(json.dumps(values))
    (folder / WEIGHTS_NAME).write_bytes((published / WEIGHTS_NAME).read_bytes())
    return folder


def test_adopted_network_samples_as_the_package_does(published: Path, tmp_path: Path) -> None:
    settings = pretrained(str(published), class_ids={"penguin": [KING_PENGUIN], "dog": [BEAGLE, 151]})
    pretrained_biggan.adopt(settings, ["penguin", "dog"], 16, tmp_path / "made")
    described = Description.read(tmp_path / "made")
    digest = sha256(published / WEIGHTS_NAME)
    assert described.source == {"from": str(published), "sha256": digest, "resolution": 16}
    assert described.class_ids == [[145], [162, 151]]
    theirs = BigGAN.from_pretrained(str(published)).eval()
    noise = biggan.truncated_normal((1, 8), torch.Generator().manual_seed(5)) * 0.5
    with torch.no_grad():
        expected = theirs(noise, torch.eye(1000)[[162]], 0.5)[0].permute(1, 2, 0)
    found = biggan.sample(biggan.load(tmp_path / "made"), torch.tensor([162]), [5], 0.5)[0]
    assert np.abs(found.numpy() - (expected.numpy().clip(-1, 1) + 1) * 127.5).max() <= 0.51


def test_blocks_have_the_id_images_side_and_labels(published: Path, tmp_path: Path) -> None:
    settings = pretrained(str(published))
    pretrained_biggan.adopt(settings, [TENCH, BEAGLE], 12, tmp_path / "made")
    values = {"generator": {"kind": "biggan", "sample": {"truncation": 0.4}}, "block": 0, "block_size": 4, "count": 4}
    made = synthesise(tmp_path / "made", BlockSettings.parse(json.dumps(values)))
    assert made.images.shape == (4, 12, 12, 3)
    assert made.labels.tolist() == [0, 1, 0, 1]
    assert made.classes == [TENCH, BEAGLE]


def test_the_seed_chooses_among_a_classs_ids() -> None:
    assert generator_classes([[7], [3, 5, 9]], [0, 1, 1, 1], [4, 6, 7, 8]) == [7, 3, 5, 9]
    assert generator_classes([], [1, 0], [1, 2]) == [1, 0]


@pytest.mark.parametrize("truncation", [0.14, 0.28, 0.56, 0.58, 0.94])
def test_truncations_that_the_package_rounds_off_their_row_hit_it(truncation: float) -> None:
    rows = torch.arange(51.0)[:, None]
    assert biggan.interpolated(rows, truncation).item() == round(truncation * 50)


def test_statistics_between_rows_are_nearer_to_the_nearer_row() -> None:
    rows = torch.tensor([[0.0], [10.0], [20.0]])
    assert biggan.interpolated(rows, 0.55).item() == pytest.approx(11)
    assert biggan.interpolated(rows, 1.0).item() == 20
    rows[0] = torch.nan
    assert biggan.interpolated(rows, 0.5).item() == 10


def test_stored_statistics_are_put_back(published: Path) -> None:
    network = biggan.load(published)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    biggan.sample(network, torch.tensor([0]), [1], 0.33)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert biggan.batch_norms(network)[0].step_size == 1 / 50


def test_weights_as_old_versions_of_torch_stored_them(published: Path, tmp_path: Path) -> None:
    """With the normalised weight and without `weight_v`, which follows from it."""
    folder = changed(published, tmp_path / "old")
    network, state = biggan.load(published), torch.load(published / WEIGHTS_NAME, weights_only=True)
    biggan.sample(network, torch.tensor([3]), [1], 1.0)
    old = {key: value for key, value in state.items() if not key.endswith("_v")}
    for key in state:
        if key.endswith("weight_orig"):
            module = network.get_submodule(key.removesuffix(".weight_orig"))
            old[key.removesuffix("_orig")] = module.weight.detach()
    torch.save(old, folder / WEIGHTS_NAME)
    images = [biggan.sample(one, torch.tensor([3]), [1], 1.0).int() for one in (network, biggan.load(folder))]
    assert (images[0] - images[1]).abs().max() <= 1


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run",))


def test_a_pickle_with_code_is_not_run(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = changed(published, tmp_path / "evil")
    torch.save({"weight": Evil()}, folder / WEIGHTS_NAME)
    with pytest.raises(SynthoodError, match=f"{WEIGHTS_NAME}: holds more than weights .*which is not read"):
        biggan.load(folder)
    (folder / WEIGHTS_NAME).write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(SynthoodError, match=WEIGHTS_NAME):
        biggan.load(folder)
    assert "run" not in capsys.readouterr().out.split()


def test_corrupt_weights_are_named(published: Path, tmp_path: Path) -> None:
    folder = changed(published, tmp_path / "cut")
    (folder / WEIGHTS_NAME).write_bytes((published / WEIGHTS_NAME).read_bytes()[:5000])
    with pytest.raises(SynthoodError, match=f"{WEIGHTS_NAME}: is cut short or damaged"):
        biggan.load(folder)
    state = torch.load(published / WEIGHTS_NAME, weights_only=True)
    state["embeddings.weight"][0, 0] = torch.nan
    torch.save(state, folder / WEIGHTS_NAME)
    with pytest.raises(SynthoodError, match=r"embeddings\.weight is not finite"):
        biggan.load(folder)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match=f"{CONFIG_NAME}: not found; give a folder with {CONFIG_NAME}"):
        pretrained_biggan.files_of(str(tmp_path / "nowhere"))


def test_a_configuration_of_another_resolution_is_an_error(published: Path, tmp_path: Path) -> None:
    """Once the configuration alone is at odds with itself, once with the weights."""
    with pytest.raises(SynthoodError, match="output_dim is 128, but its layers make 16 pixels"):
        biggan.load(changed(published, tmp_path / "side", output_dim=128))
    with pytest.raises(SynthoodError, match="the two belong to networks of different resolution or width"):
        biggan.load(changed(published, tmp_path / "width", channel_width=16))
    folder = changed(published, tmp_path / "text")
    (folder / CONFIG_NAME).write_text("no json")
    with pytest.raises(SynthoodError, match=f"{CONFIG_NAME}: not a configuration of pytorch-pretrained-biggan"):
        biggan.load(folder)


def test_another_digest_is_an_error(published: Path, tmp_path: Path) -> None:
    settings = pretrained(str(published), sha256="0" * 64)
    with pytest.raises(SynthoodError, match=rf"SHA-256 {sha256(published / WEIGHTS_NAME)}, the configuration says 000"):
        pretrained_biggan.adopt(settings, [TENCH, BEAGLE], 16, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_more_classes_than_the_network_has_are_an_error(tmp_path: Path) -> None:
    network = biggan.build(3, 4, 8, seed=0)
    (tmp_path / "few").mkdir()
    biggan.save(network, tmp_path / "few")
    settings = pretrained(str(tmp_path / "few"), class_ids={"a": [1], "b": [3]})
    with pytest.raises(SynthoodError, match="3 classes, but class 3 is asked for"):
        pretrained_biggan.adopt(settings, ["a", "b"], 32, tmp_path / "made")


def test_a_download_without_network_names_the_folder_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise OSError("no route")

    monkeypatch.setattr("pytorch_pretrained_biggan.file_utils.cached_path", no_network)
    with pytest.raises(SynthoodError, match=r"biggan-deep-128 cannot be downloaded \(OSError\); put config\.json and"):
        pretrained_biggan.files_of("biggan-deep-128")


def test_a_download_goes_through_the_packages_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytorch_pretrained_biggan.file_utils.cached_path", lambda url: f"cache/{Path(url).name}")
    found = [str(path) for path in pretrained_biggan.files_of("biggan-deep-256")]
    assert found == ["cache/biggan-deep-256-config.json", "cache/biggan-deep-256-pytorch_model.bin"]


def test_wordnet_ids_are_imagenets_in_order() -> None:
    names = imagenet.class_numbers()
    assert list(names.values()) == list(range(1000))
    assert list(names) == sorted(names)
    # Tench, beagle, king penguin, toilet tissue: as published lists number them.
    known = {TENCH: 0, BEAGLE: 162, KING_PENGUIN: 145, "n15075141": 999}
    assert {name: names[name] for name in known} == known


def test_wordnet_ids_are_timms() -> None:
    if (found := find_spec("timm")) is None or found.origin is None:
        pytest.skip("timm is not installed")
    listed = Path(found.origin).parent / "data" / "_info" / "imagenet_synsets.txt"
    assert listed.read_text().split() == list(imagenet.class_numbers())


@pytest.mark.parametrize(
    ("classes", "chosen", "told"),
    [
        (["cat"], {}, "'cat' is not there and is no WordNet id of ImageNet-1k; name its ids"),
        (["cat"], {"cat": ["n00000000"]}, "class_ids.cat: n00000000 is no class of ImageNet-1k"),
        (["cat"], {"cat": [281], "dog": [151]}, "'dog' is no ID class; these are cat"),
    ],
)
def test_class_ids_that_do_not_fit_are_an_error(classes: list[str], chosen: dict[str, Any], told: str) -> None:
    with pytest.raises(SynthoodError, match=told):
        imagenet.class_ids(classes, chosen)
