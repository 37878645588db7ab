"""Every mistake in a configuration is told with source, key path, what was expected and the nearest name."""

import datetime
import re

import pytest

from checkouts import PROJECT
from synthood.config.load import load, load_file
from synthood.config.messages import SHOWN
from synthood.errors import SynthoodError

NAN, INF = float("nan"), float("inf")
NOISE = {"kind": "noise", "images": 3}


def lines_of(raw):
    with pytest.raises(SynthoodError) as caught:
        load(raw, "my.yaml")
    lines = str(caught.value).splitlines()
    assert all(line.startswith("my.yaml: ") for line in lines if not line.startswith("(and "))
    return [line.removeprefix("my.yaml: ") for line in lines]


def assert_told(raw, expected):
    lines = lines_of(raw)
    assert any(line.startswith(expected) for line in lines), f"{expected!r} is not in {lines}"


def test_the_shipped_configuration_is_valid(config_file, demo):
    config = load_file(config_file)
    assert config == load(demo)
    assert list(config.recipes) == list(demo["recipes"])
    assert config.recipes["sio-biggan"].epochs == demo["recipes"]["ce"]["epochs"]  # through `like`
    assert config.recipes["sio-biggan"].synthetic.alpha == demo["recipes"]["sio-biggan"]["synthetic"]["alpha"]


