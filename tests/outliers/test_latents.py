"""Outlier embeddings take the class word's place in the prompt, and give latents."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from hypothesis import given
from hypothesis import strategies as st

from synthood.common.images import ImageSet
from synthood.common.tensors import Arrays, read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.generators.diffusion import prompt_tokens, sampling
from synthood.generators.diffusion.samplers.dpm_solver import StableDiffusionSample
from synthood.generators.folder import Description
from synthood.outliers import latents
from synthood.outliers.class_words import text_encoder_digest
from synthood.outliers.latents import moved, outlier_latents
from synthood.outliers.latents_settings import LatentsJob, LatentsSettings, TokenLatents
from synthood.outliers.spaces import EmbeddingSpace

SAMPLE = StableDiffusionSample(steps=2, batch_size=4)
SETTINGS = LatentsSettings(scale=2.0, attempts_per_class=3, sample=SAMPLE)
JOB = LatentsJob(latents=SETTINGS).canonical()


def space_of(pipeline: StableDiffusionPipeline) -> dict[str, dict[str, str]]:
    """The header of outliers near this pipeline's words."""
    return {"space": {"encoder": "text-aligned", "anchors": "token", "text_encoder": text_encoder_digest(pipeline)}}


def test_a_word_moves_by_its_own_length_times_the_scale() -> None:
    anchor = torch.tensor([3.0, 4.0])
    outliers = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    for scale in (0.5, 4.0):
        went = moved(anchor, outliers, scale) - anchor
        torch.testing.assert_close(went.norm(dim=1), torch.full((2,), 5 * scale))
        towards = 5 * outliers - anchor
        torch.testing.assert_close(torch.cosine_similarity(went, towards), torch.ones(2))


@given(st.lists(st.floats(-10, 10), min_size=3, max_size=3), st.integers(0, 100))
def test_released_puts_the_outlier_at_the_words_length(word: list[float], seed: int) -> None:
    """u ||a||, wherever the word points."""
    anchor = torch.tensor(word)
    outliers = torch.nn.functional.normalize(torch.randn((4, 3), generator=torch.Generator().manual_seed(seed)))
    length = sum(value**2 for value in word) ** 0.5
    torch.testing.assert_close(moved(anchor, outliers, "released"), outliers * length, rtol=1e-5, atol=1e-6)


def test_released_is_the_end_of_the_move_whose_length_is_the_distance() -> None:
    """Both ways of moving meet where s ||a|| is the way from the word to u ||a||."""
    anchor, outlier = torch.tensor([3.0, 4.0]), torch.tensor([[0.6, -0.8]])
    scale = float((5 * outlier - anchor).norm() / 5)
    torch.testing.assert_close(moved(anchor, outlier, "released"), moved(anchor, outlier, scale))


def test_the_words_own_embedding_gives_the_words_own_encoding(pipeline: StableDiffusionPipeline) -> None:
    own = prompt_tokens.word_embeddings(pipeline, ["dog"])
    ids = prompt_tokens.token_ids(pipeline, ["a photo of a dog"])
    with torch.no_grad():
        expected = pipeline.text_encoder(ids).last_hidden_state
    encoded = prompt_tokens.encoded_with(pipeline, "a photo of a {word}", "dog", torch.cat([own, -own]))
    torch.testing.assert_close(encoded[:1], expected)
    assert not torch.allclose(encoded[1:], expected, atol=1e-2)
    with torch.no_grad():  # the table itself is left alone
        torch.testing.assert_close(pipeline.text_encoder(ids).last_hidden_state, expected)


def test_a_token_replaces_the_word_as_it_is(pipeline: StableDiffusionPipeline, description: Description) -> None:
    """Of whatever length: the latents are those of the prompts with these embeddings."""
    tokens = 0.3 * torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    settings = TokenLatents(attempts_per_class=2, sample=SAMPLE)
    made, classes, parents, seeds = outlier_latents(pipeline, description, tokens, torch.tensor([0, 0, 1, 1]), settings)
    encoded = [
        prompt_tokens.encoded_with(pipeline, description.prompt, word, tokens[part])
        for word, part in (("cat", slice(0, 2)), ("dog", slice(2, 4)))
    ]
    expected = sampling.sample_latents(pipeline, torch.cat(encoded), seeds, SAMPLE)
    assert torch.equal(made, expected)
    assert (classes.tolist(), parents.tolist()) == ([0, 0, 1, 1], [0, 1, 2, 3])
    assert LatentsJob.parse(LatentsJob(latents=settings).canonical()).latents == settings
    assert LatentsJob.parse(JOB).latents == SETTINGS


