"""Embeddings by fitted and by ready-made encoders, with the class words beside them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.common.tensors import read_tensors
from synthood.errors import SynthoodError
from synthood.generators.diffusion import pipelines, prompt_tokens
from synthood.generators.folder import Description
from synthood.outliers import embed, fit_encoder
from synthood.outliers.class_words import anchors_of, text_encoder_digest
from synthood.outliers.embed import embedded
from synthood.outliers.encoder import fit_encoder as fit
from synthood.outliers.encoder_settings import EncoderSettings
from synthood.outliers.encoders.base import Encoding
from synthood.outliers.encoders.recipe import RecipeEncoder
from synthood.outliers.encoders.text_aligned import TextAlignedEncoder
from synthood.outliers.spaces import EmbeddingSpace
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier

SPACE = EmbeddingSpace("recipe", "token", "f00d")


def encoding(features: torch.Tensor, width: int = 4) -> Encoding:
    """An encoder that takes two images at once and gives these features, whatever it sees."""
    left = list(features.split(2))
    return Encoding(lambda _: left.pop(0), torch.ones(2, width), SPACE, ["cat", "dog"], 2)


def test_embeddings_are_unit_and_in_order() -> None:
    features = torch.randn((5, 4), generator=torch.Generator().manual_seed(0))
    found = embedded(encoding(features), np.zeros((5, 8, 8, 3), np.uint8))
    torch.testing.assert_close(found, F.normalize(features))


@pytest.mark.parametrize(("value", "what"), [(0.0, "zero"), (float("nan"), "not finite"), (float("inf"), "not finite")])
def test_features_without_a_direction_are_told_with_their_image(value: float, what: str) -> None:
    features = torch.ones(5, 4)
    features[3] = value
    with pytest.raises(SynthoodError, match=f"features of training image 3 are {what}"):
        embedded(encoding(features), np.zeros((5, 8, 8, 3), np.uint8))


def test_embeddings_as_wide_as_no_token_are_told() -> None:
    with pytest.raises(SynthoodError, match="embeddings are 4 wide, the text encoder's tokens 6"):
        embedded(encoding(torch.ones(2, 4), width=6), np.zeros((2, 8, 8, 3), np.uint8))


def test_the_fitted_encoder_brings_its_words(
    folder: Path,
    pipeline: StableDiffusionPipeline,
    train_file: Path,
    train_images: ImageSet,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = EncoderSettings.model_validate(
        {"encoder": {"network": {"name": "resnet8", "width": 8}, "epochs": 1, "batch_size": 7}}
    )
    encoder, output = tmp_path / "encoder", tmp_path / "embeddings"
    images = ["--train", str(train_file)]
    given = ["--settings", settings.canonical(), *images]
    with pytest.raises(SystemExit):
        embed.main([*given, "--output", str(output)])
    assert "embed: --encoder is missing" in capsys.readouterr().err
    fit_encoder.main([*given, "--generator", str(folder), "--output", str(encoder)])
    embed.main([*given, "--encoder", str(encoder), "--output", str(output)])
    arrays, header = read_tensors(output)
    digest = text_encoder_digest(pipeline)
    anchors = prompt_tokens.word_embeddings(pipeline, ["cat", "dog"])
    assert isinstance(settings.encoder, TextAlignedEncoder)
    expected = fit(train_images, anchors, settings.encoder, ResumeFile(None, ""), digest)
    embeddings = expected.features(torch.from_numpy(train_images.images)).detach()
    np.testing.assert_allclose(arrays["embeddings"], embeddings, atol=1e-5)
    np.testing.assert_array_equal(arrays["anchors"], anchors)
    np.testing.assert_array_equal(arrays["labels"], train_images.labels)
    space = {"encoder": "text-aligned", "anchors": "token", "text_encoder": digest}
    assert header == {"classes": ["cat", "dog"], "space": space}


def test_a_classifier_as_the_encoder(
    folder: Path, pipeline: StableDiffusionPipeline, train_file: Path, tmp_path: Path
) -> None:
    """Its features must be as wide as the tokens, which are 16 here."""
    network = Network(name="resnet8", width=8)
    model, output = tmp_path / "model", tmp_path / "embeddings"
    Classifier(network, ["cat", "dog"], [0.5] * 3, [0.25] * 3, build(network, 2, seed=0)).save(model)
    settings = EncoderSettings(encoder=RecipeEncoder(recipe="ce", anchors="contextual"))
    assert EncoderSettings.parse(settings.canonical()) == settings
    places = ["--train", str(train_file), "--generator", str(folder), "--model", str(model), "--output", str(output)]
    with pytest.raises(SystemExit):  # 32 wide
        embed.main(["--settings", settings.canonical(), *places])
    assert not output.exists()


def test_an_encoder_from_elsewhere_stands_beside_the_words_of_the_classes(
    pipeline: StableDiffusionPipeline, tmp_path: Path
) -> None:
    """Not beside their names, which a tokenizer need not know."""
    names, words = ["n02123045", "n02106662"], ["cat", "dog"]
    pipelines.save(pipeline, tmp_path)
    Description("stable-diffusion", names, "a photo of a {word}", words=words).write(tmp_path)
    network, model = Network(name="resnet8", width=8), tmp_path / "model"
    Classifier(network, names, [0.5] * 3, [0.25] * 3, build(network, 2, seed=0)).save(model)
    found = RecipeEncoder(recipe="ce").encoding(model, tmp_path, torch.device("cpu"))
    torch.testing.assert_close(found.anchors, prompt_tokens.word_embeddings(pipeline, words))
    assert found.classes == names


def test_the_mean_norm_tells_both_kinds_of_anchors_apart(pipeline: StableDiffusionPipeline) -> None:
    """Rows of the table as they are drawn; the output is normalised, so its mean has another length."""
    table = pipeline.text_encoder.get_input_embeddings().weight.detach()
    ids = pipeline.tokenizer(["cat", "dog"], add_special_tokens=False).input_ids
    token, contextual = (anchors_of(pipeline, ["cat", "dog"], kind) for kind in ("token", "contextual"))
    torch.testing.assert_close(token, table[torch.tensor(ids).flatten()])
    with torch.no_grad():
        padded = prompt_tokens.token_ids(pipeline, ["cat", "dog"])
        torch.testing.assert_close(contextual, pipeline.text_encoder(padded).last_hidden_state.mean(1))
    assert float(contextual.norm(dim=1).min()) > 1.5 * float(token.norm(dim=1).max())


def test_two_text_encoders_are_refused(pipeline: StableDiffusionPipeline) -> None:
    class Two:
        text_encoder_2 = pipeline.text_encoder

    with pytest.raises(SynthoodError, match="outliers need a Stable Diffusion of one text encoder"):
        anchors_of(Two(), ["cat"], "token")  # type: ignore[arg-type]


def test_the_digest_follows_every_weight(pipeline: StableDiffusionPipeline, folder: Path) -> None:
    loaded = pipelines.load(folder)
    assert text_encoder_digest(loaded) == text_encoder_digest(pipeline)
    with torch.no_grad():
        next(iter(loaded.text_encoder.parameters())).view(-1)[0] += 1e-3
    assert text_encoder_digest(loaded) != text_encoder_digest(pipeline)