@pytest.mark.parametrize("path", sorted((PROJECT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_other_configuration_is_valid(path):
    config = load_file(path)
    assert set(config.build) <= config.tables.keys()


MISSPELT = {
    "detektors": "detectors",
    "datasets/digits/fra": "far",
    "datasets/digits/id/seeed": "seed",
    "datasets/digits/id/nuisance/rotaton": "rotation",
    "datasets/digits/near/digits-8-9/clases": "classes",
    "datasets/digits/far/photos/imagse": "images",
    "datasets/digits/ood_validation/imags": "images",
    "generators/biggan/images_per_clas": "images_per_class",
    "generators/biggan/fit/stpes": "steps",
    "generators/biggan/sample/truncaton": "truncation",
    "generators/sd/fit/autoencoder_step": "autoencoder_steps",
    "generators/sd/sample/guidence": "guidance",
    "recipes/judge/epoch": "epochs",
    "recipes/cutout/augmentation/shfit": "shift",
    "recipes/judge/network/widht": "width",
    "recipes/sio-sd/synthetic/aplha": "alpha",
    "detectors/knn/kk": "k",
    "detectors/react/percentil": "percentile",
    "tables/demo-sio/recipe": "recipes",
    "recipes/kd/teacher/weight": "logit_weight",
    "recipes/oal/outliers/estimatr": "estimator",
    "outliers/oal/encoder/network/widht": "width",
    "outliers/oal/boundary/boundary_point": "boundary_points",
    "outliers/oal/latents/sample/guidence": "guidance",
    "outliers/oal/gate/percentil": "percentile",
    "outliers/oal/curve/scale": "scales",
    "tables/demo-oal/base": "baselines",
    "assess/jugde": "judge",
    "figures/dip": "dpi",
}


@pytest.mark.parametrize(("path", "meant"), MISSPELT.items(), ids=MISSPELT)
def test_a_misspelt_key_is_told_with_its_path_and_the_nearest_key(edited, path, meant):
    line = f"{path.replace('/', '.')}: unknown key; did you mean {meant!r}? (known: "
    lines = lines_of(edited({path: 1}))
    assert [found[: len(line)] for found in lines] == [line]
    assert meant in lines[0][len(line) :].rstrip(")").split(", ")


WRONG_TYPE = [
    ("recipes/judge/learning_rate", "0.1", "valid number, got '0.1', which is text; take the quotes away"),
    ("recipes/judge/epochs", 1.5, "valid integer, got 1.5 (passes over the real training images)"),
    ("recipes/judge/epochs", "ten", "valid integer, got 'ten'"),
    ("recipes/judge/epochs", True, "valid integer, got True"),
    ("recipes/judge/learning_rate", True, "valid number, got True"),
    ("recipes/cutout/augmentation/flip", 1, "valid boolean, got 1"),
    ("generators/biggan/fit/steps", 1.5, "valid integer, got 1.5 (updates of the weights)"),
    ("generators/biggan/fit/steps", False, "valid integer, got False"),
    (
        "generators/sd/fit/denoiser_channels",
        [32, "64"],
        ".1: input should be a valid integer, got '64', which is text; take the quotes away",
    ),
    (
        "datasets/digits/id/classes",
        [0, "1"],
        ".1: input should be a valid integer, got '1', which is text; take the quotes away",
    ),
    ("datasets/digits/id/nuisance/scale", [0.9, "b"], ".1: input should be a valid number, got 'b'"),
    ("detectors/knn/k", 10.0, "valid integer, got 10.0 (neighbours; the distance is to the k-th)"),
    ("detectors", ["msp"], "object, got ['msp']"),
    ("tables/demo-sio/seeds", [0, 1.5], ".1: input should be a valid integer, got 1.5"),
    ("tables/demo-sio/title", 7, "valid string, got 7"),
    ("build", "demo-sio", "valid array, got 'demo-sio'"),
]


@pytest.mark.parametrize(("path", "value", "what"), WRONG_TYPE, ids=[f"{p}={v}" for p, v, _ in WRONG_TYPE])
def test_a_wrong_type_is_told_with_what_was_expected(edited, path, value, what):
    (line,) = lines_of(edited({path: value}))
    start = path.replace("/", ".")
    inner = re.match(r"(\.\d)?: input should be an? ", line.removeprefix(start))
    assert line.startswith(start)
    assert inner
    assert line.endswith(what)


WRONG_VALUE = {
    "unknown version": ({"version": 3}, "version: expected 2, got 3"),
    "unknown precision": (
        {"precision": "float16"},
        "precision: expected 'auto', 'float32' or 'bfloat16', got 'float16'",
    ),
    "unknown metric": (
        {"tables/demo-sio/columns": ["aurok"]},
        "tables.demo-sio.columns.0: expected 'augrc', 'aupr_in'",
    ),
    "alpha 0": (
        {"recipes/sio-sd/synthetic/alpha": 0},
        "recipes.sio-sd.synthetic.alpha: input should be greater than 0",
    ),
    "alpha 1.5": (
        {"recipes/sio-sd/synthetic/alpha": 1.5},
        "recipes.sio-sd.synthetic.alpha: input should be less than or equal to 1, got 1.5",
    ),
    "block_size 0": (
        {"generators/biggan/block_size": 0},
        "generators.biggan.block_size: input should be greater than or equal to 1, got 0",
    ),
    "nan": (
        {"recipes/judge/learning_rate": NAN},
        "recipes.judge.learning_rate: input should be a finite number, got nan",
    ),
    "inf": ({"detectors/energy/temperature": INF}, "detectors.energy.temperature: input should be a finite number"),
    "-inf": ({"generators/sd/sample/guidance": -INF}, "generators.sd.sample.guidance: input should be a finite number"),
    "nan in a list": (
        {"datasets/digits/id/nuisance/scale": [0.9, NAN]},
        "datasets.digits.id.nuisance.scale.1: input should be a finite number, got nan",
    ),
    "prompt without word": ({"generators/sd/fit/prompt": "a digit"}, "generators.sd.fit.prompt: string should match"),
    "key missing": ({"generators/biggan/fit/steps": None}, "generators.biggan.fit.steps: this key is missing"),
    "section missing": ({"datasets/digits/id": None}, "datasets.digits.id: this key is missing"),
    "kind missing": ({"detectors/knn/kind": None}, "detectors.knn: the key `kind` is missing"),
    "name with a space": ({"detectors/a b": {"kind": "msp"}}, "detectors.a b: string should match pattern"),
    "too many training images": (
        {"datasets/digits/id/train_per_class": 150},
        "datasets.digits.id: train_per_class + val_per_class must leave 20 test images of the rarest digit, "
        "so be at most 154",
    ),
    "duplicate seed": (
        {"tables/demo-sio/seeds": [0, 7, 7]},
        "tables.demo-sio: seeds: 7 is given twice; name each once",
    ),
    "duplicate recipe": (
        {"tables/demo-sio/recipes": ["ce", "sio-sd", "ce"]},
        "tables.demo-sio: recipes: ce is given twice; name each once",
    ),
    "duplicate detector": (
        {"tables/demo-sio/detectors": ["msp", "msp"]},
        "tables.demo-sio: detectors: msp is given twice; name each once",
    ),
    "base not in recipes": (
        {"tables/demo-sio/recipes": ["cutout", "sio-sd"]},
        "tables.demo-sio: baselines: 'ce' is not one of the table's recipes ['cutout', 'sio-sd']",
    ),
    "second base not in recipes": (
        {"tables/demo-sio/baselines": ["sio-sd", "kd"]},
        "tables.demo-sio: baselines: 'kd' is not one of the table's recipes ['ce', 'sio-biggan', 'sio-sd', 'cutout']",
    ),
    "duplicate base": (
        {"tables/demo-sio/baselines": ["ce", "cutout", "ce"]},
        "tables.demo-sio: baselines: ce is given twice; name each once",
    ),
    "base not in a list": (
        {"tables/demo-sio/baselines": "ce"},
        "tables.demo-sio.baselines: input should be a valid array",
    ),
    "nothing to contrast": (
        {"recipes/oal/outliers": {"from": "oal", "boundary_weight": 0, "latent_weight": 0.0}},
        "recipes.oal.outliers: boundary_weight and latent_weight are both 0; raise one, or take `outliers` away",
    ),
    "nothing left to contrast": (
        {"recipes/oal-random-outliers/outliers": {"boundary_weight": 0, "latent_weight": 0}},
        "recipes.oal-random-outliers.outliers: boundary_weight and latent_weight are both 0;",
    ),
    "row means under infonce": (
        {"recipes/oal/outliers/latent_form": "row-mean"},
        "recipes.oal.outliers: latent_form row-mean goes with the estimators club and club-released alone",
    ),
    "negative weight": (
        {"recipes/oal/outliers/boundary_weight": -0.1},
        "recipes.oal.outliers.boundary_weight: input should be greater than or equal to 0, got -0.1",
    ),
    "outliers from nowhere": (
        {"recipes/cutout/outliers": {"negatives": "other-classes"}},
        "recipes.cutout.outliers.from: this key is missing",
    ),
    "unknown estimator": (
        {"recipes/oal/outliers/estimator": "clup"},
        "recipes.oal.outliers.estimator: expected 'infonce', 'club' or 'club-released', got 'clup'",
    ),
    "unknown form of features": (
        {"recipes/kd/teacher/feature_form": "cosin"},
        "recipes.kd.teacher.feature_form: expected 'cosine' or 'released', got 'cosin'",
    ),
    "unknown kind of outliers": (
        {"outliers/oal/kind": "latnt"},
        "outliers.oal: unknown kind 'latnt'; did you mean 'latent'? (known: bood-latent, bood-pixel, custom, guided, "
        "inverted, latent, pixel)",
    ),
    "unknown kind of encoder": (
        {"outliers/oal/encoder/kind": "tim"},
        "outliers.oal.encoder: unknown kind 'tim'; did you mean 'timm'? (known: clip, recipe, text-aligned, timm)",
    ),
    "contextual anchors moved": (
        {"outliers/oal/encoder/anchors": "contextual"},
        "outliers.oal: encoder.anchors contextual are no tokens that could be moved; take latents.scale: released, no",
    ),
    "more kept than candidates": (
        {"outliers/oal/boundary/keep_per_point": 401},
        "outliers.oal.boundary: keep_per_point 401 must not be above candidates 400",
    ),
    "percentile above 100": (
        {"outliers/oal/gate/percentile": 101},
        "outliers.oal.gate.percentile: input should be less than or equal to 100, got 101",
    ),
    "curve at scale 0": (
        {"outliers/oal/curve/scales": [1.0, 0]},
        "outliers.oal.curve.scales.1: input should be greater than 0, got 0",
    ),
    "near set with ID digit": (
        {"datasets/digits/near/digits-8-9/classes": [8, 5]},
        "datasets.digits: OOD set digits-8-9 holds digit 5, which a classifier or generator is taught",
    ),
    "near set with extra digit": (
        {"datasets/digits/near/digits-8-9/classes": [7, 8]},
        "datasets.digits: OOD set digits-8-9 holds digit 7, which a classifier or generator is taught",
    ),
    "far set with ID digit": (
        {"datasets/digits/far/more": {"kind": "digits", "classes": [9, 0]}},
        "datasets.digits: OOD set more holds digit 0, which a classifier or generator is taught",
    ),
    "part name used twice": (
        {"datasets/digits/far/digits-8-9": NOISE},
        "datasets.digits: a set's name may stand once and not be one of train, val, calibration, test, ood_validation: "
        "digits-8-9",
    ),
    **{
        f"part name {name} reserved": (
            {f"datasets/digits/{role}/{name}": NOISE},
            "datasets.digits: a set's name may stand once and not be one of train, val, calibration, test, "
            f"ood_validation: {name}",
        )
        for role, name in (("far", "val"), ("near", "train"), ("extra", "test"), ("far", "ood_validation"))
    },
}


@pytest.mark.parametrize(("edits", "expected"), WRONG_VALUE.values(), ids=WRONG_VALUE)
def test_a_wrong_value_is_told_with_its_path(edited, edits, expected):
    assert_told(edited(edits), expected)


UNKNOWN_KIND = [
    ("generators/biggan/kind", "bigan", "biggan"),
    ("generators/sd/kind", "stable-difusion", "stable-diffusion"),
    ("detectors/msp/kind", "mps", "msp"),
    ("datasets/digits/far/noise/kind", "noize", "noise"),
    ("datasets/digits/near/digits-8-9/kind", "digit", "digits"),
    ("datasets/digits/ood_validation/kind", "shufled-quadrants", "shuffled-quadrants"),
]


@pytest.mark.parametrize(("path", "kind", "meant"), UNKNOWN_KIND)
def test_an_unknown_kind_is_told_with_the_nearest_kind(edited, path, kind, meant):
    (line,) = lines_of(edited({path: kind}))
    section = re.escape(path.removesuffix("/kind").replace("/", "."))
    assert re.match(rf"{section}(\.kind)?: unknown kind '{kind}'; did you mean '{meant}'\? \(known: ", line)


UNKNOWN_NAME = [
    ("build", ["demo-soi"], "build.0: no table is named 'demo-soi'; did you mean 'demo-sio'? (known:"
     " demo-oal, demo-sio)"),
    ("tables/demo-sio/recipes/1", "sio-bigan", "tables.demo-sio.recipes.1: no recipe is named 'sio-bigan'; did you mean"
     " 'sio-biggan'? (known: "),
    ("tables/demo-sio/datasets/0", "digit", "tables.demo-sio.datasets.0: no dataset is named 'digit'; did you mean"
     " 'digits'? (known: digits)"),
    ("tables/demo-sio/detectors/0", "mps", "tables.demo-sio.detectors.0: no detector is named 'mps'; did you mean"
     " 'msp'? (known: "),
    ("recipes/sio-sd/synthetic/from", "bigan", "recipes.sio-sd.synthetic.from: no generator is named 'bigan'; did you"
     " mean 'biggan'? (known: biggan, sd)"),
    ("generators/sd/fit/extra_sets/0", "digits-6-8", "generators.sd.fit.extra_sets.0: no extra set is named"
     " 'digits-6-8'; did you mean 'digits-6-7'? (known: digits-6-7)"),
    ("assess/judge", "juge", "assess.judge: no recipe is named 'juge'; did you mean 'judge'? (known: "),
    ("recipes/cutout/warm_start", "jugde", "recipes.cutout.warm_start: no recipe is named 'jugde'; did you mean"
     " 'judge'? (known: "),
    ("outliers/oal/generator", "sdd", "outliers.oal.generator: no generator is named 'sdd'; did you mean 'sd'? (known:"
     " biggan, sd)"),
    ("outliers/oal/gate/classifier", "cutuot", "outliers.oal.gate.classifier: no recipe is named 'cutuot'; did you mean"
     " 'cutout'? (known: "),
    ("recipes/cutout/teacher", {"recipe": "jugde"}, "recipes.cutout.teacher.recipe: no recipe is named 'jugde'; did"
     " you mean 'judge'? (known: "),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "expected"), UNKNOWN_NAME, ids=[case[0] for case in UNKNOWN_NAME])
def test_an_unknown_name_is_told_with_the_nearest_name(edited, path, value, expected):
    assert_told(edited({path: value}), expected)


def test_outliers_that_no_section_makes_are_told_with_the_nearest_section(edited, demo):
    demo["outliers"]["oal-released"] = demo["outliers"]["oal"]
    raw = edited({"outliers": demo["outliers"], "recipes/oal-random-outliers/outliers/from": "oal-relased"})
    (line,) = lines_of(raw)
    assert line.startswith("recipes.oal-random-outliers.outliers.from: no ")
    assert line.endswith("is named 'oal-relased'; did you mean 'oal-released'? (known: oal, oal-released)")


def test_exposure_names_a_section_of_outliers_or_an_extra_set(edited, demo):
    exposed = {"like": "ce", "exposure": {"kind": "uniform", "from": "oal-relased"}}
    raw = edited({"outliers": demo["outliers"], "recipes/exposed": exposed})
    (line,) = lines_of(raw)
    assert line.startswith("recipes.exposed.exposure.from: no section of outliers or extra set is named 'oal-relased'")


def test_every_dataset_of_a_table_has_the_set_that_a_recipe_is_exposed_to(edited, demo):
    exposed = {"like": "ce", "exposure": {"kind": "uniform", "from": "digits-6-7"}}
    bare = {key: value for key, value in demo["datasets"]["digits"].items() if key != "extra"}
    tables = demo["tables"] | {
        "t": demo["tables"]["demo-sio"] | {"datasets": ["digits", "bare"], "recipes": ["ce", "exposed"]}
    }
    raw = edited({"datasets/bare": bare, "recipes/exposed": exposed, "tables": tables})
    assert "tables.t.datasets: 'bare' has no extra set 'digits-6-7', which 'exposed' is shown" in "\n".join(
        lines_of(raw)
    )


def test_datasets_of_tables_have_the_extra_sets_that_generators_behind_them_learn(edited, demo):
    bare = {key: value for key, value in demo["datasets"]["digits"].items() if key != "extra"}
    assert load(edited({"datasets/bare": bare})).datasets["bare"].extra == {}
    tables = demo["tables"] | {"t": {"like": "demo-oal", "datasets": ["digits", "bare"]}}
    (line,) = lines_of(edited({"datasets/bare": bare, "tables": tables}))
    assert line == "tables.t.datasets: 'bare' has no extra set 'digits-6-7', which 'sd' is shown"


def test_recipes_cannot_contrast_outliers_without_the_section_that_makes_them(edited):
    first, second = lines_of(edited({"outliers": None}))
    assert first.startswith("recipes.oal.outliers.from: no ")
    assert second.startswith("recipes.oal-random-outliers.outliers.from: no ")


@pytest.mark.parametrize("scale", ["released", 4, 0.25])
def test_a_scale_is_a_length_or_released(edited, scale):
    assert load(edited({"outliers/oal/latents/scale": scale})).outliers["oal"].latents.scale == scale


@pytest.mark.parametrize("scale", [-1, 0, "relased", True, NAN, INF], ids=str)
def test_a_wrong_scale_is_told_once_with_both_that_it_may_be(edited, scale):
    (line,) = lines_of(edited({"outliers/oal/latents/scale": scale}))
    path, _, what = line.partition(": ")
    assert path == "outliers.oal.latents.scale"
    expected, _, given = what.rpartition(", got ")
    assert given == repr(scale)
    assert "number" in expected or "greater than 0" in expected
    assert "'released'" in expected


def test_images_of_kind_pixel_are_for_exposure_alone(edited, demo):
    demo["outliers"]["images"] = demo["outliers"]["oal"] | {"kind": "pixel"}
    exposed = {"like": "ce", "exposure": {"kind": "uniform", "from": "images"}}
    changes = {"outliers": demo["outliers"], "recipes/exposed": exposed}
    assert load(edited(changes)).outliers["images"].kind == "pixel"
    (line,) = lines_of(
        edited(
            changes
            | {
                "recipes/oal/outliers/from": "images",
                "recipes/oal-random-outliers": None,
                "tables/demo-oal/recipes": ["ce-continued", "kd", "oal"],
            }
        )
    )
    assert line.startswith("recipes.oal.outliers.from: 'images' is of kind 'pixel', whose images are for `exposure`")


def test_the_recipe_of_the_encoder_is_known_and_learns_without_outliers(edited):
    encoder = {"kind": "recipe", "recipe": "teacher"}
    assert_told(
        edited({"outliers/oal/encoder": encoder | {"recipe": "teachr"}}),
        "outliers.oal.encoder.recipe: no recipe is named 'teachr'; did you mean 'teacher'?",
    )
    told = "outliers.oal.encoder.recipe: recipe 'oal' must learn without outliers"
    assert told in lines_of(edited({"outliers/oal/encoder": encoder | {"recipe": "oal"}}))


def test_outliers_lie_in_the_latent_space_of_a_stable_diffusion(edited):
    assert lines_of(edited({"outliers/oal/generator": "biggan"})) == [
        "outliers.oal.generator: 'biggan' is of kind 'biggan', expected 'stable-diffusion'"
    ]


def test_the_judge_has_no_part_in_the_gate(edited):
    told = "outliers.oal.gate.classifier: is the judge, which must have no part in the gate"
    assert lines_of(edited({"outliers/oal/gate/classifier": "judge"})) == [told]
    assert lines_of(edited({"assess/judge": "ce", "assess/judge_seed": 77})) == [told]


def test_a_name_like_no_other_is_told_with_all_that_are_known(edited):
    assert lines_of(edited({"build": ["xyz"]})) == ["build.0: no table is named 'xyz' (known: demo-oal, demo-sio)"]


@pytest.mark.parametrize("section", ["datasets", "generators", "outliers", "recipes", "detectors", "tables"])
def test_an_empty_section_is_told(edited, section):
    rest = " or take the key away" * (section in ("generators", "outliers"))
    assert f"{section}: must not be empty; fill it{rest}" in lines_of(edited({section: {}}))


@pytest.mark.parametrize(
    "path",
    [
        "build",
        "datasets/digits/id/classes",
        "tables/demo-sio/seeds",
        "tables/demo-oal/baselines",
        "outliers/oal/curve/scales",
    ],
)
def test_an_empty_list_or_subsection_is_told(edited, path):
    rest = " or take the key away" * path.endswith("baselines")
    assert lines_of(edited({path: []})) == [f"{path.replace('/', '.')}: must not be empty; fill it{rest}"]


def test_near_or_far_must_be_there(edited):
    message = "datasets.digits: no OOD test set; name one under `near` or `far`"
    assert lines_of(edited({"datasets/digits/near": {}, "datasets/digits/far": {}})) == [message]
    assert load(edited({"datasets/digits/near": {}})).datasets["digits"].near == {}


def test_alpha_must_leave_both_kinds_of_images(edited, demo):
    batch = demo["recipes"]["ce"]["batch_size"]
    told = (
        "recipes.sio-sd: synthetic.alpha {} leaves {} real and {} synthetic images of a batch of {}; take alpha from "
    )
    none_real, none_synthetic = 0.5 / batch, 1 - 1e-12
    for alpha, real in ((none_real, 0), (none_synthetic, batch)):
        assert_told(edited({"recipes/sio-sd/synthetic/alpha": alpha}), told.format(alpha, real, batch - real, batch))
    for alpha in (1 / batch, 1 - 1 / batch, 1):
        assert load(edited({"recipes/sio-sd/synthetic/alpha": alpha})).recipes["sio-sd"].synthetic.alpha == alpha


def test_circles_of_warm_starts_and_teachers_are_told(edited):
    assert_told(
        edited({"recipes/cutout/warm_start": "cutout"}),
        "recipes.cutout.warm_start: goes in a circle (cutout -> cutout); take one of these away",
    )
    assert_told(
        edited({"recipes/cutout/teacher": {"recipe": "cutout"}}),
        "recipes.cutout.teacher.recipe: goes in a circle (cutout -> cutout); take one of these away",
    )
    three = edited(
        {
            "recipes/cutout/warm_start": "sio-sd",
            "recipes/sio-sd/warm_start": "sio-biggan",
            "recipes/sio-biggan/warm_start": "cutout",
        }
    )
    assert lines_of(three) == [
        "recipes.sio-biggan.warm_start: goes in a circle (sio-biggan -> cutout -> sio-sd -> sio-biggan); "
        "take one of these away"
    ]


def test_a_circle_is_told_once_with_the_recipes_own_key(edited):
    raw = edited({"recipes/cutout/warm_start": "sio-sd", "recipes/sio-sd/teacher": {"recipe": "cutout"}})
    assert lines_of(raw) == [
        "recipes.sio-sd.teacher.recipe: goes in a circle (sio-sd -> cutout -> sio-sd); take one of these away"
    ]


def test_circles_through_the_classifier_of_the_gate_are_told(edited, demo):
    assert lines_of(edited({"outliers/oal/gate/classifier": "oal"})) == [
        "recipes.oal.outliers.from: goes in a circle (oal -> oal); take one of these away",
        "outliers.oal.gate.classifier: recipe 'oal' must learn from real images alone",
    ]
    assert lines_of(edited({"outliers/oal/gate/classifier": "cutout", "recipes/cutout/warm_start": "oal"})) == [
        "recipes.cutout.warm_start: goes in a circle (cutout -> oal -> cutout); take one of these away"
    ]
    late = demo["recipes"] | {"late": {"like": "ce", "teacher": {"recipe": "oal"}}}
    assert lines_of(edited({"outliers/oal/gate/classifier": "late", "recipes": late})) == [
        "recipes.oal.outliers.from: goes in a circle (oal -> late -> oal); take one of these away"
    ]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("boundary/k", 80, "boundary.k: must be below the 80 training images of a class of dataset 'digits', got 80"),
        (
            "boundary/boundary_points",
            81,
            "boundary.boundary_points: must not be above the 80 training images of a class of dataset 'digits', got 81",
        ),
        (
            "gate/keep_per_class",
            101,
            "gate.keep_per_class: must not be above latents.attempts_per_class 100, got 101",
        ),
    ],
)
def test_what_the_outliers_cannot_have_is_told_before_any_job(edited, key, value, message):
    assert lines_of(edited({f"outliers/oal/{key}": value})) == [f"outliers.oal.{message}"]
    load(edited({f"outliers/oal/{key}": value - 1}))


