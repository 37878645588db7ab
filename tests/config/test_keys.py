"""Keys of the JSON schema: each is described, with its type, default and paper."""

from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from synthood.common.settings import Settings
from synthood.config.explain import matching
from synthood.config.keys import NAME, Key, Tag, all_keys, papers_of, type_of


def test_every_key_is_described():
    bare = {f"{key.owner['title']}.{key.path[-1]}" for key in all_keys() if key.path[-1] != NAME and not key.meaning}
    assert bare == set(), "give these keys a description, or their class a docstring"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("recipes.synthetic.alpha", "number > 0, ≤ 1"),
        ("tables.seeds", "list (at least 1) of integer ≥ 0, < 2^31"),
        ("recipes.augmentation.padding", "one of zero, replicate, black"),
        ("recipes.augmentation.flip", "true or false"),
        ("recipes.synthetic", "section or null"),
        ("recipes.train.mixing", "section by kind or null"),
        ("recipes.mean", "list (3) of number ≥ 0"),
        ("detectors.knn.k", "integer ≥ 1, or a list of such values"),
        ("detectors.gen.top", "integer ≥ 1 or null, or a list of such values"),
        ("datasets.near", "named sections by kind"),
        ("datasets.allow_overlap", "list of sections"),
        ("datasets.id.digits.nuisance.scale", "list (2) of number > 0"),
        ("outliers.latents.scale", "number > 0 or released"),
        ("outliers.gate.percentile", "number ≥ 0, ≤ 100"),
        ("generators.stable-diffusion.words", "text, by name"),
    ],
)
def test_types_are_told_in_words(path, kind):
    assert {key.type for key in matching(path)} == {kind}


@pytest.mark.parametrize(
    ("path", "default"),
    [
        ("recipes.synthetic.alpha", "required"),
        ("recipes.like", "null"),
        ("recipes.train", "the default"),
        ("recipes.checkpoint", ""),
        ("recipes.augmentation", "its defaults"),
        ("recipes.augmentation.padding", "replicate"),
        ("generators.sample.negative_prompt", '""'),
        ("tables.full_spectrum", "false"),
        ("tables.columns", '["auroc", "fpr95_id_positive", "fpr95_ood_positive", "id_accuracy"]'),
    ],
)
def test_defaults_are_as_yaml_writes_them(path, default):
    assert {key.default for key in matching(path)} == {default}


def test_a_section_of_a_kind_has_the_papers_of_its_docstring():
    (knn,) = matching("detectors.knn")
    (teacher,) = matching("recipes.teacher")
    (detectors,) = matching("detectors")
    assert (knn.papers, teacher.papers, detectors.papers) == (["2204.06507"], ["1503.02531"], [])


class Scored(Settings):
    """A score."""

    paper: ClassVar[str] = "Gal and Ghahramani, ICML 2016"

    kind: Literal["scored"]
    share: Annotated[float, Field(gt=0, description="of the whole")]


def test_a_class_may_name_its_paper():
    schema = Scored.model_json_schema()
    kind, share = (
        Key(("scores", Tag("kind", ("scored",), False), name), schema["properties"][name], schema)
        for name in ("kind", "share")
    )
    assert papers_of(schema) == kind.papers == ["Gal and Ghahramani, ICML 2016"]
    assert (kind.meaning, share.meaning, share.papers, type_of(share.node)) == (
        "A score.",
        "of the whole",
        [],
        "number > 0",
    )
    assert papers_of(schema | {"x-paper": "arXiv 2204.06507"}) == ["2204.06507"]


def test_a_tag_covers_sections_of_its_kind():
    timm = Tag("name", ("timm/NAME",), False)
    assert timm.covers({"name": "timm/vit"})
    assert not timm.covers({"name": "resnet8"})
    assert not timm.covers({})
    assert Tag("kind", ("train",), True).covers({})
