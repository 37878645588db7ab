"""The HTML card: the Markdown card's words, a true picture, nothing loaded from elsewhere."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import synthood
from synthood.deploy.card import card, known_to_backbone
from synthood.deploy.export import export, split_calibrated
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.page import BINS, histograms, page
from synthood.deploy.predictor import features_of
from synthood.evaluation.detectors.logits import Energy
from synthood.evaluation.features import Features, Reference
from toy_models import classifier, pictures


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    model, folder = classifier(), tmp_path_factory.mktemp("card") / "detector"
    calibration, test = (features_of(model, pictures(n, n).images, torch.device("cpu")) for n in (150, 90))
    labelled = Features(test.logits, test.features, torch.from_numpy(pictures(90, 90).labels))
    reference = Reference(calibration, calibration, model.network.head.weight, model.network.head.bias)
    noise = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    ood = {"<noise> & co": features_of(model, noise, torch.device("cpu"))}
    export(
        folder,
        model,
        split_calibrated(Energy().fit(reference), calibration),
        Preprocessing(16, 16),
        test=labelled,
        ood=ood,
    )
    assert (folder / "README.html").read_text() == page(synthood.load(folder).facts)
    return synthood.load(folder).facts


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def test_it_says_what_the_markdown_card_says(facts: Any) -> None:
    text = page(facts)
    shown = re.sub(r"<(style|figure|title)>.*?</\1>", " ", text, flags=re.DOTALL)
    shown = (
        re.sub(r"<[^>]+>", " ", shown)
        .replace("&quot;", '"')
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
    )
    assert words(shown) == words(card(facts).replace("```python", ""))
    assert "<noise>" not in text
    assert "&lt;noise&gt; &amp; co" in text
    assert not re.search(r"<script|src=|href=|url\(|https?:", text)
    assert "prefers-color-scheme:dark" in text


def test_the_picture_counts_every_image_and_has_each_threshold(facts: Any) -> None:
    counts = facts["histograms"]["counts"]
    assert [(name, sum(each)) for name, each in counts] == [("ID test", 90), ("<noise> & co", 40)]
    text = page(facts)
    low, high = facts["histograms"]["edges"][0], facts["histograms"]["edges"][-1]
    inside = [one for one in facts["thresholds"] if low < one["threshold"] < high]
    assert text.count('class="cut"') == len(inside) > 0
    assert text.count('class="id"') == text.count('class="ood"') == 1
    assert "<svg" not in page(facts | {"histograms": {}})


def test_bins_hold_what_lies_beyond_their_ends() -> None:
    values = np.concatenate([np.arange(1000.0), [1e9, -1e9]])
    found = histograms({"a": values, "b": [500.0]})
    assert len(found["edges"]) == BINS + 1
    assert sum(found["counts"][0][1]) == 1002
    assert found["edges"][-1] < 1000
    assert histograms({"a": [1.0, 1.0]})["counts"][0][1] in ([2] + [0] * (BINS - 1), [0] * (BINS - 1) + [2])
    assert histograms({}) == {}


def test_classes_that_the_backbone_may_know_are_named() -> None:
    pytest.importorskip("timm")
    text = known_to_backbone("EfficientNet-Lite0, ImageNet-1k", ["shoes", "pretzel", "digits"])
    assert "By name in ImageNet-1k: shoes, pretzel." in text
    assert "Not found by name: digits; check." in text
    assert "unknown; check" in known_to_backbone("DINOv2, LVD-142M", ["shoes"])


def test_the_page_needs_no_folder_name(tmp_path: Path, facts: Any) -> None:
    (tmp_path / "card.html").write_text(page(facts))
    assert (tmp_path / "card.html").stat().st_size < 20_000