def test_latents_are_kept_whole_with_class_parent_and_seed(
    pipeline: StableDiffusionPipeline, description: Description
) -> None:
    outliers = torch.nn.functional.normalize(torch.randn(4, 16, generator=torch.Generator().manual_seed(0)))
    labels = torch.tensor([0, 0, 1, 1])
    made, classes, parents, seeds = outlier_latents(pipeline, description, outliers, labels, SETTINGS)
    assert made.shape == (6, 4, 8, 8)
    assert made.dtype == torch.float32
    assert classes.tolist() == [0, 0, 0, 1, 1, 1]
    assert parents.tolist() == [0, 1, 0, 2, 3, 2]
    assert len(set(seeds)) == 6
    again, *_ = outlier_latents(pipeline, description, outliers, labels, SETTINGS)
    assert torch.equal(made, again)
    assert not torch.equal(made[0], made[2])


def test_decoded_latents_are_the_pipelines_images(pipeline: StableDiffusionPipeline) -> None:
    ids = prompt_tokens.token_ids(pipeline, ["a photo of a cat"] * 4)
    with torch.no_grad():
        encoded = pipeline.text_encoder(ids).last_hidden_state
    made = sampling.sample_latents(pipeline, encoded, [1, 2, 3, 4], SAMPLE)
    images = sampling.sample(pipeline, ["a photo of a cat"] * 4, [1, 2, 3, 4], SAMPLE)
    difference = sampling.decoded(pipeline, made).int() - images.int()
    assert int(difference.abs().max()) <= 1


@pytest.mark.parametrize("scale", [2.0, "released"])
def test_the_stage_writes_what_the_functions_give(
    folder: Path,
    pipeline: StableDiffusionPipeline,
    description: Description,
    train_images: ImageSet,
    train_file: Path,
    tmp_path: Path,
    scale: float | str,
) -> None:
    settings = LatentsSettings.model_validate(SETTINGS.model_dump() | {"scale": scale})
    outliers = torch.nn.functional.normalize(torch.randn(2, 16, generator=torch.Generator().manual_seed(0)))
    arrays: Arrays = {"embeddings": outliers.numpy(), "labels": np.array([0, 1])}
    write_tensors(tmp_path / "boundary", arrays, space_of(pipeline))
    output = tmp_path / "latents.safetensors"
    arguments = {
        "settings": LatentsJob(latents=settings).canonical(),
        "output": output,
        "generator": folder,
        "boundary": tmp_path / "boundary",
        "train": train_file,
    }
    latents.main([part for key, value in arguments.items() for part in (f"--{key}", str(value))])
    arrays, header = read_tensors(output)
    made, classes, parents, seeds = outlier_latents(pipeline, description, outliers, torch.tensor([0, 1]), settings)
    assert arrays.keys() == {"latents", "labels", "parents", "seeds", "id_latents"}
    assert arrays["latents"].dtype == np.float16
    np.testing.assert_allclose(arrays["latents"], made, atol=1e-5, rtol=1e-3)
    for name, values in (("labels", classes), ("parents", parents), ("seeds", torch.tensor(seeds))):
        assert arrays[name].tolist() == values.tolist()
    id_latents = sampling.image_latents(pipeline, train_images.images)
    assert arrays["id_latents"].dtype == np.float16
    np.testing.assert_allclose(arrays["id_latents"], id_latents, atol=1e-5, rtol=1e-3)
    assert header == {"classes": ["cat", "dog"], "scale": scale, **space_of(pipeline)}


def test_latents_that_float16_cannot_hold_are_told() -> None:
    """Finite until they are written."""
    made = torch.zeros(3, 4, 2, 2)
    made[1, 0, 0, 0] = 70000
    names = latents.outlier_names(Description("", ["cat", "dog"]), torch.tensor([0, 0, 1]), [7, 8, 9])
    with pytest.raises(
        SynthoodError, match=r"outlier 1 of class 'cat' \(seed 8\): its latents, written in float16, are"
    ):
        latents.stored(made, names.__getitem__)
    assert latents.stored(made[:1], str).dtype == torch.float16


def test_an_outlier_that_is_not_finite_has_class_and_seed(
    pipeline: StableDiffusionPipeline, description: Description
) -> None:
    seeds = outlier_latents(pipeline, description, torch.eye(16)[:2], torch.tensor([0, 1]), SETTINGS)[3]
    calls = iter(range(100))

    def spoil(module: torch.nn.Module, inputs: object, output: Any) -> None:
        if next(calls) == 3:  # the second step of the second batch of four
            output.sample[5].fill_(torch.nan)

    hook = pipeline.unet.register_forward_hook(spoil)
    with pytest.raises(SynthoodError, match=rf"outlier 5 of class 'dog' \(seed {seeds[5]}\): .* step 2 of 2 on"):
        outlier_latents(pipeline, description, torch.eye(16)[:2], torch.tensor([0, 1]), SETTINGS)
    hook.remove()


