"""`like: other` in entries with names."""

import copy
import re

import pytest
import yaml

from checkouts import PROJECT
from synthood.config.benchmarks import expanded
from synthood.config.like import SECTIONS, merged, resolved
from synthood.config.load import load
from synthood.config.messages import MistakeError, word
from synthood.errors import SynthoodError


def test_sections_are_merged_deeply():
    below = {"a": 1, "s": {"x": 1, "deep": {"p": 1, "q": 2}}, "list": [1, 2]}
    above = {"b": 2, "s": {"y": 2, "deep": {"q": 3}}, "list": [3]}
    assert merged(below, above) == {
        "a": 1,
        "b": 2,
        "s": {"x": 1, "y": 2, "deep": {"p": 1, "q": 3}},
        "list": [3],  # a list is a value
    }


def test_null_takes_a_key_away():
    below = {"a": 1, "s": {"x": 1, "y": 2}, "t": {"z": 3}}
    assert merged(below, {"a": None, "s": {"x": None}, "t": None, "never": None}) == {"s": {"y": 2}}


def test_a_section_replaces_a_value_and_a_value_a_section():
    assert merged({"a": 1, "s": {"x": 1}}, {"a": {"y": 2}, "s": 3}) == {"a": {"y": 2}, "s": 3}


def test_merging_leaves_its_arguments_alone():
    below, above = {"s": {"x": 1}}, {"s": {"y": 2}}
    before = copy.deepcopy((below, above))
    merged(below, above)["s"]["z"] = 3
    assert (below, above) == before


def test_likes_are_followed_to_the_end_whatever_the_order():
    recipes = {
        "c": {"like": "b", "n": {"w": 3}},
        "b": {"like": "a", "e": 2, "n": {"v": 2}},
        "a": {"e": 1, "f": 1, "n": {"v": 1, "u": 1}},
    }
    expected = {
        "a": {"e": 1, "f": 1, "n": {"v": 1, "u": 1}},
        "b": {"e": 2, "f": 1, "n": {"v": 2, "u": 1}},
        "c": {"e": 2, "f": 1, "n": {"v": 2, "u": 1, "w": 3}},
    }
    assert resolved("recipes", recipes) == expected
    assert resolved("recipes", dict(reversed(recipes.items()))) == expected
    assert list(resolved("recipes", recipes)) == ["c", "b", "a"]


def test_a_key_taken_away_comes_back_below_only_if_given():
    recipes = {"a": {"s": {"x": 1}}, "b": {"like": "a", "s": None}, "c": {"like": "b", "s": {"y": 2}}}
    assert resolved("recipes", recipes) == {"a": {"s": {"x": 1}}, "b": {}, "c": {"s": {"y": 2}}}


@pytest.mark.parametrize(
    ("recipes", "path", "circle"),
    [
        ({"a": {"like": "a"}}, "recipes.a.like", "a -> a"),
        ({"a": {"like": "b"}, "b": {"like": "c"}, "c": {"like": "a"}}, "recipes.c.like", "a -> b -> c -> a"),
        ({"d": {"like": "a"}, "a": {"like": "b"}, "b": {"like": "a"}}, "recipes.b.like", "d -> a -> b -> a"),
    ],
    ids=["one", "three", "behind another"],
)
def test_a_circle_is_told_with_its_way(recipes, path, circle):
    with pytest.raises(MistakeError) as caught:
        resolved("recipes", recipes)
    assert caught.value.path == path
    assert caught.value.what == f"goes in a circle ({circle}); take one `like` away"


@pytest.mark.parametrize(
    ("edits", "path"),
    [
        ({"recipes/ce/like": "ce"}, "recipes.ce.like: goes in a circle (ce -> ce); "),
        (
            {"recipes/ce/like": "sio-sd", "recipes/sio-sd/like": "sio-biggan", "recipes/sio-biggan/like": "ce"},
            "recipes.sio-biggan.like: goes in a circle (ce -> sio-sd -> sio-biggan -> ce); ",
        ),
        ({"recipes/judge/like": "cee"}, "recipes.judge.like: no recipe is named 'cee'; did you mean 'ce'? (known: "),
        ({"recipes/judge/like": 3}, "recipes.judge.like: no recipe is named 3 (known: "),
        ({"recipes/judge/like": {"ce": 1}}, "recipes.judge.like: no recipe is named {'ce': 1}"),
        (
            {"recipes/judge/like": ["ce", "cutuot"]},
            "recipes.judge.like: no recipe is named 'cutuot'; did you mean 'cutout'?",
        ),
    ],
)
def test_the_configuration_tells_wrong_likes(edited, edits, path):
    with pytest.raises(SynthoodError) as caught:
        load(edited(edits), "my.yaml")
    assert str(caught.value).startswith(f"my.yaml: {path}")


