"""CLIP by the words of classes: against the library's own CLIP on a small folder that it saved."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from synthood import detectors
from synthood.config.load import load
from synthood.errors import SynthoodError
from synthood.evaluation.features import Features, Reference
from synthood.generators.diffusion.miniature import word_tokenizer
from synthood.training.networks.architectures.from_transformers import TransformersNetwork
from synthood.training.networks.model import Classifier, logits_and_features
from synthood.training.networks.pretrained import initial
from synthood.training.networks.zero_shot import ZeroShotRecipe
from synthood.workflow.plan import Plan

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
TEMPLATES = ["a photo of a {}", "the {}"]
CLASSES = ["cat", "old_dog", "c3"]
WORDS = {"c3": "frog"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole CLIP of 28 pixels with a tokenizer of eight words."""
    place = tmp_path_factory.mktemp("clip") / "folder"
    tokenizer = word_tokenizer(["a", "photo", "of", "the", "cat", "old", "dog", "frog"])
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = CLIPTextConfig(**SIZES, **ends, vocab_size=len(tokenizer), max_position_embeddings=8)
    vision = CLIPVisionConfig(**SIZES, image_size=28, patch_size=7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIPModel(
            CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=12)
        ).eval()
        for key, value in model.state_dict().items():
            if value.ndim:
                value.add_(0.3 * torch.randn(value.shape))
            elif key == "logit_scale":
                value.fill_(3.0)
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(place)
    return place


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy, to be spoilt."""
    return Path(shutil.copytree(folder, tmp_path / "clip"))


def recipe(folder: Path, **more: Any) -> ZeroShotRecipe:
    keys = {"kind": "zero-shot", "path": str(folder), "words": WORDS, "templates": TEMPLATES}
    return ZeroShotRecipe.model_validate(keys | more)


def images(count: int = 5, side: int = 28) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


def test_logits_are_the_library_s_scaled_cosines(folder: Path) -> None:
    """One template, so that the library's own logits per image are those of the paper."""
    lines: list[str] = []
    classifier = recipe(folder, templates=TEMPLATES[:1]).classifier(CLASSES, lines.append)
    logits, features = logits_and_features(classifier, images(), torch.device("cpu"))
    model = CLIPModel.from_pretrained(folder).eval()
    tokens = word_tokenizer(["a", "photo", "of", "the", "cat", "old", "dog", "frog"])(
        ["a photo of a cat", "a photo of a old dog", "a photo of a frog"], padding=True, return_tensors="pt"
    )
    inputs = classifier.normalised(torch.from_numpy(images()))
    with torch.no_grad():
        expected = model(pixel_values=inputs, **tokens)
    torch.testing.assert_close(logits, expected.logits_per_image, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(F.normalize(features), expected.image_embeds, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features.norm(dim=1), torch.full((5,), float(np.exp(3.0))), rtol=1e-4, atol=1e-4)
    assert "words: cat by 'cat', old_dog by 'old dog', c3 by 'frog'" in lines


def test_templates_are_averaged_as_directions(folder: Path) -> None:
    each = [recipe(folder, templates=[one]).texts(CLASSES, ["cat", "old dog", "frog"])[0] for one in TEMPLATES]
    both, scale = recipe(folder).texts(CLASSES, ["cat", "old dog", "frog"])
    torch.testing.assert_close(both, F.normalize(each[0] + each[1]))
    assert scale == pytest.approx(np.exp(3.0))


def test_a_scale_of_ones_own(folder: Path) -> None:
    found = [
        logits_and_features(recipe(folder, scale=one).classifier(CLASSES, str), images(), torch.device("cpu"))[0]
        for one in (1.0, 50.0)
    ]
    torch.testing.assert_close(50 * found[0], found[1])
    assert found[0].abs().max() <= 1


def test_mcm_is_the_softmax_of_cosines_whatever_the_scale(folder: Path) -> None:
    """Equation 1 of MCM, tau 1, as log odds."""
    scores = []
    for scale in (1.0, 100.0):
        classifier = recipe(folder, scale=scale).classifier(CLASSES, str)
        logits, features = logits_and_features(classifier, images(), torch.device("cpu"))
        x = Features(logits, features, torch.zeros(len(logits)).long())
        for tau in (1.0, 0.1):
            p = (logits / scale / tau).double().softmax(1).amax(1)
            head = Reference(x, x, classifier.network.head.weight.detach(), classifier.network.head.bias.detach())
            found = detectors.KINDS["mcm"].model_validate({"kind": "mcm", "temperature": tau}).fit(head).score(x)
            torch.testing.assert_close(found.double(), (p / (1 - p)).log(), rtol=1e-4, atol=1e-5)
        scores.append(detectors.KINDS["mcm"].model_validate({"kind": "mcm"}).fit(head).score(x))
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-4, atol=1e-5)


