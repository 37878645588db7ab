"""Pretrained checkpoints in small folders that the library itself saved: found, checked, described, adapted."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from synthood.common.identity import sha256
from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.errors import SynthoodError
from synthood.generators.block_settings import BlockSettings
from synthood.generators.diffusion import adaptation, pipelines, prompt_tokens, weights
from synthood.generators.diffusion import sampling as diffusion_sampling
from synthood.generators.diffusion.samplers.dpm_solver import FastSample
from synthood.generators.diffusion.settings import Adaptation, LoRA, Pretrained
from synthood.generators.folder import Description
from synthood.generators.kinds.fitting import FitTask
from synthood.generators.kinds.stable_diffusion import StableDiffusionFitting
from synthood.generators.synthesise import synthesise
from toy_checkpoints import stable_diffusion_1, stable_diffusion_xl

CPU = torch.device("cpu")
NO_RESUME = ResumeFile(None, "")
CLASSES = ["cat", "ice_cream"]
PROMPTS = ["a photo of the cat", "a photo of the ice cream"]
FAST = FastSample(sampler="fast", steps=2, batch_size=2)
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "sd"
    stable_diffusion_1().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA as LCM-LoRA comes: one file in a folder."""
    folder = tmp_path_factory.mktemp("lora") / "lcm"
    pipeline = stable_diffusion_1()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        pipeline.unet.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q"], init_lora_weights=False))
    state = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.unet))
    pipeline.save_lora_weights(folder, unet_lora_layers=state)
    return folder


@pytest.fixture(scope="module")
def train() -> ImageSet:
    labels = np.arange(6, dtype=np.int64) % 2
    noise = np.random.default_rng(0).integers(0, 60, (6, 12, 12, 3))
    return ImageSet((noise + 180 * labels[:, None, None, None]).astype(np.uint8), labels, CLASSES)