def test_recipes_of_the_configuration_take_over_sections(edited, demo):
    raw = edited(
        {
            "recipes/ce/augmentation": {"shift": 3, "flip": True},
            "recipes/cutout": {"like": "ce", "augmentation": {"cutout": 12, "shift": 1}},
            "recipes/plain": {"like": "cutout", "augmentation": {"flip": False}},
        }
    )
    raw["recipes"]["bare"] = {"like": "cutout", "augmentation": None, "warmup": None}
    recipes = load(raw).recipes
    assert recipes["cutout"].augmentation.model_dump(exclude_none=True) == {
        "shift": 1,
        "padding": "replicate",
        "flip": True,
        "cutout": 12,
    }
    assert (recipes["plain"].augmentation.flip, recipes["plain"].augmentation.cutout) == (False, 12)
    assert recipes["bare"].augmentation.model_dump(exclude_defaults=True) == {}
    assert recipes["bare"].warmup == 0.0
    assert recipes["cutout"].warmup == demo["recipes"]["ce"]["warmup"] > 0


def test_a_control_takes_over_all_that_it_does_not_change_of_the_outliers(edited):
    own = {"from": "oal", "boundary_weight": 0.3, "latent_weight": 0.05, "temperature": 0.2}
    raw = edited(
        {
            "recipes/oal/outliers": own,
            "recipes/oal-random-outliers": {"like": "oal", "outliers": {"negatives": "other-classes"}},
            "recipes/no-latents": {"like": "oal-random-outliers", "outliers": {"latent_weight": 0, "negatives": None}},
            "recipes/no-outliers": {"like": "oal", "outliers": None},
        }
    )
    recipes = load(raw).recipes
    shown = recipes["oal-random-outliers"].outliers.model_dump(by_alias=True, exclude_defaults=True)
    own = {"kind": "outliers"} | own
    assert shown == own | {"negatives": "other-classes"}
    assert recipes["oal-random-outliers"].teacher == recipes["oal"].teacher == recipes["kd"].teacher
    shown = recipes["no-latents"].outliers.model_dump(by_alias=True, exclude_defaults=True)
    assert shown == own | {"latent_weight": 0.0}
    assert recipes["no-outliers"] == recipes["kd"]


def test_a_part_of_a_teacher_keeps_the_rest(demo):
    demo["recipes"]["more"] = {"like": "kd", "teacher": {"feature_form": "released"}}
    teacher = load(demo).recipes["more"].teacher
    assert (teacher.recipe, teacher.logit_weight, teacher.feature_weight) == ("teacher", 4.0, 8.0)
    assert teacher.feature_form == "released"


def test_keys_of_several_entries_in_their_order():
    recipes = {
        "ce": {"epochs": 1, "warmup": 0.2, "augmentation": {"shift": 3}},
        "sio": {"like": "ce", "synthetic": {"alpha": 0.8}},
        "long": {"like": "ce", "epochs": 9, "warmup": None},
        "short": {"like": "ce", "epochs": 2, "augmentation": {"cutout": 1}},
        "both": {"like": ["long", "sio"]},
        "all": {"like": ["short", "both"], "augmentation": {"shift": 5}},
    }
    found = resolved("recipes", recipes)
    # What `long` changed or took away of `ce` stays so, though `sio` is like `ce` too.
    assert found["both"] == {"epochs": 9, "augmentation": {"shift": 3}, "synthetic": {"alpha": 0.8}}
    assert found["all"] == found["both"] | {"augmentation": {"shift": 5, "cutout": 1}}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_has_like(edited, demo, section):
    name = next(iter(demo[section]))
    config = load(edited({f"{section}/copy": {"like": name}}))
    assert getattr(config, section)["copy"] == getattr(config, section)[name]
    for like, what in (
        (name + "x", f"no {word(section)} is named '{name}x'; did you mean '{name}'? (known: "),
        (["copy"], "goes in a circle (copy -> copy); take one `like` away"),
    ):
        with pytest.raises(SynthoodError) as caught:
            load(edited({f"{section}/copy": {"like": like}}), "my.yaml")
        assert str(caught.value).startswith(f"my.yaml: {section}.copy.like: {what}")


