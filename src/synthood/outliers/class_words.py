"""What stands for a class word: its vector, and whose text encoder the vectors are of."""

import hashlib

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.generators.diffusion import prompt_tokens
from synthood.outliers.spaces import Anchors

DIGITS = 16


def anchors_of(pipeline: StableDiffusionPipeline, words: list[str], kind: Anchors) -> Tensor:
    """Vectors float32 [C,D] of class words: rows of the token table, or the mean of the encoder's output.

    Raises SynthoodError for a pipeline of two text encoders, between which a word cannot be moved.
    """
    if getattr(pipeline, "text_encoder_2", None) is not None:
        raise SynthoodError("outliers need a Stable Diffusion of one text encoder (1.x, 2.x); this one has two")
    if kind == "token":
        return prompt_tokens.word_embeddings(pipeline, words)
    with torch.no_grad():
        ids = prompt_tokens.token_ids(pipeline, words).to(pipeline.device)
        encoded: Tensor = pipeline.text_encoder(ids).last_hidden_state
    return encoded.mean(1).float().cpu()


def text_encoder_digest(pipeline: StableDiffusionPipeline) -> str:
    """Digits that change with any weight of the text encoder."""
    digest = hashlib.sha256()
    for name, value in sorted(pipeline.text_encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:DIGITS]