BOOD = {"kind": "bood-pixel", "like": "oal", "boundary": None, "crossing": {"k": 79, "boundary_points": 80}}


def bood(**changes):
    return {"outliers/bood": BOOD | changes}


def test_what_bood_cannot_have_is_told_before_any_job(edited):
    images = "the 80 training images of a class of dataset 'digits'"
    assert lines_of(edited(bood(crossing={"k": 80, "boundary_points": 81}))) == [
        f"outliers.bood.crossing.k: must be below {images}, got 80",
        f"outliers.bood.crossing.boundary_points: must not be above {images}, got 81",
    ]
    (line,) = lines_of(edited(bood(encoder={"kind": "recipe", "recipe": "ce", "network": None, "epochs": None,
                                            "batch_size": None, "augmentation": None})))  # fmt: skip
    assert line == (
        "outliers.bood: bood-pixel pushes embeddings by the class words, to which encoder.kind recipe is not fitted; "
        "take encoder.kind text-aligned"
    )
    (line,) = lines_of(edited(bood(boundary={"k": 3})))
    assert line.startswith("outliers.bood.boundary: unknown key")
    (line,) = lines_of(edited(bood() | {"recipes/boodish": {"like": "oal", "outliers": {"from": "bood"}}}))
    assert line.startswith("recipes.boodish.outliers.from: 'bood' is of kind 'bood-pixel', whose images are for")
    assert line.endswith("take kind latent or bood-latent")
    latent = bood(kind="bood-latent") | {"recipes/boodish": {"like": "oal", "outliers": {"from": "bood"}}}
    assert load(edited(latent)).outliers["bood"].latent


