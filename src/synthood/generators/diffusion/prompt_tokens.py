"""Prompts as tokens: class words in the token table, and other embeddings in their place."""

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from synthood.errors import SynthoodError


def token_ids(pipeline: StableDiffusionPipeline, prompts: list[str]) -> Tensor:
    """Token ids int64 [N,L] of prompts, padded to the tokenizer's length."""
    length = pipeline.tokenizer.model_max_length
    ids: Tensor = pipeline.tokenizer(prompts, padding="max_length", max_length=length, return_tensors="pt").input_ids
    return ids


def word_tokens(pipeline: StableDiffusionPipeline, words: list[str]) -> list[list[int]]:
    """The tokens of each class word, one or several; raises SynthoodError where a word has none or unknown letters."""
    found: list[list[int]] = pipeline.tokenizer(words, add_special_tokens=False).input_ids
    for word, tokens in zip(words, found, strict=True):
        if not tokens or pipeline.tokenizer.unk_token_id in tokens:
            raise SynthoodError(
                f"the class word {word!r} has letters that the tokenizer does not know; take a word that the generator "
                f"was fitted with"
            )
    return found


def refuse_wordless(pipeline: StableDiffusionPipeline, classes: list[str], words: list[str]) -> None:
    """Raises SynthoodError at a class word that the tokenizer has no token for."""
    unknown = {pipeline.tokenizer.unk_token_id, pipeline.tokenizer.eos_token_id}
    for name, word, ids in zip(
        classes, words, pipeline.tokenizer(words, add_special_tokens=False).input_ids, strict=True
    ):
        if not ids or unknown & set(ids):
            raise SynthoodError(
                f"class {name!r}: the checkpoint's vocabulary has no token for the word {word!r}; "
                f"give the class another word under `words:`"
            )


def word_embeddings(pipeline: StableDiffusionPipeline, words: list[str]) -> Tensor:
    """Rows float32 [C,D] of the text encoder's token table, the mean of a word's where it is several tokens."""
    table = pipeline.text_encoder.get_input_embeddings().weight.detach().cpu().float()
    return torch.stack([table[tokens].mean(0) for tokens in word_tokens(pipeline, words)])


def with_the_word_as_one(ids: list[int], word: list[int], padding: int) -> tuple[list[int], list[int]]:
    """Token ids, as many as before, in which each occurrence of `word` is its first token; and where these stand."""
    kept: list[int] = []
    places = []
    position = 0
    while position < len(ids):
        if ids[position : position + len(word)] == word:
            places.append(len(kept))
            kept.append(word[0])
            position += len(word)
        else:
            kept.append(ids[position])
            position += 1
    return kept + [padding] * (len(ids) - len(kept)), places


def fitting_ids(pipeline: StableDiffusionPipeline, text: str) -> Tensor:
    """Token ids int64 [1,L] of a prompt; raises SynthoodError where it is too long."""
    ids = token_ids(pipeline, [text])
    if ids.shape[1] > pipeline.tokenizer.model_max_length:
        raise SynthoodError(
            f"the prompt {text!r} is {ids.shape[1]} tokens, more than the {pipeline.tokenizer.model_max_length} that "
            f"the text encoder takes"
        )
    return ids


@torch.no_grad()
def encoded(pipeline: StableDiffusionPipeline, text: str, count: int) -> Tensor:
    """The prompt's encoding [N,L,W], N times the same."""
    ids = fitting_ids(pipeline, text).to(pipeline.device)
    once: Tensor = pipeline.text_encoder(ids).last_hidden_state
    return once.expand(count, -1, -1)


def inserted(
    pipeline: StableDiffusionPipeline, prompt: str, word: str, embeddings: Tensor, first_token: bool = False
) -> Tensor:
    """The prompt's encoding [N,L,W], once for each of `embeddings` [N,D] for the word's own, with a gradient.

    A word of several tokens becomes a single new one; `first_token` leaves the others where they are, as the papers'
    code does. Raises SynthoodError where the word does not stand in the prompt, or widths differ.
    """
    text = prompt.format(word=word)
    ids = fitting_ids(pipeline, text)
    (tokens,) = word_tokens(pipeline, [word])
    chosen, places = with_the_word_as_one(ids[0].tolist(), tokens, pipeline.tokenizer.pad_token_id)
    if not places:
        raise SynthoodError(f"the class word {word!r} does not stand in the prompt {text!r}")
    if first_token:
        chosen, places = ids[0].tolist(), [place + i * (len(tokens) - 1) for i, place in enumerate(places)]
    if embeddings.shape[1] != pipeline.text_encoder.config.hidden_size:
        raise SynthoodError(
            f"embeddings of width {embeddings.shape[1]} cannot stand for tokens of the text encoder, "
            f"which are {pipeline.text_encoder.config.hidden_size} wide"
        )

    def replace(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        moved = output.clone()
        moved[:, places] = embeddings[:, None].to(output)
        return moved

    hook = pipeline.text_encoder.get_input_embeddings().register_forward_hook(replace)
    try:
        given = torch.tensor([chosen], device=pipeline.device).expand(len(embeddings), -1)
        encoded: Tensor = pipeline.text_encoder(given).last_hidden_state
    finally:
        hook.remove()
    return encoded


@torch.no_grad()
def encoded_with(
    pipeline: StableDiffusionPipeline, prompt: str, word: str, embeddings: Tensor, first_token: bool = False
) -> Tensor:
    """The same without a gradient."""
    return inserted(pipeline, prompt, word, embeddings, first_token)