def test_wrong_words_and_widths_are_told(pipeline: StableDiffusionPipeline, description: Description) -> None:
    with pytest.raises(SynthoodError, match="class word 'dog' does not stand in the prompt 'a photo of a'"):
        prompt_tokens.encoded_with(pipeline, "a photo of a", "dog", torch.zeros(1, 16))
    with pytest.raises(
        SynthoodError, match=r"embeddings of width 7 cannot stand for tokens of the text encoder.* 16 wide"
    ):
        prompt_tokens.encoded_with(pipeline, "a photo of a {word}", "dog", torch.zeros(1, 7))
    with pytest.raises(SynthoodError, match=r"class word 'catfish' has letters that the tokenizer does not know"):
        prompt_tokens.word_embeddings(pipeline, ["catfish"])
    with pytest.raises(SynthoodError, match="outlier embeddings are 7 wide, the text encoder's tokens 16"):
        outlier_latents(pipeline, description, torch.eye(7)[:2], torch.tensor([0, 1]), SETTINGS)
    with pytest.raises(SynthoodError, match="no outlier embedding is of class 'dog'"):
        outlier_latents(pipeline, description, torch.eye(16)[:2], torch.tensor([0, 0]), SETTINGS)


def test_outliers_of_another_text_encoder_are_refused(
    folder: Path, pipeline: StableDiffusionPipeline, train_file: Path, tmp_path: Path
) -> None:
    header = space_of(pipeline)
    header["space"]["text_encoder"] = "another"
    arrays: Arrays = {"embeddings": np.eye(16, dtype=np.float32)[:2], "labels": np.array([0, 1])}
    write_tensors(tmp_path / "boundary", arrays, header)
    places = ["--generator", str(folder), "--boundary", str(tmp_path / "boundary"), "--train", str(train_file)]
    with pytest.raises(SystemExit):
        latents.main(["--settings", JOB, "--output", str(tmp_path / "latents"), *places])
    assert not (tmp_path / "latents").exists()
    with pytest.raises(SynthoodError, match=r"boundary: its outliers lie near the words of another text encoder"):
        EmbeddingSpace.of(header, tmp_path / "boundary").check(text_encoder_digest(pipeline), tmp_path / "boundary")
    with pytest.raises(SynthoodError, match=r"boundary: does not say which space it is of"):
        EmbeddingSpace.of({"classes": []}, tmp_path / "boundary")


def test_images_alone_need_no_id_images(folder: Path, pipeline: StableDiffusionPipeline, tmp_path: Path) -> None:
    arrays: Arrays = {"embeddings": np.eye(16, dtype=np.float32)[:2], "labels": np.array([0, 1])}
    write_tensors(tmp_path / "boundary", arrays, space_of(pipeline))
    places = ["--generator", str(folder), "--boundary", str(tmp_path / "boundary")]
    latents.main(["--settings", JOB, "--output", str(tmp_path / "latents"), *places])
    assert read_tensors(tmp_path / "latents")[0].keys() == {"latents", "labels", "parents", "seeds"}


def test_nothing_replaced_is_the_plain_prompt(pipeline: StableDiffusionPipeline, description: Description) -> None:
    """The latents are those of the prompts themselves, whatever the outliers."""
    settings = LatentsSettings.model_validate(SETTINGS.model_dump() | {"replaces": "nothing", "scale": "released"})
    outliers = torch.nn.functional.normalize(torch.randn(4, 16, generator=torch.Generator().manual_seed(0)))
    labels = torch.tensor([0, 0, 1, 1])
    made, classes, parents, seeds = outlier_latents(pipeline, description, outliers, labels, settings)
    other, *_ = outlier_latents(pipeline, description, -outliers, labels, settings)
    assert torch.equal(made, other)
    prompts = [description.prompt.format(word=word) for word in description.class_words for _ in range(3)]
    with torch.no_grad():
        encoded = pipeline.text_encoder(prompt_tokens.token_ids(pipeline, prompts)).last_hidden_state
    torch.testing.assert_close(made, sampling.sample_latents(pipeline, encoded, seeds, SAMPLE), atol=1e-5, rtol=1e-4)
    assert (classes.tolist(), parents.tolist()) == ([0, 0, 0, 1, 1, 1], [0, 1, 0, 2, 3, 2])
