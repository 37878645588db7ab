"""The miniature Stable Diffusion: tokenizer, building, files, sampling."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from synthood.errors import SynthoodError
from synthood.generators import stable_diffusion
from synthood.generators.settings import StableDiffusionFit, StableDiffusionSample

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PROMPTS = ["a photo of the digit one", "a photo of the digit two"]
QUICK = StableDiffusionSample(steps=2, batch_size=2, guidance=2.0)


@pytest.fixture(scope="module")
def pipeline(diffusion_settings: StableDiffusionFit) -> StableDiffusionPipeline:
    return stable_diffusion.build(PROMPTS, 16, diffusion_settings)


@pytest.mark.parametrize(("words", "prompt"), [(DIGITS, "a photo of the digit {}"), (CIFAR10, "a photo of a {}")])
def test_one_token_per_word(words: list[str], prompt: str) -> None:
    prompts = [prompt.format(word) for word in words]
    known = list(dict.fromkeys(word for one in prompts for word in one.split()))
    tokenizer = stable_diffusion.word_tokenizer(known)
    ids = {word: tokenizer.convert_tokens_to_ids(f"{word}</w>") for word in known}
    assert len(set(ids.values())) == len(known)
    for one in prompts:
        expected = [tokenizer.bos_token_id, *(ids[word] for word in one.split()), tokenizer.eos_token_id]
        assert tokenizer(one).input_ids == expected


def test_words_that_split_are_named() -> None:
    with pytest.raises(SynthoodError, match="the word 'Cat' splits into"):
        stable_diffusion.word_tokenizer(["dog", "Cat"])


def test_token_ids_are_padded_to_the_longest_prompt(pipeline: StableDiffusionPipeline) -> None:
    ids = stable_diffusion.token_ids(pipeline, [*PROMPTS, ""])
    assert ids.shape == (3, 8)
    end = pipeline.tokenizer.eos_token_id
    assert ids[0, -1] == end
    assert ids[2].tolist() == [pipeline.tokenizer.bos_token_id] + [end] * 7
    assert (ids[0] != ids[1]).sum() == 1


def test_built_from_the_seed_alone(diffusion_settings: StableDiffusionFit, pipeline: StableDiffusionPipeline) -> None:
    torch.manual_seed(5)
    again = stable_diffusion.build(PROMPTS, 16, diffusion_settings)
    other = stable_diffusion.build(PROMPTS, 16, diffusion_settings.model_copy(update={"seed": 1}))
    for part in ("vae", "unet", "text_encoder"):
        first, second, third = (getattr(one, part).state_dict() for one in (pipeline, again, other))
        assert all(torch.equal(first[key], second[key]) for key in first)
        assert not all(torch.equal(first[key], third[key]) for key in first)


def test_saved_and_loaded_gives_the_same_images(pipeline: StableDiffusionPipeline, tmp_path: Path) -> None:
    stable_diffusion.save(pipeline, tmp_path / "model")
    other = stable_diffusion.load(tmp_path / "model")
    assert torch.equal(stable_diffusion.token_ids(other, PROMPTS), stable_diffusion.token_ids(pipeline, PROMPTS))
    first, second = (stable_diffusion.sample(one, PROMPTS, [1, 2], QUICK) for one in (pipeline, other))
    assert first.shape == (2, 16, 16, 3)
    assert first.dtype == torch.uint8
    assert first.float().std() > 5
    assert torch.equal(first, second)


def test_each_image_comes_from_its_seed_and_prompt(pipeline: StableDiffusionPipeline) -> None:
    """Batches of two: the cut last batch is filled up, and order does not show."""
    prompts, seeds = [PROMPTS[0], PROMPTS[1], PROMPTS[0]], [3, 4, 5]
    every = stable_diffusion.sample(pipeline, prompts, seeds, QUICK)
    assert len(every) == 3
    assert torch.equal(stable_diffusion.sample(pipeline, prompts[:2], seeds[:2], QUICK), every[:2])
    alone = stable_diffusion.sample(pipeline, prompts[2:], seeds[2:], QUICK).int()
    assert (alone[0] - every[2].int()).abs().max() <= 1
    assert (every[0].int() - every[2].int()).abs().max() > 20  # one prompt, two seeds
    reseeded = stable_diffusion.sample(pipeline, prompts, [3, 9, 5], QUICK)
    assert torch.equal(reseeded[[0, 2]], every[[0, 2]])
    assert (reseeded[1].int() - every[1].int()).abs().max() > 20


def test_prompt_and_guidance_count(pipeline: StableDiffusionPipeline) -> None:
    """The denoiser is untrained, yet its text conditions it."""
    strong = StableDiffusionSample(steps=2, batch_size=2, guidance=50.0)
    same, other = stable_diffusion.sample(pipeline, PROMPTS, [1, 1], strong).int()
    assert (same - other).abs().max() > 1
    weak = stable_diffusion.sample(pipeline, PROMPTS, [1, 1], QUICK).int()
    assert (weak[0] - same).abs().max() > 1


def test_a_folder_without_a_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match="not a readable Stable Diffusion folder"):
        stable_diffusion.load(tmp_path)
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(SynthoodError, match="not a readable Stable Diffusion folder"):
        stable_diffusion.load(tmp_path)
