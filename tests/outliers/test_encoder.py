"""The text-aligned encoder: unit embeddings that turn towards their class word."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from synthood.common.encoded import EncodedImages, write_encoded
from synthood.common.images import ImageSet, open_set
from synthood.common.iterate import ResumeFile
from synthood.errors import SynthoodError
from synthood.outliers.encoder import Encoder, fit_encoder
from synthood.outliers.encoders.text_aligned import TextAlignedEncoder
from synthood.outliers.spaces import EmbeddingSpace

ANCHORS = torch.tensor([[3.0, 0.0, 0.0, 0.0], [0.0, 0.2, 0.0, 0.0]])


def bright_and_dark(count: int) -> ImageSet:
    """Class 0 is dark, class 1 bright."""
    labels = np.arange(count) % 2
    noise = np.random.default_rng(0).integers(0, 60, (count, 8, 8, 3))
    return ImageSet(
        (noise + 150 * labels[:, None, None, None]).astype(np.uint8), labels.astype(np.int64), ["cat", "dog"]
    )


@torch.no_grad()
def embeddings_of(encoder: Encoder, images: ImageSet) -> Tensor:
    return encoder.features(torch.from_numpy(images.images))


def settings(**changes: object) -> TextAlignedEncoder:
    base = {"network": {"name": "resnet8", "width": 8}, "epochs": 6, "batch_size": 8, "learning_rate": 0.05}
    return TextAlignedEncoder.model_validate(base | changes)


def test_embeddings_are_unit_and_nearest_to_their_class_word(tmp_path: Path) -> None:
    images = bright_and_dark(32)
    encoder = fit_encoder(images, ANCHORS, settings(), ResumeFile(None, ""), "f00d")
    embeddings = embeddings_of(encoder, images)
    assert embeddings.shape == (32, 4)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(32))
    assert encoder.module.cosines(embeddings).argmax(1).tolist() == images.labels.tolist()


def test_the_length_of_a_word_does_not_count() -> None:
    images = bright_and_dark(16)
    one, two = (
        fit_encoder(images, a, settings(epochs=1), ResumeFile(None, ""), "f00d") for a in (ANCHORS, 5 * ANCHORS)
    )
    torch.testing.assert_close(embeddings_of(one, images), embeddings_of(two, images))


def test_saved_and_loaded_it_embeds_the_same(tmp_path: Path) -> None:
    images = bright_and_dark(16)
    encoder = fit_encoder(images, ANCHORS, settings(epochs=1), ResumeFile(None, ""), "f00d")
    encoder.save(tmp_path / "encoder.safetensors")
    loaded = Encoder.load(tmp_path / "encoder.safetensors")
    assert torch.equal(embeddings_of(loaded, images), embeddings_of(encoder, images))
    assert loaded.classes == ["cat", "dog"]
    assert loaded.space == encoder.space == EmbeddingSpace("text-aligned", "token", "f00d")


def test_all_of_its_augmentation_counts() -> None:
    images = bright_and_dark(16)
    plain, changed = (
        fit_encoder(images, ANCHORS, settings(epochs=1, augmentation=keys), ResumeFile(None, ""), "f00d")
        for keys in ({}, {"randaugment": {"operations": 1, "magnitude": 30}})
    )
    assert not torch.equal(embeddings_of(plain, images), embeddings_of(changed, images))


def test_same_seed_same_weights() -> None:
    images = bright_and_dark(16)
    one, two, other = (
        fit_encoder(images, ANCHORS, settings(epochs=1, seed=seed), ResumeFile(None, ""), "f00d") for seed in (1, 1, 2)
    )
    assert torch.equal(embeddings_of(one, images), embeddings_of(two, images))
    assert not torch.equal(embeddings_of(one, images), embeddings_of(other, images))


def test_images_stored_encoded_give_the_same_weights(tmp_path: Path) -> None:
    images = bright_and_dark(16)
    path = tmp_path / "train.safetensors"
    write_encoded(path, iter(images.images), 1, lambda: (images.labels, {"classes": images.classes}))
    opened = open_set(path)
    assert isinstance(opened.images, EncodedImages)
    one, two = (fit_encoder(each, ANCHORS, settings(), ResumeFile(None, ""), "f00d") for each in (images, opened))
    assert torch.equal(embeddings_of(one, images), embeddings_of(two, images))


def test_anchors_and_classes_must_fit() -> None:
    with pytest.raises(SynthoodError, match="3 class words have embeddings, but"):
        fit_encoder(bright_and_dark(16), torch.eye(3), settings(), ResumeFile(None, ""), "f00d")


def test_nothing_of_it_is_frozen() -> None:
    network = {"name": "torchvision/resnet18", "pretrained": "a.pt", "freeze": "stages"}
    with pytest.raises(ValueError, match=r"network\.freeze is of recipes; the encoder is trained whole"):
        TextAlignedEncoder.model_validate({"network": network, "epochs": 1, "batch_size": 2})
