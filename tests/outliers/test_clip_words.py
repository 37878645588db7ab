"""Token replacement with CLIP's own vocabulary: every class of CIFAR-10, CIFAR-100 and ImageNet-200."""

from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from synthood.errors import SynthoodError
from synthood.generators.diffusion.miniature import END, START
from synthood.generators.diffusion.prompt_tokens import (
    encoded_with,
    token_ids,
    with_the_word_as_one,
    word_embeddings,
    word_tokens,
)

PROMPT = "A high-quality image of the {word}"
BEFORE = 8
"""Positions before the word: the start, and seven tokens."""
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CIFAR100 = """
apple aquarium-fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn-mower leopard lion lizard lobster man maple-tree motorcycle
mountain mouse mushroom oak-tree orange orchid otter palm-tree pear pickup-truck pine-tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet-pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow-tree wolf woman worm"""
# ImageNet-200 are the classes of ImageNet-R, whose numbers among the thousand timm knows.
NUMBERS = (files("timm.data") / "_info" / "imagenet_r_indices.txt").read_text().split()
CLASSES = {
    "cifar10": CIFAR10,
    "cifar100": [word.replace("-", " ") for word in CIFAR100.split()],
    "imagenet200": [IMAGENET_CLASSNAMES[int(number)] for number in NUMBERS],
}
OPEN_CLIP = SimpleTokenizer()


@pytest.fixture(scope="module")
def pipeline() -> Any:
    """The true vocabulary under a text encoder of random weights."""
    names = {"<start_of_text>": START, "<end_of_text>": END}
    vocabulary = {names.get(token, token): number for token, number in OPEN_CLIP.encoder.items()}
    tokenizer = CLIPTokenizer(
        vocabulary, list(OPEN_CLIP.bpe_ranks), bos_token=START, eos_token=END, unk_token=END, pad_token=END
    )
    tokenizer.model_max_length = 77
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=vocabulary[START],
        eos_token_id=vocabulary[END],
    )
    encoder = CLIPTextModel(config).eval()
    torch.nn.init.normal_(encoder.get_input_embeddings().weight, std=1.0)
    return SimpleNamespace(tokenizer=tokenizer, text_encoder=encoder, device=torch.device("cpu"))


@torch.no_grad()
def encoded(pipeline: Any, ids: Tensor) -> Tensor:
    out: Tensor = pipeline.text_encoder(ids).last_hidden_state
    return out


@pytest.mark.parametrize(
    ("dataset", "count", "several"), [("cifar10", 10, 0), ("cifar100", 100, 15), ("imagenet200", 200, 110)]
)
def test_the_outlier_reaches_the_text_encoder_for_every_class(
    pipeline: Any, dataset: str, count: int, several: int
) -> None:
    """From the word's position on every position differs from the plain prompt's, and none before: it is causal."""
    words = CLASSES[dataset]
    assert len(set(words)) == count
    assert sum(len(tokens) > 1 for tokens in word_tokens(pipeline, words)) == several
    anchors = word_embeddings(pipeline, words)
    plain = encoded(pipeline, token_ids(pipeline, [PROMPT.format(word=word) for word in words]))
    for index, word in enumerate(words):
        own, outlier = encoded_with(pipeline, PROMPT, word, torch.stack([anchors[index], -anchors[index]]))
        for other in (own, plain[index]):
            changed = (outlier - other).abs().amax(1) > 1e-4
            assert changed.tolist() == [False] * BEFORE + [True] * (77 - BEFORE), word
        if len(word_tokens(pipeline, [word])[0]) == 1:
            torch.testing.assert_close(own, plain[index])


@pytest.mark.parametrize("dataset", CLASSES)
def test_tokens_are_those_of_clip(pipeline: Any, dataset: str) -> None:
    """As open_clip's own tokenizer gives them; a word's vector is the mean of its rows."""
    table = pipeline.text_encoder.get_input_embeddings().weight.detach()
    for word, tokens, vector in zip(
        CLASSES[dataset],
        word_tokens(pipeline, CLASSES[dataset]),
        word_embeddings(pipeline, CLASSES[dataset]),
        strict=True,
    ):
        assert tokens == OPEN_CLIP.encode(word)
        torch.testing.assert_close(vector, table[tokens].mean(0))


def test_a_word_of_several_tokens_becomes_one() -> None:
    """Padding takes the others' places; a part of the word alone stays."""
    assert with_the_word_as_one([9, 1, 2, 3, 5, 1, 2, 4, 8], [1, 2], 8) == ([9, 1, 3, 5, 1, 4, 8, 8, 8], [1, 4])
    assert with_the_word_as_one([9, 1, 1, 2, 8], [1, 2], 8) == ([9, 1, 1, 8, 8], [2])
    assert with_the_word_as_one([9, 1, 8], [1, 2], 8) == ([9, 1, 8], [])


def test_the_first_token_alone_leaves_the_others(pipeline: Any) -> None:
    """With the first token's own row nothing changes; else the rest of the word still stands in the prompt."""
    word = "great white shark"
    first = word_tokens(pipeline, [word])[0][:1]
    row = pipeline.text_encoder.get_input_embeddings().weight.detach()[first]
    plain = encoded(pipeline, token_ids(pipeline, [PROMPT.format(word=word)]))
    torch.testing.assert_close(encoded_with(pipeline, PROMPT, word, row, first_token=True), plain)
    assert not torch.allclose(encoded_with(pipeline, PROMPT, word, row), plain, atol=1e-2)


def test_every_occurrence_of_the_word_is_replaced(pipeline: Any) -> None:
    word, prompt = "great white shark", "a {word} beside a {word}"
    both = encoded_with(pipeline, prompt, word, -word_embeddings(pipeline, [word]), first_token=True)
    ids = token_ids(pipeline, [prompt.format(word=word)])
    table = pipeline.text_encoder.get_input_embeddings()
    vectors = table(ids).detach()
    places = (ids[0] == word_tokens(pipeline, [word])[0][0]).nonzero().flatten()
    assert len(places) == 2
    vectors[0, places] = -word_embeddings(pipeline, [word])
    with torch.no_grad():
        hook = table.register_forward_hook(lambda *_: vectors)
        expected = encoded(pipeline, ids)
        hook.remove()
    torch.testing.assert_close(both, expected)


def test_a_word_within_another_or_a_prompt_too_long_is_told(pipeline: Any) -> None:
    with pytest.raises(SynthoodError, match="class word 'cat' does not stand in the prompt 'a cats'"):
        encoded_with(pipeline, "a {word}s", "cat", torch.zeros(1, 16))
    with pytest.raises(SynthoodError, match=r"is 103 tokens, more than the 77 that the text encoder takes"):
        encoded_with(pipeline, "a " * 100 + "{word}", "cat", torch.zeros(1, 16))