@pytest.fixture
def copied(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def fitting(source: Path, more: dict[str, Any] | None = None, **pretrained: Any) -> StableDiffusionFitting:
    made = Pretrained.model_validate({"from": str(source), "prompt": "a photo of the {word}", **pretrained})
    return StableDiffusionFitting(kind="stable-diffusion", pretrained=made, **(more or {}))


def set_up(train: ImageSet, settings: StableDiffusionFitting, folder: Path, resume: ResumeFile = NO_RESUME) -> Path:
    settings.fit_generator(FitTask(train, folder, torch.float32, CPU, resume))
    return folder


def sampled(pipeline: StableDiffusionPipeline, prompts: list[str] = PROMPTS) -> Tensor:
    return diffusion_sampling.sample(pipeline, prompts, [1, 2], FAST).int()


def test_a_folder_is_described_not_copied(checkpoint: Path, train: ImageSet, tmp_path: Path) -> None:
    made = set_up(train, fitting(checkpoint), tmp_path / "sd")
    assert [file.name for file in made.iterdir()] == ["synthood.json"]
    description = Description.read(made)
    assert description.words == ["cat", "ice cream"]
    assert description.image_size == [12, 12]
    files = description.source["files"]
    assert files[UNET] == sha256(checkpoint / UNET)
    assert {Path(name).parts[0] for name in files} == {
        "model_index.json", "unet", "vae", "text_encoder", "tokenizer", "scheduler",
    }  # fmt: skip
    plain = StableDiffusionPipeline.from_pretrained(checkpoint, safety_checker=None, local_files_only=True)
    assert torch.equal(sampled(pipelines.load(made)), sampled(plain))
    again = set_up(train, fitting(checkpoint), tmp_path / "again")
    assert sha256(made) == sha256(again)


def test_a_block_has_the_datasets_size(checkpoint: Path, train: ImageSet, tmp_path: Path) -> None:
    """And its images are those sampled one at a time, up to a grey level."""
    made = set_up(train, fitting(checkpoint), tmp_path / "sd")
    sampling = {"kind": "stable-diffusion", "sample": {"sampler": "fast", "steps": 2, "batch_size": 2}}
    sampling["prompts"] = ["a photo of the {word}", "a sketch of the {word}"]
    settings = BlockSettings.model_validate({"generator": sampling, "block": 1, "block_size": 4, "count": 4})
    block = synthesise(made, settings).check("block")
    assert block.images.shape == (4, 12, 12, 3)
    pipeline = pipelines.load(made)
    for image, label, seed in zip(block.images, block.labels, block.columns["seed"].tolist(), strict=True):
        word = ["cat", "ice cream"][label]
        alone = [
            diffusion_sampling.sample(pipeline, [f"a {style} of the {word}"], [seed], FAST, (12, 12)).numpy()
            for style in ("photo", "sketch")
        ]
        assert min(np.abs(one.astype(int) - image).max() for one in alone) <= 1


def test_xl_loads_as_it_was_saved(train: ImageSet, tmp_path: Path) -> None:
    pipeline = stable_diffusion_xl()
    pipeline.save_pretrained(tmp_path / "xl")
    made = set_up(train, fitting(tmp_path / "xl"), tmp_path / "sd")
    assert torch.equal(sampled(pipelines.load(made)), sampled(pipeline))


def test_a_variant_is_read_where_it_is_named(train: ImageSet, tmp_path: Path) -> None:
    stable_diffusion_1().save_pretrained(tmp_path / "fp16", variant="fp16")
    made = set_up(train, fitting(tmp_path / "fp16", variant="fp16"), tmp_path / "sd")
    plain = StableDiffusionPipeline.from_pretrained(tmp_path / "fp16", variant="fp16", safety_checker=None)
    assert torch.equal(sampled(pipelines.load(made)), sampled(plain))
    with pytest.raises(SynthoodError, match=r"text_encoder: no safetensors weights \(there: model.fp16.safetensors\)"):
        set_up(train, fitting(tmp_path / "fp16"), tmp_path / "other")


def test_a_lora_adds_its_product_to_the_weights(checkpoint: Path, lora: Path, train: ImageSet, tmp_path: Path) -> None:
    """W + scale * B A, by hand."""
    made = set_up(train, fitting(checkpoint, lora={"from": str(lora), "scale": 0.5}), tmp_path / "sd")
    pipeline, plain = pipelines.load(made), stable_diffusion_1()
    parts = load_file(lora / pipelines.LORA)
    named = [key for key in parts if key.endswith("to_q.lora.down.weight")]
    assert named
    for key in named:
        layer = key.removeprefix("unet.").removesuffix(".lora.down.weight")
        product = parts[key.replace("down.weight", "up.weight")] @ parts[key]
        before, after = (one.unet.get_submodule(layer).weight for one in (plain, pipeline))
        torch.testing.assert_close(after, before + 0.5 * product)
    assert (sampled(pipeline) - sampled(plain)).abs().max() > 1


@pytest.mark.parametrize("kind", ["lora", "tokens"])
def test_adapted_resumed_and_loaded(
    checkpoint: Path,
    train: ImageSet,
    tmp_path: Path,
    kind: str,
    interrupted: Callable[[Path, str, int], ResumeFile],
) -> None:
    """The folder holds what was learned; a fit broken off and resumed writes the same bytes."""
    settings = fitting(checkpoint, adapt={"kind": kind, "steps": 4, "rank": 2, "learning_rate": 0.05})
    made = set_up(train, settings, tmp_path / "sd")
    file = made / (pipelines.LORA if kind == "lora" else pipelines.TOKENS)
    assert file.is_file()
    pipeline = pipelines.load(made)
    words = Description.read(made).class_words
    assert words == (["cat", "ice cream"] if kind == "lora" else ["<class-0>", "<class-1>"])
    prompts = [f"a photo of the {word}" for word in words]
    assert (sampled(pipeline, prompts) - sampled(stable_diffusion_1())).abs().max() > 1
    if kind == "tokens":  # one token each, so that outliers can stand for them
        learned = load_file(file)["embeddings"]
        assert torch.equal(prompt_tokens.word_embeddings(pipeline, words), learned)
    with pytest.raises(KeyboardInterrupt):
        set_up(train, settings, tmp_path / "broken", interrupted(tmp_path / "resume", f"adaptation by {kind}", 2))
    resume = ResumeFile(tmp_path / "resume", "job")
    assert sha256(set_up(train, settings, tmp_path / "resumed", resume)) == sha256(made)


@pytest.mark.parametrize("kind", ["lora", "tokens"])
def test_adapting_learns_the_images(train: ImageSet, kind: str) -> None:
    """The loss over all images, noises and times held fixed, falls."""
    pipeline = stable_diffusion_1()
    words = ["cat", "ice cream"]
    latents = adaptation.latents_of(pipeline, train, flip=False)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(9))
    time = torch.arange(100, 1000, 160)[: len(latents)]
    noised = pipeline.scheduler.add_noise(latents, noise, time)

    def loss(prompts: list[str]) -> float:
        told = pipeline.encode_prompt([prompts[i] for i in train.labels], CPU, 1, False)[0]
        with torch.no_grad():
            return float((pipeline.unet(noised, time, told).sample - noise).square().mean())

    before = loss([f"a photo of the {word}" for word in words])
    settings = Adaptation(kind=kind, steps=40, batch_size=6, learning_rate=0.02)
    learned = adaptation.adapt(pipeline, train, "a photo of the {word}", words, settings, torch.float32, NO_RESUME)
    if kind == "tokens":
        table = pipeline.text_encoder.get_input_embeddings().weight
        table.data[-2:] = learned[0].data
        words = pipelines.class_tokens(2)
    assert loss([f"a photo of the {word}" for word in words]) < before - 0.001


