"""DINOv2 and CLIP from folders that transformers saved: the same features, kept apart from their folder, and faults."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import (
    BitImageProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

import synthood
from command_lines import writing
from synthood.common.images import ImageSet, pixel_sha256, write_images
from synthood.common.iterate import ResumeFile
from synthood.data.files.decode import decode
from synthood.data.files.settings import Files
from synthood.data.raw import state_of_folder
from synthood.deploy.export import export, split_calibrated
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.predictor import features_of
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.features import Features, Reference
from synthood.training import backbone_features
from synthood.training.fit import train
from synthood.training.networks.architectures.base import OwnInputs, build
from synthood.training.networks.architectures.from_transformers import TransformersNetwork
from synthood.training.networks.frozen import open_features
from synthood.training.networks.model import Classifier
from synthood.training.networks.pretrained import initial, input_statistics, pretrained_digest
from synthood.training.settings import RecipeSettings, TrainSettings

CPU = torch.device("cpu")
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
KINDS = ["dinov2", "dinov2_with_registers", "clip"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each kind, saved by the library."""
    place = tmp_path_factory.mktemp("transformers")
    inputs = {"crop_size": {"height": 28, "width": 28}, "image_mean": MEAN, "image_std": STD}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dino = {**SIZES, "image_size": 42, "patch_size": 14}
        saved = {
            "dinov2": Dinov2Model(Dinov2Config(**dino)),
            "dinov2_with_registers": Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**dino)),
            "clip": CLIPModel(
                CLIPConfig(
                    text_config=CLIPTextConfig(
                        **SIZES, vocab_size=9, intermediate_size=8, bos_token_id=0, eos_token_id=1
                    ).to_dict(),
                    vision_config=CLIPVisionConfig(
                        **SIZES, intermediate_size=32, image_size=28, patch_size=7
                    ).to_dict(),
                    projection_dim=12,
                )
            ),
        }
        for name, model in saved.items():
            for key, value in model.state_dict().items():
                if "embedding" not in key and value.ndim:
                    value.add_(0.2 * torch.randn(value.shape))
            model.save_pretrained(place / name)
    BitImageProcessor(size={"shortest_edge": 32}, resample=3, **inputs).save_pretrained(place / "dinov2")
    BitImageProcessor(size={"shortest_edge": 28}, resample=2, **inputs).save_pretrained(place / "dinov2_with_registers")
    CLIPImageProcessor(size={"shortest_edge": 28}, **inputs).save_pretrained(place / "clip")
    return place


@pytest.fixture
def copied(folders: Path, tmp_path: Path) -> Path:
    """A copy of DINOv2's folder, to be spoilt."""
    return Path(shutil.copytree(folders / "dinov2", tmp_path / "folder"))


def settings(folder: Path, kind: str = "", **more: Any) -> TransformersNetwork:
    return TransformersNetwork.model_validate(
        {"name": f"transformers/{kind or folder.name}", "pretrained": str(folder)} | more
    )


def library(folder: Path) -> Any:
    """The library's own image encoder, by its features."""
    if folder.name == "clip":
        model = CLIPModel.from_pretrained(folder, local_files_only=True).eval().vision_model
        return lambda images: model(pixel_values=images, interpolate_pos_encoding=True).pooler_output
    cls = Dinov2Model if folder.name == "dinov2" else Dinov2WithRegistersModel
    model = cls.from_pretrained(folder, local_files_only=True).eval()
    return lambda images: model(pixel_values=images).last_hidden_state[:, 0]


def photo(width: int = 50, height: int = 40) -> Image.Image:
    """A smooth picture."""
    coarse = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("kind", KINDS)