def test_the_model_is_read_back_whole(folder: Path, tmp_path: Path) -> None:
    classifier = recipe(folder).classifier(CLASSES, str)
    classifier.save(tmp_path / "model.safetensors")
    again = Classifier.load(tmp_path / "model.safetensors")
    one, other = (logits_and_features(each, images(), torch.device("cpu"))[0] for each in (classifier, again))
    assert torch.equal(one, other)


def test_small_images_are_enlarged_to_the_folder_s_size(folder: Path) -> None:
    assert recipe(folder).network.image_size == 28
    small = recipe(folder).classifier(CLASSES, str)
    assert small.network.features(small.normalised(torch.from_numpy(images(2, 20)))).shape == (2, 12)


def test_features_of_a_frozen_clip_are_its_embeddings(folder: Path) -> None:
    network = TransformersNetwork(name="transformers/clip_with_projection", pretrained=str(folder), freeze="backbone")
    made = initial(network, 3, seed=1).eval()
    inputs = torch.randn((2, 3, 28, 28), generator=torch.Generator().manual_seed(0))
    expected = CLIPModel.from_pretrained(folder).eval().get_image_features(pixel_values=inputs).pooler_output
    torch.testing.assert_close(made.features(inputs), expected)
    assert network.feature_count == 12
    assert made.stage_weights()[-1][-1] == "model.visual_projection.weight"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"words": {"bird": "bird"}}, "words: 'bird' is no class of the dataset"),
        ({"words": {"c3": "zebra"}}, "class 'c3': the tokenizer has no token for the word 'zebra'; give the class an"),
        ({"words": {}}, "class 'c3': the tokenizer has no token for the word 'c3'"),
        ({"templates": ["a photo, a {}"]}, "templates: the tokenizer has no token for something in 'a photo, a {}'"),
        ({"templates": ["a photo of a photo of a {}"]}, "makes a text of 11 tokens, the text encoder takes 8"),
        ({"sha256": "0" * 64}, "has SHA-256"),
    ],
)
def test_what_the_folder_cannot_do(folder: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(SynthoodError) as told:
        recipe(folder, **more).classifier(CLASSES, str)
    assert message in str(told.value)


def test_incomplete_folders(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(SynthoodError, match=r"pytorch_model\.bin is a pickle, which is not read"):
        recipe(copied).classifier(CLASSES, str)
    (copied / "pytorch_model.bin").rename(copied / "model.safetensors")
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (copied / name).unlink(missing_ok=True)
    with pytest.raises(SynthoodError, match="no tokenizer in it"):
        recipe(copied).classifier(CLASSES, str)


def test_code_in_a_folder_is_refused(copied: Path) -> None:
    (copied / "modeling_clip.py").write_text("raise SystemExit\n")
    with pytest.raises(SynthoodError, match="modeling_clip"):
        recipe(copied).classifier(CLASSES, str)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"templates": ["no word"]}, "templates"),
        ({"templates": ["{} and {}"]}, "templates"),
        ({"templates": []}, "templates"),
        ({"path": "clip{seed}"}, "one folder serves all seeds"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_bad_settings(folder: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe(folder, **more)


def test_the_plan_imports_it_once_for_all_seeds(edited: Any, folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    keys = {"kind": "zero-shot", "path": "clip", "templates": TEMPLATES}
    plan = Plan(load(edited({"recipes/clip": keys, "tables/demo-sio/recipes/1": "clip"})))
    wild = SimpleNamespace(dataset="digits", recipe="clip", seed="2")
    assert plan.recipes("imported") == ["clip"]
    assert "clip (recipes.clip.path)" in map(str, plan.missing())
    shutil.copytree(folder, "clip")
    assert not [one for one in plan.missing() if "recipes.clip" in str(one)]
    before = plan.checkpoint_state(wild)
    assert before
    (Path("clip") / "merges.txt").write_text("changed")
    assert plan.checkpoint_state(wild) != before
    assert plan.checkpoint_settings(wild).recipe == ZeroShotRecipe.model_validate(keys)