def test_tokens_of_xl_are_refused(train: ImageSet) -> None:
    settings = Adaptation(kind="tokens", steps=1)
    with pytest.raises(SynthoodError, match="XL reads its prompts by two text encoders; take kind lora"):
        adaptation.adapt(stable_diffusion_xl(), train, "{word}", ["cat", "dog"], settings, torch.float32, NO_RESUME)


class Trap:
    """A pickle that leaves a mark where it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def trapped(copied: Path, tmp_path: Path) -> None:
    (copied / UNET).unlink()
    with (copied / "unet/diffusion_pytorch_model.bin").open("wb") as stream:
        pickle.dump(Trap(tmp_path / "mark"), stream)


def shortened(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def without_a_tensor(file: Path) -> None:
    tensors = load_file(file)
    tensors.pop("conv_out.weight")
    save_file(tensors, file)


def edited(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


FAULTS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "missing": (lambda c, t: (c / UNET).unlink(), r"unet: no safetensors weights \(there: none\)"),
    "pickle": (trapped, "diffusion_pytorch_model.bin: a pickle, which could run code and is not read"),
    "truncated": (lambda c, t: shortened(c / UNET), "not a readable Stable Diffusion folder"),
    "a tensor less": (lambda c, t: without_a_tensor(c / UNET), "lack 1 tensors, such as conv_out.weight"),
    "another pipeline": (
        lambda c, t: edited(c / "model_index.json", _class_name="FluxPipeline"),
        "a 'FluxPipeline'; expected one of StableDiffusionPipeline",
    ),
    "no index": (lambda c, t: (c / "model_index.json").unlink(), "no model_index.json in it"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_checkpoints_are_told(copied: Path, train: ImageSet, tmp_path: Path, fault: str) -> None:
    spoil, told = FAULTS[fault]
    spoil(copied, tmp_path)
    with pytest.raises(SynthoodError, match=told):
        set_up(train, fitting(copied), tmp_path / "sd")
    assert not (tmp_path / "sd").exists()
    assert not (tmp_path / "mark").exists()


def test_a_checkpoint_for_inpainting_is_told(train: ImageSet, tmp_path: Path) -> None:
    stable_diffusion_1(in_channels=9).save_pretrained(tmp_path / "inpainting")
    with pytest.raises(SynthoodError, match="takes 9 channels, its autoencoder makes 4"):
        set_up(train, fitting(tmp_path / "inpainting"), tmp_path / "sd")


def test_weights_changed_since_are_told(copied: Path, train: ImageSet, tmp_path: Path) -> None:
    made = set_up(train, fitting(copied), tmp_path / "sd")
    tensors = load_file(copied / UNET)
    tensors["conv_out.bias"] += 1
    save_file(tensors, copied / UNET)
    with pytest.raises(SynthoodError, match=r"safetensors: changed since the generator was set up"):
        pipelines.load(made)
    (copied / UNET).unlink()
    with pytest.raises(SynthoodError, match=r"safetensors: not found, though the generator"):
        pipelines.load(made)


def test_wrong_loras_are_told(checkpoint: Path, lora: Path, train: ImageSet, tmp_path: Path) -> None:
    def told(message: str, **settings: Any) -> None:
        with pytest.raises(SynthoodError, match=message):
            set_up(train, fitting(checkpoint, lora=settings), tmp_path / "sd")

    told("nowhere: not found", **{"from": str(tmp_path / "nowhere")})
    told(r"other.safetensors: not found; `lora.file`", **{"from": str(lora), "file": "other.safetensors"})
    (tmp_path / "lora.bin").touch()
    told("a LoRA is read from safetensors alone", **{"from": str(tmp_path / "lora.bin")})
    wide = {key: torch.cat([value] * 2, dim=1) for key, value in load_file(lora / pipelines.LORA).items()}
    save_file(wide, tmp_path / "wide.safetensors")
    told("wide.safetensors: not a LoRA of this checkpoint", **{"from": str(tmp_path / "wide.safetensors")})
    endless = {
        key: value.index_fill(0, torch.tensor([0]), torch.inf)
        for key, value in load_file(lora / pipelines.LORA).items()
    }
    save_file(endless, tmp_path / "endless.safetensors")
    file = str(tmp_path / "endless.safetensors")
    told(r"endless.safetensors: added to the unet: .* is not finite; fetch it again, or lower", **{"from": file})


def test_classes_and_sizes_that_do_not_fit_are_told(checkpoint: Path, train: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match=r"class 'cat': .* no token for the word '\?'; give the class another word"):
        set_up(train, fitting(checkpoint, {"words": {"cat": "?"}}), tmp_path / "sd")
    large = ImageSet(np.zeros((2, 32, 32, 3), np.uint8), train.labels[:2], CLASSES)
    with pytest.raises(SynthoodError, match="makes images of 16 px, the dataset's are of 32 x 32"):
        set_up(large, fitting(checkpoint), tmp_path / "sd")


def test_places_without_a_checkpoint_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "sd.ckpt").touch()
    with pytest.raises(SynthoodError, match=r"no model_index\.json in it"):
        weights.checkpoint_files(tmp_path / "empty", None)
    with pytest.raises(SynthoodError, match=r"sd.ckpt: a file; expected a folder"):
        weights.checkpoint_files(tmp_path / "sd.ckpt", None)
    with pytest.raises(SynthoodError, match="not found; relative paths start where snakemake runs"):
        weights.located(Pretrained.model_validate({"from": "../models/sd"}))
    hub = {"from": "nobody/nothing", "revision": "0" * 40}
    with pytest.raises(SynthoodError, match="pin `revision:` to a commit"):
        weights.located(Pretrained.model_validate({"from": "nobody/nothing"}))
    with pytest.raises(SynthoodError, match=r"`download: true` would fetch it .*; or name a folder"):
        weights.located(Pretrained.model_validate(hub))
    with pytest.raises(SynthoodError, match=r"and the hub could not be reached .*; or name a folder"):
        weights.located(Pretrained.model_validate(hub | {"download": True}))


def test_what_is_fetched_of_the_hub() -> None:
    """No pickles, no second variant, no single file of a whole checkpoint."""
    plain = weights.wanted_of_hub(Pretrained.model_validate({"from": "a/b"}))
    half = weights.wanted_of_hub(Pretrained.model_validate({"from": "a/b", "variant": "fp16"}))
    names = {
        "model_index.json": (True, True),
        "unet/config.json": (True, True),
        "tokenizer/merges.txt": (True, True),
        "unet/diffusion_pytorch_model.safetensors": (True, False),
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors": (True, False),
        "unet/diffusion_pytorch_model.fp16.safetensors": (False, True),
        "unet/diffusion_pytorch_model.non_ema.safetensors": (False, False),
        "text_encoder/model.fp16.safetensors": (False, True),
        "unet/diffusion_pytorch_model.bin": (False, False),
        "safety_checker/model.safetensors": (False, False),
        "v1-5-pruned.safetensors": (False, False),
        "v1-5-pruned.ckpt": (False, False),
    }
    for name, wanted in names.items():
        found = tuple(any(Path(name).match(pattern) for pattern in patterns) for patterns in (plain, half))
        assert found == wanted, name
    assert weights.wanted_of_hub(LoRA.model_validate({"from": "a/b"})) == ["pytorch_lora_weights.safetensors"]