def test_from_a_file_of_pixels_to_the_library_s_features(kind: str, folders: Path, tmp_path: Path) -> None:
    """The folder's processor on a photograph, and our preparation by its size, cut, interpolation, mean and std."""
    network = settings(folders / kind)
    own = network.own_inputs()
    assert own == OwnInputs(MEAN, STD, 28, 32 if kind == "dinov2" else 28, "bilinear" if "reg" in kind else "bicubic")
    photo(60).save(tmp_path / "photo.png")
    how = Files(path=".", size=own.side, resize=own.shorter, interpolation=own.interpolation)
    pixels = decode((tmp_path / "photo.png").read_bytes(), "photo", how)
    begun = initial(network, 3, seed=1).eval()
    classifier = Classifier(network.architecture, ["a", "b", "c"], own.mean, own.std, begun)
    ours = classifier.normalised(torch.from_numpy(pixels[None].copy()))
    processor = (CLIPImageProcessor if kind == "clip" else BitImageProcessor).from_pretrained(folders / kind)
    theirs = processor(images=photo(60), return_tensors="pt")["pixel_values"]
    assert float((ours - theirs).abs().max()) < 1.01 / 255 / min(STD)
    with torch.no_grad():
        torch.testing.assert_close(begun.features(ours), library(folders / kind)(ours))
        assert begun.features(ours).std() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_needs_no_folder(kind: str, folders: Path, tmp_path: Path) -> None:
    """And gives the same bits; its images are resized as the network's own were."""
    copy = shutil.copytree(folders / kind, tmp_path / "weights")
    network = settings(copy, kind, image_size=28)
    begun = initial(network, 3, seed=1).eval()
    Classifier(network.architecture, ["a", "b", "c"], MEAN, STD, begun).save(tmp_path / "model.safetensors")
    shutil.rmtree(copy)
    found = Classifier.load(tmp_path / "model.safetensors")
    assert found.settings.pretrained is None
    assert found.network.resize.interpolation == ("bilinear" if "reg" in kind else "bicubic")
    images = found.normalised(torch.from_numpy(np.asarray(photo())[None].copy()))
    with torch.no_grad():
        assert torch.equal(found.network(images), begun(images))


