"""Equal meaning, equal text: what Snakemake compares to decide what runs again."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from synthood.common.settings import canonical_json
from synthood.config.load import load
from synthood.data.sources.digits import IdDigits, Nuisance
from synthood.evaluation.settings import ScoreSettings
from synthood.generators.biggan.settings import BigGANFit
from synthood.generators.kinds.biggan import BigGANSampling
from synthood.outliers.latents_settings import LatentsSettings
from synthood.training.methods.outliers import OutlierTerms
from synthood.training.methods.teacher import Teacher
from synthood.training.settings import RecipeSettings, Synthetic, TrainSettings

RECIPE = '"network":{"name":"resnet8"},"epochs":2,"batch_size":4,"learning_rate":0.1'
FULL = "{" + RECIPE + "}"


@pytest.mark.parametrize(
    ("model", "one", "other"),
    [
        (RecipeSettings, FULL, FULL.replace("0.1", "0.10")),
        (RecipeSettings, FULL, FULL.replace("0.1", "1e-1")),
        (Synthetic, '{"from":"g","alpha":1}', '{"from":"g","alpha":1.0}'),
        (Synthetic, '{"from":"g","alpha":0.5}', '{"alpha":0.50,"from":"g"}'),
        (LatentsSettings, '{"attempts_per_class":3,"scale":4}', '{"scale":4.0,"attempts_per_class":3,"sample":{}}'),
        (OutlierTerms, '{"from":"o"}', '{"latent_weight":0.2,"negatives":"outliers","from":"o","estimator":"infonce"}'),
        (Teacher, '{"recipe":"t"}', '{"feature_weight":0,"logit_weight":4,"feature_form":"cosine","recipe":"t"}'),
        (Nuisance, '{"scale":[1,2]}', '{"scale":[1.0,2.0]}'),
        (Nuisance, "{}", '{"rotation":0,"scale":[1,1],"contrast":[1,1]}'),
        (BigGANFit, '{"steps":3}', '{"steps":3,"batch_size":32,"learning_rate":0.002,"seed":0}'),
        (BigGANSampling, '{"kind":"biggan"}', '{"kind":"biggan","sample":{}}'),
        (BigGANSampling, '{"kind":"biggan"}', '{"kind":"biggan","sample":{"truncation":1,"seed":0}}'),
        (TrainSettings, '{"recipe":' + FULL + "}", '{"precision":"auto","recipe":{"teacher":null,' + RECIPE + "}}"),
        (
            RecipeSettings,
            FULL,
            '{"augmentation":{"flip":false},' + FULL[1:].replace('{"name"', '{"width":16,"name"'),
        ),
        (
            ScoreSettings,
            '{"detectors":{"a":{"kind":"msp"},"b":{"kind":"knn"}},"near":["n"],"far":["f"]}',
            '{"far":["f"],"near":["n"],"detectors":{"b":{"k":50,"kind":"knn"},"a":{"kind":"msp"}}}',
        ),
    ],
)
def test_equal_meaning_has_equal_text(model, one, other):
    assert one != other
    assert model.parse(one).canonical() == model.parse(other).canonical()


@pytest.mark.parametrize(
    ("model", "one", "other"),
    [
        (Synthetic, '{"from":"g","alpha":0.5}', '{"from":"g","alpha":0.25}'),
        (Synthetic, '{"from":"g","alpha":0.5}', '{"from":"h","alpha":0.5}'),
        (Nuisance, '{"scale":[0.5,1]}', '{"scale":[1,1.5]}'),
        (BigGANFit, '{"steps":3}', '{"steps":3,"seed":1}'),
        (LatentsSettings, '{"attempts_per_class":3,"scale":4}', '{"attempts_per_class":3,"scale":"released"}'),
        (OutlierTerms, '{"from":"o"}', '{"from":"o","boundary_weight":0}'),
        (OutlierTerms, '{"from":"o"}', '{"from":"o","negatives":"other-classes"}'),
        (Teacher, '{"recipe":"t"}', '{"recipe":"t","logit_weight":0}'),
        (RecipeSettings, FULL, '{"outliers":{"from":"o"},' + FULL[1:]),
        (RecipeSettings, FULL, '{"head_learning_rate":0.01,' + FULL[1:]),
        (RecipeSettings, FULL, '{"augmentation":{"flip":true},' + FULL[1:]),
    ],
)
def test_other_meaning_has_other_text(model, one, other):
    assert model.parse(one).canonical() != model.parse(other).canonical()


def test_the_text_is_the_shortest_json():
    assert Synthetic.parse('{"alpha": 1, "from": "g"}').canonical() == '{"alpha":1.0,"from":"g"}'
    assert Nuisance().canonical() == "{}"
    assert canonical_json({"b": [1, {"d": "ä", "c": None}], "a": True}) == '{"a":true,"b":[1,{"c":null,"d":"ä"}]}'


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.just(0.0) | st.floats(1, 180),
    st.tuples(*[st.floats(0, 8, exclude_min=True)] * 2),
    st.lists(st.integers(0, 9), min_size=1),
    st.integers(0, 2**31 - 1),
)
def test_reading_the_text_gives_the_same_settings(rotation, scale, classes, seed):
    nuisance = Nuisance(rotation=rotation, scale=tuple(sorted(scale)))
    classes = list(dict.fromkeys(classes))
    before = IdDigits(kind="digits", classes=classes, nuisance=nuisance, seed=seed, train_per_class=3, val_per_class=4)
    assert IdDigits.parse(before.canonical()) == before


def test_the_order_of_sections_and_keys_changes_nothing(demo):
    def turned(value):
        return {key: turned(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

    other = load(turned(demo))
    assert json.dumps(demo) != json.dumps(turned(demo))
    assert other.canonical() == load(demo).canonical()


def test_defaults_written_out_change_nothing(demo):
    config = load(demo)
    written_out = json.loads(config.model_dump_json(by_alias=True))
    assert written_out["recipes"]["ce"]["momentum"] == 0.9
    assert load(written_out).canonical() == config.canonical()


@pytest.mark.parametrize(
    "text",
    ['{"from":"g","alpha":"0.5"}', '{"from":"g","alpha":0.5,"more":1}', '{"from":"g","alpha":NaN}', '{"from":"g"}'],
)
def test_reading_is_strict(text):
    with pytest.raises(ValidationError):
        Synthetic.parse(text)


def test_settings_are_frozen():
    nuisance = Nuisance(rotation=3.0)
    with pytest.raises(ValidationError, match="frozen"):
        nuisance.rotation = 4.0
    assert nuisance.rotation == 3.0
