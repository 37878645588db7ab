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


def word_embeddings(pipeline: StableDiffusionPipeline, words: list[str]) -> Tensor:
    """Rows float32 [C,D] of the text encoder's token table for words that are one token each."""
    ids = pipeline.tokenizer(words, add_special_tokens=False).input_ids
    for word, tokens in zip(words, ids, strict=True):
        if len(tokens) != 1:
            raise SynthoodError(f"the class word {word!r} is {len(tokens)} tokens; outliers need words of one token")
    table = pipeline.text_encoder.get_input_embeddings().weight
    return table.detach().cpu()[torch.tensor(ids).flatten()].float().clone()


@torch.no_grad()
def encoded_with(pipeline: StableDiffusionPipeline, prompt: str, word: str, embeddings: Tensor) -> Tensor:
    """The prompt's encoding [N,L,W], once for each of `embeddings` [N,D] in the place of the word's own."""
    ids = token_ids(pipeline, [prompt.format(word=word)])[0].to(pipeline.device)
    (token,) = pipeline.tokenizer(word, add_special_tokens=False).input_ids
    places = (ids == token).nonzero().flatten()
    if len(places) == 0:
        raise SynthoodError(f"the class word {word!r} does not stand in the prompt {prompt.format(word=word)!r}")
    if embeddings.shape[1] != pipeline.text_encoder.config.hidden_size:
        raise SynthoodError(
            f"embeddings of width {embeddings.shape[1]} cannot stand for tokens of the text encoder, "
            f"which are {pipeline.text_encoder.config.hidden_size} wide"
        )

    def replace(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        replaced = output.clone()
        replaced[:, places] = embeddings[:, None].to(output)
        return replaced

    hook = pipeline.text_encoder.get_input_embeddings().register_forward_hook(replace)
    try:
        encoded: Tensor = pipeline.text_encoder(ids.expand(len(embeddings), -1)).last_hidden_state
    finally:
        hook.remove()
    return encoded