def test_without_weights_config_alone_builds_it() -> None:
    network = TransformersNetwork(name="transformers/dinov2", config=SIZES | {"image_size": 28, "patch_size": 7})
    made = build(network, 3, seed=2).eval()
    again = build(network, 3, seed=2).eval()
    images = torch.randn((2, 3, 28, 28), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(made(images), again(images))
    assert len(made.model.encoder.layer) == 2
    assert network.architecture.architecture == network.architecture
    assert network.architecture.config["mlp_ratio"] == 4
    assert network.own_inputs() is None
    assert pretrained_digest(network) is None


@pytest.mark.parametrize("kind", ["dinov2", "clip"])
def test_all_of_it_is_trained(kind: str, folders: Path, make_images: Any) -> None:
    recipe = {"network": {"name": f"transformers/{kind}", "pretrained": str(folders / kind)}, "optimizer": "adamw"}
    recipe |= {"epochs": 2, "batch_size": 8, "learning_rate": 0.001, "augmentation": {"flip": True}}
    given = TrainSettings(recipe=RecipeSettings.model_validate(recipe), precision="float32")
    sets = make_images(24, 0, side=28), make_images(9, 1, side=28)
    found, _, history = train(given, 0, *sets, None, CPU, ResumeFile(None, ""))
    begun, ended = initial(given.recipe.network, 3, 0).state_dict(), found.network.state_dict()
    assert history[0]["loss"] == pytest.approx(np.log(3), abs=0.1)
    assert all(not torch.equal(begun[key], ended[key]) for key in begun if key.endswith("weight"))
    assert found.mean == MEAN


def test_features_of_a_frozen_one_are_cached_and_a_head_learns(folders: Path, tmp_path: Path, make_images: Any) -> None:
    network = {"name": "transformers/dinov2", "pretrained": str(folders / "dinov2"), "freeze": "backbone"}
    for name, seed in (("train", 0), ("val", 1)):
        write_images(tmp_path / f"{name}.safetensors", make_images(24, seed, side=28))
        line = ["--settings", json.dumps({"network": network}), "--images", tmp_path / f"{name}.safetensors"]
        line += ["--train", tmp_path / "train.safetensors"]
        backbone_features.main([str(part) for part in [*line, *writing(backbone_features.main, [tmp_path / name])]])
    cached = open_features(tmp_path / "train")
    pixels = (torch.from_numpy(make_images(24, 0, side=28).images) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    with torch.no_grad():
        expected = library(folders / "dinov2")(pixels.permute(0, 3, 1, 2))
    np.testing.assert_allclose(cached.images[:, 0], expected, atol=1e-5)
    recipe = {"network": network, "epochs": 4, "batch_size": 8, "learning_rate": 0.01, "optimizer": "adamw"}
    given = TrainSettings(recipe=RecipeSettings.model_validate(recipe))
    found, _, history = train(given, 0, cached, open_features(tmp_path / "val"), None, CPU, ResumeFile(None, ""))
    assert history[-1]["loss"] < history[0]["loss"]
    state = initial(given.recipe.network, 3, 0).state_dict()
    assert all(
        torch.equal(value, state[key]) for key, value in found.network.state_dict().items() if "head." not in key
    )


def test_an_exported_detector_needs_no_folder_and_gives_the_same_bits(folders: Path, tmp_path: Path) -> None:
    """From files of photographs of another size, prepared by the network's own size, cut and interpolation."""
    copy = shutil.copytree(folders / "dinov2", tmp_path / "weights")
    network = settings(copy, "dinov2")
    own = network.own_inputs()
    assert own is not None
    begun = initial(network, 3, seed=1).eval()
    model = Classifier(network.architecture, ["a", "b", "c"], own.mean, own.std, begun)
    how = Files(path=".", size=own.side, resize=own.shorter, interpolation=own.interpolation)
    (tmp_path / "photos").mkdir()
    for index in range(24):
        photo(50 + index, 40).save(tmp_path / "photos" / f"{index:02}.png")
    files = sorted((tmp_path / "photos").iterdir())
    images = np.stack([decode(file.read_bytes(), file, how) for file in files])
    found = features_of(model, images, CPU)
    labels = torch.arange(24) % 3
    part = Features(found.logits, found.features, labels)
    head = begun.head
    score = Knn(k=2).fit(Reference(part, part, head.weight.detach(), head.bias.detach()))
    size = Preprocessing(own.side, own.side, own.shorter, interpolation=own.interpolation)
    export(tmp_path / "detector", model, split_calibrated(score, part), size, (0.1,), digests=pixel_sha256(images))
    shutil.rmtree(copy)
    facts = json.loads((tmp_path / "detector" / "detector.json").read_text())["preprocessing"]
    assert facts == {
        "height": 28,
        "width": 28,
        "resize": 32,
        "interpolation": "bicubic",
        "apply_exif_rotation": True,
        "bits": None,
    }
    table = synthood.load(tmp_path / "detector").predict(tmp_path / "photos")
    np.testing.assert_array_equal(table["confidence"].to_numpy(np.float64), score.score(part).double().numpy())
    np.testing.assert_array_equal(
        table["probability"].to_numpy(np.float64), found.logits.softmax(1).amax(1).double().numpy()
    )


def test_what_differs_from_the_network_s_own_images_is_reported(folders: Path, make_images: Any) -> None:
    lines: list[str] = []
    images = make_images(4, 0, side=28).images
    input_statistics(settings(folders / "clip"), images, lines.append)
    assert lines == [f"inputs are normalised as the pretrained network expects: mean {MEAN}, std {STD}"]
    input_statistics(settings(folders / "dinov2", image_size=42), images, lines.append)
    assert lines[-1] == (
        "the pretrained network has seen 28x28 px, the centre of a shorter side of 32 px, bicubic; these are 28x28 px, "
        "resized to 42 px in the network, bicubic"
    )
    facts = ImageSet.out_of_distribution(images).facts
    assert facts is None


def test_its_files_decide_the_digest_and_the_state(copied: Path) -> None:
    network = settings(copied, "dinov2")
    names = ("config.json", "model.safetensors", "preprocessor_config.json")
    text = "".join(f"{name} {hashlib.sha256((copied / name).read_bytes()).hexdigest()}\n" for name in names)
    assert pretrained_digest(network) == hashlib.sha256(text.encode()).hexdigest()
    before = state_of_folder(copied, copied / "made")
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-5}))
    assert state_of_folder(copied, copied / "made") != before
    assert pretrained_digest(network) != hashlib.sha256(text.encode()).hexdigest()
    digest = hashlib.sha256((copied / "model.safetensors").read_bytes()).hexdigest()
    assert initial(settings(copied, "dinov2", sha256=digest), 3, 0)
    with pytest.raises(SynthoodError, match=rf"model\.safetensors: has SHA-256 {digest}, not `sha256` 0000"):
        initial(settings(copied, "dinov2", sha256="0" * 64), 3, 0)


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def changed(name: str, **more: Any) -> Callable[[Path], object]:
    """Keys of a JSON file set, or taken away (None)."""

    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text()) | more
        content = {key: value for key, value in content.items() if value is not None}
        (folder / name).write_text(json.dumps(content))

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], object]:
    def changed_file(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    return changed_file


INPUTS = "preprocessor_config.json"
FAULTS: list[tuple[Callable[[Path], object], str]] = [
    (shutil.rmtree, "folder: no such folder; `pretrained` of transformers/dinov2 is one"),
    (without("config.json"), r"folder: no config\.json in it; transformers saves one"),
    (without(INPUTS), r"folder: no preprocessor_config\.json in it"),
    (without("model.safetensors"), r"folder: no model\.safetensors in it; save it by transformers"),
    (pickled, r"no model\.safetensors in it; pytorch_model\.bin is a pickle, which is not read; save it"),
    (lambda folder: (folder / "modeling.py").touch(), r"modeling\.py': code, which weights do not need"),
    (changed("config.json", auto_map={"AutoModel": "x.Y"}), "auto_map asks for code"),
    (changed("config.json", model_type="resnet"), r"config\.json: of a network of type resnet, not of dinov2; fix net"),
    (lambda folder: (folder / "config.json").write_text("{"), r"config\.json': not readable JSON"),
    (changed("config.json", hidden_size="x"), r"config\.json: transformers refuses it \("),
    (changed("config.json", num_channels=4), r"config\.json: expected num_channels 3 and whole image_size"),
    (changed(INPUTS, image_mean=None), r"preprocessor_config\.json: does not say 'image_mean' as transformers does"),
    (changed(INPUTS, image_std=[0.0, 1.0, 1.0]), r"expected three means and deviations of pixels in \[0,1\]"),
    (changed(INPUTS, rescale_factor=1.0), r"expected three means and deviations of pixels in \[0,1\]"),
    (
        changed("config.json", num_hidden_layers=3),
        r"weights that do not fit its config\.json \(missing encoder\.layer\.2",
    ),
    (
        changed("config.json", num_hidden_layers=1),
        r"weights that do not fit its config\.json \(unknown encoder\.layer\.1",
    ),
    (changed("config.json", hidden_size=32), "folder: weights that do not fit"),
    (weights(lambda state: state.pop("layernorm.bias")), r"\(missing layernorm\.bias\)"),
    (weights(lambda state: state["layernorm.bias"].fill_(torch.nan)), "not finite"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 50), "folder: weights that do not fit"),
]


