"""The miniature Stable Diffusion before it is fitted: tokenizer, building."""

import pytest
import torch
from diffusers import StableDiffusionPipeline

from synthood.errors import SynthoodError
from synthood.generators.diffusion import miniature, prompt_tokens
from synthood.generators.diffusion.samplers.dpm_solver import StableDiffusionSample
from synthood.generators.diffusion.settings import StableDiffusionFit

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PROMPTS = ["a photo of the digit one", "a photo of the digit two"]
QUICK = StableDiffusionSample(steps=2, batch_size=2, guidance=2.0)


@pytest.fixture(scope="module")
def pipeline(diffusion_settings: StableDiffusionFit) -> StableDiffusionPipeline:
    return miniature.build(PROMPTS, 16, diffusion_settings)


@pytest.mark.parametrize(("words", "prompt"), [(DIGITS, "a photo of the digit {}"), (CIFAR10, "a photo of a {}")])
def test_one_token_per_word(words: list[str], prompt: str) -> None:
    prompts = [prompt.format(word) for word in words]
    known = list(dict.fromkeys(word for one in prompts for word in one.split()))
    tokenizer = miniature.word_tokenizer(known)
    ids = {word: tokenizer.convert_tokens_to_ids(f"{word}</w>") for word in known}
    assert len(set(ids.values())) == len(known)
    for one in prompts:
        expected = [tokenizer.bos_token_id, *(ids[word] for word in one.split()), tokenizer.eos_token_id]
        assert tokenizer(one).input_ids == expected


def test_words_that_split_are_named() -> None:
    with pytest.raises(SynthoodError, match="the word 'Cat' splits into"):
        miniature.word_tokenizer(["dog", "Cat"])


def test_token_ids_are_padded_to_the_longest_prompt(pipeline: StableDiffusionPipeline) -> None:
    ids = prompt_tokens.token_ids(pipeline, [*PROMPTS, ""])
    assert ids.shape == (3, 8)
    end = pipeline.tokenizer.eos_token_id
    assert ids[0, -1] == end
    assert ids[2].tolist() == [pipeline.tokenizer.bos_token_id] + [end] * 7
    assert (ids[0] != ids[1]).sum() == 1


def test_built_from_the_seed_alone(diffusion_settings: StableDiffusionFit, pipeline: StableDiffusionPipeline) -> None:
    torch.manual_seed(5)
    again = miniature.build(PROMPTS, 16, diffusion_settings)
    other = miniature.build(PROMPTS, 16, diffusion_settings.model_copy(update={"seed": 1}))
    for part in ("vae", "unet", "text_encoder"):
        first, second, third = (getattr(one, part).state_dict() for one in (pipeline, again, other))
        assert all(torch.equal(first[key], second[key]) for key in first)
        assert not all(torch.equal(first[key], third[key]) for key in first)