def test_the_classifier_of_the_gate_learns_from_real_images(edited):
    assert lines_of(edited({"outliers/oal/gate/classifier": "sio-sd"})) == [
        "outliers.oal.gate.classifier: recipe 'sio-sd' must learn from real images alone"
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("recipes/judge/synthetic", {"from": "sd", "alpha": 0.5}),
        ("recipes/judge/warm_start", "ce"),
        ("recipes/judge/teacher", {"recipe": "ce"}),
        ("recipes/judge/outliers", {"from": "oal"}),
    ],
)
def test_a_judge_learns_from_real_images_alone(edited, path, value):
    assert lines_of(edited({path: value})) == ["assess.judge: recipe 'judge' must learn from real images alone"]


def test_a_judge_has_a_seed_of_its_own(edited, demo):
    seed = demo["tables"]["demo-sio"]["seeds"][1]
    assert lines_of(edited({"assess/judge": "cutout", "assess/judge_seed": seed})) == [
        f"assess.judge_seed: {seed} is also a seed of table 'demo-sio'"
    ]
    assert load(edited({"assess/judge": "cutout", "assess/judge_seed": 77})).assess.judge_seed == 77


def test_a_date_is_told_with_its_path(edited):
    assert_told(edited({"recipes/judge/learning_rate": datetime.date(2024, 1, 31)}), "recipes.judge.learning_rate: ")