@pytest.mark.parametrize(("spoil", "message"), FAULTS, ids=[message[:40] for _, message in FAULTS])
def test_what_is_wrong_with_a_folder_is_one_sentence(
    spoil: Callable[[Path], object], message: str, copied: Path
) -> None:
    spoil(copied)
    with pytest.raises(SynthoodError, match=message) as error:
        initial(settings(copied, "dinov2"), 3, 0)
    assert "\n" not in str(error.value)


def test_a_classifier_that_the_library_saved_gives_its_encoder(copied: Path) -> None:
    """Its last layer, of tokens and their mean, plays no part."""
    Dinov2ForImageClassification.from_pretrained(copied, num_labels=5).save_pretrained(copied)
    found = initial(settings(copied, "dinov2"), 3, 0).eval()
    images = torch.randn((1, 3, 28, 28), generator=torch.Generator().manual_seed(0))
    expected = Dinov2Model.from_pretrained(copied).eval()(pixel_values=images).pooler_output
    torch.testing.assert_close(found.features(images), expected)


def test_weights_in_several_files_are_put_together(copied: Path) -> None:
    whole = initial(settings(copied, "dinov2"), 3, 0).state_dict()
    model = Dinov2Model.from_pretrained(copied)
    (copied / "model.safetensors").unlink()
    model.save_pretrained(copied, max_shard_size="8KB")
    assert len(list(copied.glob("*.safetensors"))) > 1
    found = initial(settings(copied, "dinov2"), 3, 0).state_dict()
    assert all(torch.equal(value, found[key]) for key, value in whole.items())
    with pytest.raises(SynthoodError, match=r"sha256 is of model\.safetensors, but the weights are in several files"):
        initial(settings(copied, "dinov2", sha256="0" * 64), 3, 0)


def test_sides_that_patches_do_not_cover_are_refused(folders: Path) -> None:
    network = settings(folders / "dinov2")
    begun = initial(network, 3, 0)
    with pytest.raises(
        SynthoodError, match=r"multiples of 14 pixels, got 32 x 32; set network\.image_size, such as 28"
    ):
        begun.features(torch.zeros(1, 3, 32, 32))
    with pytest.raises(SynthoodError, match="multiples of 14 pixels, got 28 x 30"):
        network.check(begun, 28, 30)
    settings(folders / "dinov2", image_size=42).check(begun, 32, 32)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": "transformers/resnet"}, "Input should be 'transformers/dinov2'"),
        ({"config": {"hidden_size": 8}, "pretrained": "a"}, "config is that of the folder in `pretrained`"),
        ({"config": {"hiden_size": 8}}, r"config\.hiden_size: no key that decides the network; did you mean 'hidden_s"),
        ({"freeze": "backbone"}, "freeze needs weights that are worth keeping"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TransformersNetwork.model_validate({"name": "transformers/dinov2"} | more)
