"""`synthood explain KEY`."""

import pytest

from synthood.config.explain import explain, matching
from synthood.errors import SynthoodError

ALPHA = """\
recipes.NAME.synthetic.alpha (kind: train)
  type     number > 0, ≤ 1
  default  required
  meaning  share of real images in a batch, or their weight
  paper    arXiv 2303.14531
  used     config.yaml: recipes.sio-biggan.synthetic.alpha: 0.8
  used     configs/ablation-sio-cifar10.yaml: recipes.sio.synthetic.alpha: 0.8
  used     configs/ablation-sio-cifar10.yaml: recipes.sio-0.95.synthetic.alpha: 0.95
"""


@pytest.mark.parametrize(
    "path", ["recipes.synthetic.alpha", "recipes.sio.synthetic.alpha", "recipes.sio-0.9.train.synthetic.alpha"]
)
def test_names_and_kinds_may_be_left_out(path):
    assert explain(path).startswith(ALPHA)


def test_a_kind_is_preferred_to_a_name():
    assert explain("detectors.knn.k").splitlines()[:3] == [
        "detectors.NAME.k (kind: knn)",
        "  type     integer ≥ 1, or a list of such values",
        "  default  50",
    ]


def test_of_a_name_whose_kind_is_unknown_every_kind_is_explained():
    assert {key.path[2].values for key in matching("detectors.mine.k")} == {
        ("knn",),
        ("nnguide",),
        ("cider",),
        ("good",),
    }


def test_keys_that_say_the_same_are_explained_once():
    first, second = explain("datasets.near.path").split("\n\n")
    assert first.startswith("datasets.NAME.near.NAME.path (kind: arrays)\n  type")
    assert second.startswith(
        "datasets.NAME.near.NAME.path (kind: cifar10, ..., imagenet)\ndatasets.NAME.near.NAME.path (kind: folders)\n"
    )


def test_a_use_is_of_the_same_kind():
    text = explain("generators.sample.few-step.steps")
    uses = [line for line in text.splitlines() if line.startswith("  used")]
    assert uses == ["  used     configs/sio-imagenet10.yaml: generators.sd-few-step.sample.steps: 4"]


def test_places_in_lists_are_keys_as_names_are():
    assert explain("datasets.cifar10.allow_overlap.0.images") == explain("datasets.allow_overlap.images")


def test_a_section_lists_its_keys_or_kinds():
    assert "\n  key      from: a generator\n  key      alpha: share of real images" in explain("recipes.synthetic")
    assert "\n  kind     knn: Minus the squared distance" in explain("detectors")
    assert explain("detectors.mine").startswith("detectors.NAME\n  type     section by kind\n")


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("recipes.synthetic.alhpa", "recipes.synthetic.alpha, "),
        ("recipes.sio.synthetic.alpa", "recipes.synthetic.alpha, "),
        ("detectors.kn.kk", "detectors.k"),
        ("synthetic.alpha", "recipes.synthetic.alpha, "),
        ("recipies", "recipes, "),
        ("", ""),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest(path, nearest):
    with pytest.raises(SynthoodError, match=rf"^{path}: no such key; the nearest are {nearest}"):
        explain(path)


def test_a_key_of_version_1_leads_to_the_new_one():
    with pytest.raises(SynthoodError, match=r"^recipes.oe.exposure.per_image: a key of version 1; version 2 has"):
        explain("recipes.oe.exposure.per_image")
