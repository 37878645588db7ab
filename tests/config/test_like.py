"""`like: other` in recipes."""

import copy

import pytest

from synthood.config.like import merged, resolved
from synthood.config.load import load
from synthood.config.messages import MistakeError
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
            "recipes/oal-random-outliers": {"like": "oal", "outliers": {"take": "other-classes"}},
            "recipes/no-latents": {"like": "oal-random-outliers", "outliers": {"latent_weight": 0, "take": None}},
            "recipes/no-outliers": {"like": "oal", "outliers": None},
        }
    )
    recipes = load(raw).recipes
    shown = recipes["oal-random-outliers"].outliers.model_dump(by_alias=True, exclude_defaults=True)
    assert shown == own | {"take": "other-classes"}
    assert recipes["oal-random-outliers"].teacher == recipes["oal"].teacher == recipes["kd"].teacher
    shown = recipes["no-latents"].outliers.model_dump(by_alias=True, exclude_defaults=True)
    assert shown == own | {"latent_weight": 0.0}
    assert recipes["no-outliers"] == recipes["kd"]


def test_a_part_of_a_teacher_keeps_the_rest(demo):
    demo["recipes"]["more"] = {"like": "kd", "teacher": {"feature_form": "released"}}
    teacher = load(demo).recipes["more"].teacher
    assert (teacher.recipe, teacher.logit_weight, teacher.feature_weight) == ("teacher", 4.0, 8.0)
    assert teacher.feature_form == "released"