def test_entries_of_other_sections_are_merged_deeply(edited):
    config = load(
        edited(
            {
                "generators/few": {"like": "sd", "sample": {"guidance": 1.5, "steps": None}, "images_per_class": 3},
                "outliers/k-5": {"like": "oal", "boundary": {"k": 5}, "curve": None},
                "detectors/knn-50": {"like": "knn", "k": 50},
                "tables/short": {"like": "demo-sio", "seeds": [7]},
            }
        )
    )
    sd, few = config.generators["sd"], config.generators["few"]
    assert few.model_dump() == sd.model_dump() | {
        "sample": sd.sample.model_dump() | {"guidance": 1.5, "steps": type(sd.sample)().steps},
        "images_per_class": 3,
    }
    oal = config.outliers["oal"]
    assert config.outliers["k-5"].boundary == oal.boundary.model_copy(update={"k": 5})
    assert (config.outliers["k-5"].curve, config.outliers["k-5"].gate) == (None, oal.gate)
    assert config.detectors["knn-50"].k == 50
    assert config.tables["short"] == config.tables["demo-sio"].model_copy(update={"seeds": [7]})


def test_a_dataset_is_like_one_with_a_benchmark():
    own = {"benchmark": "openood-cifar10", "path": "a", "near": {"tin": None}, "far": {"mine": {"like": "svhn"}}}
    datasets = {
        "d": own,
        "few": {"like": "d", "id": {"train_per_class": 5}},
        "moved": {"like": "few", "path": "b", "near": {"tin": None}, "far": None},
        "other": {"like": "d", "benchmark": "sio-imagenet10", "far": None},
    }
    found = expanded(datasets)
    assert list(found["d"]["near"]) == ["cifar100"]
    assert found["d"]["far"]["mine"] == found["d"]["far"]["svhn"]
    assert found["few"] == found["d"] | {"id": found["d"]["id"] | {"train_per_class": 5}}
    assert (list(found["moved"]["near"]), "far" in found["moved"]) == (["cifar100"], False)
    assert found["moved"]["id"]["path"] == "b/images_classic"
    assert list(found["other"]["near"]) == ["non_10"]


def test_sets_of_a_dataset_are_like_one_another(edited, demo):
    digits = {"like": "digits-6-7", "classes": [8, 9]}
    noise = {"like": "noise", "images": 9, "seed": 3}
    raw = edited({"datasets/digits/near": {"digits-8-9": digits}, "datasets/digits/ood_validation": noise})
    dataset = load(raw).datasets["digits"]
    assert dataset.near == load(demo).datasets["digits"].near
    assert (dataset.ood_validation.kind, dataset.ood_validation.images) == ("noise", 9)
    digits["like"] = "digits-6-8"
    path = "datasets.digits.near.digits-8-9.like: no set is named 'digits-6-8'; did you mean 'digits-6-7'? (known: "
    with pytest.raises(SynthoodError, match="^my.yaml: " + re.escape(path)):
        load(raw, "my.yaml")


def test_a_mistake_is_reported_once_where_it_was_made(edited):
    raw = edited({"generators/sd/sample/guidence": 1, "generators/few": {"like": "sd"}})
    raw["generators"]["fewer"] = {"like": ["biggan", "few"], "block_size": 0}
    with pytest.raises(SynthoodError) as caught:
        load(raw)
    lines = str(caught.value).splitlines()
    assert sum("guidence" in line for line in lines) == 1
    assert any(line.startswith("config: generators.fewer.block_size: ") for line in lines)


@pytest.mark.parametrize("file", [PROJECT / "config.yaml", *sorted((PROJECT / "configs").glob("*.yaml"))])
def test_shipped_configurations_need_no_aliases(file):
    events = yaml.parse(file.read_text())
    assert not [event for event in events if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None)]


def test_a_network_of_a_kind_takes_no_keys_of_one_with_a_name():
    own = {"kind": "custom", "file": "net.py", "function": "net"}
    named = {"name": "resnet8", "width": 8}
    raw = {"ce": {"network": named}, "own": {"like": "ce", "network": own}, "wide": {"like": "own", "network": named}}
    raw["other"] = {"like": "own", "network": {"file": "other.py"}}
    found = resolved("recipes", raw)
    assert [found[name]["network"] for name in ("own", "wide")] == [own, named]
    assert found["other"]["network"] == own | {"file": "other.py"}
