"""The HTML card: the Markdown card's words, a true picture, nothing loaded from elsewhere."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import synthood
from synthood.deploy.card import card, seen_before
from synthood.deploy.export import export, split_calibrated
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.known_classes import backbone_facts
from synthood.deploy.page import BINS, histograms, page
from synthood.deploy.predictor import features_of
from synthood.errors import printable
from synthood.evaluation.detectors.logits import Energy
from synthood.evaluation.features import Features, Reference
from synthood.training.networks.pretraining import Pretraining
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


def backbone(trained_on: list[str], classes: list[str]) -> dict[str, Any]:
    began = Pretraining("timm/some_net", "package of_weights", "ab" * 32, trained_on, "head", "cd" * 32)
    return backbone_facts(began, {"held-out": classes})


def test_classes_that_the_backbone_may_know_are_named() -> None:
    classes = ["shoes", "pretzel", "digits"]
    text = seen_before(backbone(["ImageNet-1k"], classes), classes)
    assert "Names of ImageNet-1k like those of OOD sets: shoes (running shoe), pretzel (pretzel)." in text
    assert "No name of ImageNet-1k is like digits, though its images may be." in text
    unknown = seen_before(backbone([], ["shoes"]), ["shoes"])
    assert "Whether shoes is among that is unknown: no list of its classes is at hand." in unknown


def test_the_card_says_which_weights_a_network_began_with(facts: Any) -> None:
    assert "Backbone" not in card(facts)
    text = card(facts | {"backbone": backbone(["ImageNet-1k"], ["shoes"]), "ood_classes": {"held-out": ["shoes"]}})
    assert (
        f"- Backbone: timm/some\\_net, weights: package of\\_weights, SHA-256 {'ab' * 32}; trained with the labels of "
        f"ImageNet-1k. It is frozen, only the head was trained; SHA-256 of the weights below the head {'cd' * 32}."
    ) in text
    assert "shoes (running shoe)" in text


AWKWARD = ["a|b", "<b>", "[x](y)", "`code`", "*bold* _it_", "&lt;", "two\nlines", "~~gone~~", "\\|"]


def test_awkward_names_are_shown_as_they_are(facts: Any) -> None:
    """In both cards, in lists and in tables, which keep their columns."""
    ood = dict.fromkeys(AWKWARD, facts["measured"]["ood"]["<noise> & co"])
    group = facts["thresholds"][0]
    changed = facts | {
        "classes": AWKWARD,
        "measured": facts["measured"] | {"ood": ood},
        "ood_classes": {"a|b": AWKWARD},
        "thresholds": [group | {"group": name} for name in AWKWARD],
        "backbone": backbone(["ImageNet-1k"], AWKWARD),
    }
    text = page(changed)
    expected = [printable(name) for name in AWKWARD]
    body = re.sub(r"<(style|figure|title)>.*?</\1>", " ", text, flags=re.DOTALL)
    assert not re.search(r"<(b|em|s|a)[ >]", body)
    assert body.count("<strong>") == len(facts["warnings"])
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)]
    cells = [[unescape(cell) for cell in row] for row in rows if row]
    assert [len(row) for row in cells] == [5] * len(AWKWARD) + [len(cells[-1])] * len(AWKWARD)
    assert [row[0] for row in cells[: len(AWKWARD)]] == expected
    assert [row[0] for row in cells[len(AWKWARD) + 1 :]] == expected[1:]
    assert cells[len(AWKWARD)][0] == f"a|b ({', '.join(expected[1:7])} and 2 more)"
    assert f"<li>Classes: {', '.join(expected)}.</li>" in unescape(body)
    assert all(name in unescape(re.sub("<code>.*?</code>", "", body)) for name in expected)


def test_the_page_needs_no_folder_name(tmp_path: Path, facts: Any) -> None:
    (tmp_path / "card.html").write_text(page(facts))
    assert (tmp_path / "card.html").stat().st_size < 20_000