KNN = "(neighbours; the distance is to the k-th)"


def test_all_mistakes_are_told_at_once_and_the_last_are_counted(edited):
    wrong = {f"detectors/d{index}": {"kind": "knn", "k": 0} for index in range(SHOWN + 2)}
    lines = lines_of(edited(wrong))
    assert lines[:SHOWN] == [
        f"detectors.d{index}.k: input should be greater than or equal to 1, got 0 {KNN}" for index in range(SHOWN)
    ]
    assert lines[SHOWN:] == ["(and 2 more)"]
    assert len(lines_of(edited(dict(list(wrong.items())[:SHOWN])))) == SHOWN


def test_a_mistake_is_told_once_where_it_stands(edited):
    assert len(lines_of(edited({"recipes/ce/epoch": 1}))) == 1


@pytest.mark.parametrize("key", ["scale", "contrast"])
def test_bounds_of_a_nuisance_run_from_low_to_high(edited, key):
    lines_of(edited({f"datasets/digits/id/nuisance/{key}": [1.2, 0.8]}))


def test_a_digit_stands_once_among_the_classes(edited):
    lines_of(edited({"datasets/digits/id/classes": [0, 0, 1]}))


@pytest.mark.parametrize("digit", [1, 6, 8], ids=["ID", "extra", "near"])
def test_the_validation_set_is_apart_from_every_other(edited, digit):
    lines_of(edited({"datasets/digits/ood_validation": {"kind": "digits", "classes": [digit]}}))


def test_the_validation_set_is_no_test_set_too(edited, demo):
    lines_of(edited({"datasets/digits/far/shuffled": demo["datasets"]["digits"]["ood_validation"]}))


def test_a_file_that_is_no_configuration_is_named(tmp_path):
    file = tmp_path / "own.yaml"
    for content, expected in {
        "- 1\n": "expected sections such as `datasets:`, found list",
        "": "expected sections such as `datasets:`, found NoneType",
        "a: [1\nb: ": "not valid YAML (",
    }.items():
        file.write_text(content)
        with pytest.raises(SynthoodError) as caught:
            load_file(file)
        assert str(caught.value).startswith(f"{file}: {expected}")
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(SynthoodError, match=f"^{re.escape(str(path))}: cannot be read \\("):
            load_file(path)


def test_a_binary_file_is_named(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_bytes(b"version: \xff\xfe")
    with pytest.raises(SynthoodError, match=r"own\.yaml: "):
        load_file(file)
