"""Paths, edges and settings of jobs."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from synthood.config.load import load
from synthood.evaluation.settings import ScoreSettings
from synthood.generators.block_settings import BlockSettings
from synthood.generators.fit_settings import FitSettings
from synthood.generators.kinds.biggan import BigGANFitting
from synthood.generators.kinds.stable_diffusion import StableDiffusionSampling
from synthood.outliers.latents_settings import ScaleCurveSettings
from synthood.reporting.figures.base import PlotSettings
from synthood.reporting.settings import MapSettings, TabulateSettings
from synthood.training.settings import TrainSettings
from synthood.workflow.plan import Plan, artefacts, as_parameter

CONFIG = Path(__file__).parents[2] / "config.yaml"
TABLE, OAL = "demo-sio", "demo-oal"
OUTLIER_STAGES = ("boundary", "gate")
OF_ALL = SimpleNamespace()
"""The page of all tables has no wildcards."""


@pytest.fixture
def raw():
    return json.loads(json.dumps(yaml.safe_load(CONFIG.read_text())))


def wild(**more):
    values = {"dataset": "digits", "generator": "biggan", "recipe": "ce", "seed": "0", "block": "0", "table": TABLE}
    return SimpleNamespace(**(values | {"outliers": "oal"} | more))


def at(path, value, raw):
    """A plan of the configuration with one value changed."""
    changed = copy.deepcopy(raw)
    *above, last = path.split("/")
    place = changed
    for key in above:
        place = place[key]
    place[last] = value
    assert changed != raw
    return Plan(load(changed))


def texts(plan):
    """The parameter of every job, by rule and wildcards."""
    config, found = plan.config, {}
    for dataset in config.datasets:
        for part in plan.parts():
            found["prepare", part] = plan.part_settings(wild(dataset=dataset, part=part))
        for generator in config.generators:
            found["fit", generator] = plan.fit_settings(wild(generator=generator))
            for block in range(len(plan.blocks(dataset, generator))):
                found["block", generator, block] = plan.block_settings(wild(generator=generator, block=str(block)))
        for recipe in config.recipes:
            found["train", recipe] = plan.train_settings(wild(recipe=recipe))
        for outliers, settings in config.outliers.items():
            for stage in OUTLIER_STAGES:
                found[stage, outliers] = plan.outlier_settings(stage)(wild(dataset=dataset, outliers=outliers))
            found["encoder", outliers] = plan.encoder_settings(wild(dataset=dataset, outliers=outliers))
            found["latents", outliers] = plan.latents_settings(wild(dataset=dataset, outliers=outliers))
            if settings.curve:
                found["curve", outliers] = plan.curve_settings(wild(dataset=dataset, outliers=outliers))
        found["map", dataset] = plan.map_settings(wild(dataset=dataset))
        found["score", dataset] = plan.score_settings(wild(dataset=dataset))
        found["assess", dataset] = plan.assess_settings(wild())
    for table in config.tables:
        found["tabulate", table] = plan.tabulate_settings(wild(table=table))
        found["plot", table] = plan.plot_settings(wild(table=table))
        found["plot_results", table] = plan.plot_results_settings(wild(table=table))
    return {job: settings.canonical() for job, settings in found.items()}


def changed_jobs(before, after):
    old, new = texts(before), texts(after)
    return {job for job in old.keys() | new.keys() if old.get(job) != new.get(job)}


@pytest.fixture
def blocks(raw):
    """Plans of 600 and more images in blocks of 250."""

    def of(images_per_class):
        raw["datasets"]["digits"]["id"]["classes"] = [0, 1, 2, 3, 4, 5]
        raw["generators"]["biggan"] |= {"images_per_class": images_per_class, "block_size": 250}
        return Plan(load(raw))

    return of


def test_the_last_block_is_cut(blocks):
    plan = blocks(100)
    assert plan.blocks("digits", "biggan") == [
        f"results/digits/synthetic/biggan/block{block}.safetensors" for block in (0, 1, 2)
    ]
    settings = [plan.block_settings(wild(block=str(block))) for block in range(3)]
    assert [one.count for one in settings] == [250, 250, 100]
    assert [one.block for one in settings] == [0, 1, 2]
    assert {one.block_size for one in settings} == {250}


@pytest.mark.parametrize(
    ("classes", "per_class", "size", "counts"),
    [(6, 100, 600, [600]), (6, 100, 601, [600]), (1, 1, 1, [1]), (3, 2, 1, [1] * 6), (2, 250, 250, [250, 250])],
)
def test_blocks_hold_every_image_once(raw, classes, per_class, size, counts):
    raw["generators"]["biggan"] |= {"images_per_class": per_class, "block_size": size}
    assert load(raw).generators["biggan"].block_counts(classes) == counts


def test_more_images_leave_whole_blocks_alone(blocks):
    before, after = blocks(100), blocks(150)  # 900 images: 250, 250, 250, 150
    old = [before.block_settings(wild(block=str(block))).canonical() for block in range(3)]
    new = [after.block_settings(wild(block=str(block))).canonical() for block in range(4)]
    assert new[:2] == old[:2]
    assert [json.loads(text)["count"] for text in new] == [250, 250, 250, 150]
    assert new[2] != old[2]
    assert changed_jobs(before, after) == {("block", "biggan", 2), ("block", "biggan", 3)}


@pytest.fixture
def plan(raw):
    return Plan(load(raw))


def test_paths(plan):
    assert plan.images("d", "train") == "results/d/images/train.safetensors"
    assert plan.run("d", "ce", 3) == "results/d/models/ce/seed3"
    assert plan.model("d", "ce", "3") == "results/d/models/ce/seed3/model.safetensors"


def test_a_table_needs_every_run_of_its_datasets_recipes_and_seeds(raw):
    raw["tables"][TABLE] |= {"recipes": ["ce", "cutout"], "seeds": [4, 0]}
    assert Plan(load(raw)).table_runs(TABLE, artefacts.SCORES) == [
        f"results/digits/models/{recipe}/seed{seed}/scores.parquet" for recipe in ("ce", "cutout") for seed in (4, 0)
    ]


def test_galleries_are_of_the_generators_behind_a_table(raw, plan):
    gallery = "results/digits/synthetic/{}/quality.png"
    assert plan.assessments(TABLE) == [gallery.format("biggan"), gallery.format("sd")]
    raw["recipes"]["sio-sd"]["synthetic"]["from"] = "biggan"
    assert Plan(load(raw)).assessments(TABLE) == [gallery.format("biggan")]
    raw["tables"][TABLE]["recipes"] = ["ce", "cutout"]
    assert Plan(load(raw)).assessments(TABLE) == []
    del raw["assess"]
    raw["tables"][TABLE]["recipes"] = ["ce", "sio-sd"]
    assert Plan(load(raw)).assessments(TABLE) == []


def test_leaks_are_looked_for_where_the_configuration_asks(raw, plan):
    assert plan.data_pages() == []
    raw["leaks"] = {"hash_bits": 8}
    asked = Plan(load(raw))
    assert asked.data_pages() == ["results/digits/leaks.html"]
    assert asked.leak_settings(wild()).hash_bits == 8
    parts = [Path(path).stem for path in asked.all_parts(wild())]
    assert parts[:4] == ["train", "val", "test", "ood_validation"]
    assert set(parts) == asked.parts()
    blocks = [*asked.blocks("digits", "biggan"), *asked.blocks("digits", "sd")]
    assert asked.leak_synthetic(wild()) == blocks
    assert changed_jobs(plan, asked) == set()


def test_leaks_are_dropped_from_what_is_evaluated_alone(raw, plan):
    raw["leaks"] = {"drop": True}
    asked = Plan(load(raw))
    folder = "results/digits/images"
    assert asked.evaluated(wild())[:4] == [
        f"{folder}/train.safetensors",
        f"{folder}/val.safetensors",
        f"{folder}/without_leaks/test.safetensors",
        f"{folder}/without_leaks/ood_validation.safetensors",
    ]
    assert [Path(path).stem for path in asked.evaluated(wild())] == [Path(path).stem for path in plan.evaluated(wild())]
    assert [Path(path).stem for path in asked.kept_parts(wild(part="test"))] == ["train", "val"]
    assert [Path(path).stem for path in asked.kept_parts(wild(part="noise"))] == ["train", "val", "test"]
    assert asked.leak_settings(wild()).canonical() == asked.drop_settings(wild()).canonical() == "{}"
    raw["leaks"] |= {"examples": 3, "hash_bits": 5}
    assert Plan(load(raw)).drop_settings(wild()).canonical() == '{"hash_bits":5}'
    assert {job[0] for job in changed_jobs(plan, asked)} == {"tabulate"}
    assert "are left out" in asked.tabulate_settings(wild()).canonical()
    raw["leaks"] = {}
    assert Plan(load(raw)).evaluated(wild()) == plan.evaluated(wild())


def test_tables_say_which_recipes_have_a_generative_prior(raw, plan):
    assert plan.tabulate_settings(wild(table=OAL)).priors == ""
    raw["generators"]["sd"]["prior"] = "six more digits"
    raw["recipes"]["later"] = {"like": "ce", "warm_start": "sio-sd"}
    raw["tables"][TABLE]["recipes"] += ["later"]
    asked = Plan(load(raw))
    assert asked.tabulate_settings(wild()).priors == "sio-sd, later: six more digits."
    assert asked.generators_behind("later") == {"sd"}
    # Warm-started by cross-entropy, distilled from a teacher, contrasted with outliers of the generator.
    assert asked.generators_behind("oal") == {"sd"}
    assert asked.tabulate_settings(wild(table=OAL)).priors == "oal, oal-random-outliers: six more digits."
    raw["generators"]["biggan"] = {"kind": "biggan", "pretrained": {"from": "biggan-deep-128"}, "images_per_class": 2}
    raw["generators"]["biggan"] |= {"block_size": 2}
    assert (
        Plan(load(raw))
        .tabulate_settings(wild())
        .priors.startswith("sio-biggan: the checkpoint biggan-deep-128; sio-sd")
    )
    raw["generators"]["biggan"] = plan.config.generators["biggan"].model_dump(mode="json", exclude_defaults=True)
    del raw["recipes"]["later"]
    raw["tables"][TABLE]["recipes"].remove("later")
    assert changed_jobs(plan, Plan(load(raw))) == {("tabulate", TABLE), ("tabulate", OAL)}


def test_contact_sheets_are_drawn_where_the_configuration_asks(raw, plan):
    raw["figures"]["contact_sheets"] = True
    asked = Plan(load(raw))
    assert asked.data_pages() == ["results/digits/images/sheet.png"]
    assert changed_jobs(plan, asked) == set()
    raw["leaks"] = {}
    assert Plan(load(raw)).data_pages() == ["results/digits/images/sheet.png", "results/digits/leaks.html"]


def test_the_judge_is_a_run_of_its_own_seed(raw):
    raw["assess"]["judge_seed"] = 77
    plan = Plan(load(raw))
    assert plan.judge(wild()) == "results/digits/models/judge/seed77/model.safetensors"
    assert json.loads(plan.assess_settings(wild()).canonical())["judge_seed"] == 77
    del raw["assess"]
    with pytest.raises(ValueError, match="no section `assess`"):
        Plan(load(raw)).judge(wild())


def test_generators_learn_the_extra_sets_they_name(plan):
    assert plan.also(wild(generator="sd")) == ["results/digits/images/digits-6-7.safetensors"]
    assert plan.also(wild(generator="biggan")) == []


def learned(plan, **names):
    """What a recipe learns from besides the dataset's own images."""
    inputs = plan.learned_from(wild(**names))
    dataset = names.get("dataset", "digits")
    assert [inputs.pop(part) for part in ("train", "val")] == [[plan.images(dataset, p)] for p in ("train", "val")]
    return inputs


def test_recipes_with_synthetic_images_need_all_blocks(raw):
    raw["generators"]["sd"]["block_size"] = 250
    plan = Plan(load(raw))
    assert learned(plan, recipe="ce") == {}
    assert learned(plan, recipe="sio-sd") == {"synthetic": plan.blocks("digits", "sd")}
    assert len(plan.blocks("digits", "sd")) == -(-6 * raw["generators"]["sd"]["images_per_class"] // 250)


def test_warm_starts_and_teachers_are_of_the_right_seed(raw):
    raw["recipes"]["cutout"]["warm_start"] = "ce"
    raw["recipes"]["sio-sd"]["teacher"] = {"recipe": "cutout"}
    raw["recipes"]["sio-biggan"]["teacher"] = {"recipe": "cutout", "seed": 0}
    plan = Plan(load(raw))
    model = "results/digits/models/{}/seed{}/model.safetensors"
    assert learned(plan, recipe="cutout", seed="7") == {"warm_start": [model.format("ce", 7)]}
    of_sd, of_biggan = (learned(plan, recipe=recipe, seed="7") for recipe in ("sio-sd", "sio-biggan"))
    assert of_sd["teacher"] == [model.format("cutout", 7)]
    assert of_biggan["teacher"] == [model.format("cutout", 0)]
    assert of_sd.keys() == {"synthetic", "teacher"}


def outlier_files(outliers, dataset="digits"):
    names = ("embeddings", "boundary", "latents", "gate")
    return [f"results/{dataset}/outliers/{outliers}/{name}.safetensors" for name in names]


def test_recipes_with_outliers_need_what_their_stages_wrote_in_order(raw):
    raw["outliers"]["mine"] = raw["outliers"]["oal"]
    raw["recipes"]["oal-random-outliers"]["outliers"]["from"] = "mine"
    plan = Plan(load(raw))
    files = [
        plan.outliers(artefact)
        for artefact in (artefacts.EMBEDDINGS, artefacts.BOUNDARY, artefacts.LATENTS, artefacts.GATE)
    ]

    def read(**names):
        return [path for file in files for path in file(wild(**names))]

    assert read(recipe="oal") == outlier_files("oal")
    assert read(recipe="oal", dataset="other", seed="9") == outlier_files("oal", "other")
    assert read(recipe="oal-random-outliers") == outlier_files("mine")
    without = [recipe for recipe in raw["recipes"] if not recipe.startswith("oal")]
    assert {"ce", "kd", "judge", "sio-sd"} <= set(without)
    assert [read(recipe=recipe) for recipe in without] == [[]] * len(without)


def test_inverted_outliers_have_files_of_their_own(raw):
    """Where others have embeddings and boundary embeddings; what follows is named alike."""
    gate = raw["outliers"]["oal"]["gate"]
    raw["outliers"]["ncis"] = {
        "kind": "inverted",
        "generator": "sd",
        "inversion": {"steps": 4},
        "latents": {"attempts_per_class": gate["keep_per_class"]},
        "gate": gate,
    }
    raw["recipes"]["contrasted"] = {"like": "kd", "outliers": {"from": "ncis"}}
    plan = Plan(load(raw))
    folder = "results/digits/outliers/ncis/"
    found = learned(plan, recipe="contrasted")
    names = {"embeddings": "inverted", "boundary": "tails", "latents": "latents", "gate": "gate"}
    assert {key: found[key] for key in names} == {key: [f"{folder}{name}.safetensors"] for key, name in names.items()}
    own = wild(outliers="ncis")
    assert plan.found_outliers(own) == f"{folder}tails.safetensors"
    assert plan.found_outliers(wild()) == "results/digits/outliers/oal/boundary.safetensors"
    assert plan.encoded_images(own) == ["results/digits/images/train.safetensors"]
    assert plan.outlier_generator(own) == "results/digits/generators/sd"
    assert plan.inversion_settings(own).canonical() == '{"steps":4}'
    assert json.loads(plan.latents_settings(own).canonical()) == {
        "latents": {"attempts_per_class": gate["keep_per_class"]}
    }
    assert plan.outlier_settings("gate")(own) == plan.outlier_settings("gate")(wild())
    assert plan.outlier_pictures([("digits", "ncis")]) == [f"{folder}gallery.png"]
    with pytest.raises(ValueError, match=r"outliers\.oal is of kind latent, not inverted"):
        plan.flow_settings(wild())
    with pytest.raises(ValueError, match=r"outliers\.ncis is of kind inverted, which is not sampled"):
        plan.encoder_settings(own)


def test_recipes_with_exposure_need_the_gate_alone(raw):
    raw["recipes"]["exposed"] = {"like": "ce", "exposure": {"kind": "uniform", "from": "oal"}}
    plan = Plan(load(raw))
    assert learned(plan, recipe="exposed") == {"exposure": ["results/digits/outliers/oal/gate.safetensors"]}
    assert plan.outliers(artefacts.GATE)(wild(recipe="exposed")) == []
    assert "exposure" not in learned(plan, recipe="oal")


def test_outliers_are_made_by_their_generator_and_gated_by_a_model_of_its_seed(raw):
    raw["generators"]["mine"] = raw["generators"]["sd"]
    raw["outliers"]["oal"]["generator"] = "mine"
    raw["outliers"]["oal"]["gate"] |= {"classifier": "cutout", "classifier_seed": 5}
    plan = Plan(load(raw))
    assert plan.outlier_generator(wild()) == "results/digits/generators/mine"
    assert plan.gate_classifier(wild(seed="2")) == "results/digits/models/cutout/seed5/model.safetensors"


PICTURES = ["results/digits/outliers/oal/gallery.png", "results/digits/outliers/oal/curve.png"]


def map_of(recipe, seed=0, dataset="digits"):
    return f"results/{dataset}/models/{recipe}/seed{seed}/map.png"


def test_pictures_of_outliers_are_their_gallery_and_the_curve_where_one_is_asked_for(raw):
    raw["outliers"]["plain"] = {key: raw["outliers"]["oal"][key] for key in raw["outliers"]["oal"] if key != "curve"}
    raw["datasets"]["more"] = raw["datasets"]["digits"]
    folders = [f"results/{dataset}/outliers" for dataset in ("digits", "more")]
    pictures = [
        [f"{folder}/{name}.png" for name in ("oal/gallery", "oal/curve", "plain/gallery")] for folder in folders
    ]
    # An entry that no table needs, such as one that others are like, is not made.
    assert Plan(load(raw)).outlier_pictures() == pictures[0][:2]
    raw["recipes"]["plain"] = {"like": "oal", "outliers": {"from": "plain"}}
    raw["tables"][OAL]["datasets"] += ["more"]
    raw["tables"][OAL]["recipes"] += ["plain"]
    assert Plan(load(raw)).outlier_pictures() == pictures[0] + pictures[1]
    assert Plan(load(raw)).outlier_pictures([("more", "plain")]) == pictures[1][2:]
    assert Plan(load(raw)).outlier_pictures([]) == []


def test_recipes_can_be_exposed_to_a_set_of_images(raw):
    raw["recipes"]["exposed"] = {"like": "ce", "exposure": {"kind": "uniform", "from": "digits-6-7"}}
    raw["tables"][TABLE]["recipes"].append("exposed")
    plan = Plan(load(raw))
    assert learned(plan, recipe="exposed").get("exposure", []) == ["results/digits/images/digits-6-7.safetensors"]
    assert plan.table_outliers(TABLE) == []


def test_without_a_judge_there_are_no_pictures_of_outliers(raw):
    del raw["assess"]
    gated = "results/digits/outliers/oal/gate.safetensors"
    assert Plan(load(raw)).outlier_pictures() == [gated]
    assert Plan(load(raw)).table_outliers(OAL) == [gated, map_of("oal")]


def test_a_table_shows_its_outliers_and_one_map(plan):
    assert plan.table_outliers(OAL) == [*PICTURES, map_of("oal")]
    assert plan.table_outliers(TABLE) == []


def test_a_table_shows_the_outliers_that_its_recipes_are_exposed_to(raw):
    raw["outliers"]["images"] = raw["outliers"]["oal"] | {"kind": "pixel", "curve": None}
    raw["recipes"] |= {
        "exposed": {"like": "ce", "exposure": {"kind": "uniform", "from": "images"}},
        "both": {"like": "oal", "exposure": {"kind": "uniform", "from": "oal"}},
    }
    raw["tables"][OAL] |= {"recipes": ["kd", "exposed"], "baselines": ["kd"]}
    gallery = "results/digits/outliers/images/gallery.png"
    assert Plan(load(raw)).table_outliers(OAL) == [gallery]
    raw["tables"][OAL]["recipes"] = ["kd", "exposed", "both"]
    assert Plan(load(raw)).table_outliers(OAL) == [gallery, *PICTURES, map_of("both")]


ENCODERS = [
    ({"kind": "recipe", "recipe": "teacher", "seed": 4}, ["results/digits/models/teacher/seed4/model.safetensors"]),
    ({"kind": "timm", "model": "test_vit", "checkpoint": "vit.safetensors"}, []),
    ({"kind": "clip", "path": "clip"}, []),
]


@pytest.mark.parametrize(("encoder", "model"), ENCODERS, ids=[settings["kind"] for settings, _ in ENCODERS])
def test_an_encoder_from_elsewhere_is_not_fitted(raw, plan, encoder, model):
    assert plan.fitted_encoder(wild()) == ["results/digits/outliers/oal/encoder.safetensors"]
    assert (plan.ready_made_generator(wild()), plan.encoder_model(wild())) == ([], [])
    assert plan.encoder_settings(wild()).encoder == plan.config.outliers["oal"].encoder
    assert plan.encoder_state(wild()) == ""
    raw["outliers"]["oal"]["encoder"] = encoder
    other = Plan(load(raw))
    assert other.fitted_encoder(wild()) == []
    assert other.ready_made_generator(wild()) == ["results/digits/generators/sd"]
    assert other.encoder_model(wild()) == model
    assert json.loads(other.encoder_settings(wild()).canonical()) == {"encoder": encoder}
    assert other.encoder_settings(wild()).encoder == other.config.outliers["oal"].encoder


def test_an_encoder_s_weights_that_are_missing_are_told_before_any_job(raw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no results make the weights unneeded
    raw["outliers"]["oal"]["encoder"] = {"kind": "clip", "path": str(tmp_path / "clip")}
    told = f"{tmp_path / 'clip'} (outliers.oal.encoder)"
    assert told in map(str, Plan(load(raw)).missing())
    (tmp_path / "clip").mkdir()
    assert told not in map(str, Plan(load(raw)).missing())
    raw["outliers"]["oal"]["encoder"] = {"kind": "timm", "model": "test_vit", "checkpoint": "gone.pt"}
    assert "gone.pt (outliers.oal.encoder)" in map(str, Plan(load(raw)).missing())
    raw["build"] = [TABLE]
    assert Plan(load(raw)).missing() == []


def test_a_changed_file_of_an_encoder_is_noticed(raw, tmp_path):
    weights = tmp_path / "model.safetensors"
    for encoder in (
        {"kind": "timm", "model": "test_vit", "checkpoint": str(weights)},
        {"kind": "clip", "path": str(tmp_path)},
    ):
        raw["outliers"]["oal"]["encoder"] = encoder
        weights.write_bytes(b"one")
        before = Plan(load(raw)).encoder_state(wild())
        assert before == Plan(load(raw)).encoder_state(wild()) != ""
        weights.write_bytes(b"another")
        assert Plan(load(raw)).encoder_state(wild()) != before


def test_id_images_are_encoded_for_latents_alone(raw, plan):
    assert plan.encoded_images(wild()) == ["results/digits/images/train.safetensors"]
    raw["outliers"]["images"] = raw["outliers"]["oal"] | {"kind": "pixel"}
    assert Plan(load(raw)).encoded_images(wild(outliers="images")) == []


UNMAPPED = [
    {"negatives": "other-classes"},
    {"boundary_weight": 0},
    {"latent_weight": 0},
    {"estimator": "club"},
    {"estimator": "club-released", "latent_form": "row-mean"},
]


@pytest.mark.parametrize("terms", UNMAPPED, ids=str)
def test_the_map_is_of_the_first_recipe_that_maps_both_kinds_and_the_first_seed(raw, terms):
    raw["recipes"] |= {"other": {"like": "oal", "outliers": terms}, "later": {"like": "oal"}}
    table = raw["tables"][OAL]
    table |= {"recipes": ["ce", "other", "later", "oal"], "seeds": [7, 3], "baselines": ["ce"]}
    assert Plan(load(raw)).table_outliers(OAL) == [*PICTURES, map_of("later", 7)]
    table["recipes"] = ["ce", "other"]
    assert Plan(load(raw)).table_outliers(OAL) == PICTURES


def test_a_table_shows_each_section_of_outliers_once_for_each_dataset(raw):
    raw["datasets"]["more"] = raw["datasets"]["digits"]
    raw["outliers"] |= {"mine": raw["outliers"]["oal"], "unused": raw["outliers"]["oal"]}
    raw["recipes"]["mine"] = {"like": "oal", "outliers": {"from": "mine"}}
    raw["tables"][OAL] |= {
        "datasets": ["more", "digits"],
        "recipes": ["kd", "mine", "oal", "oal-random-outliers"],
        "baselines": ["kd"],
    }
    pictures = [
        f"results/{dataset}/outliers/{outliers}/{name}.png"
        for dataset in ("more", "digits")
        for outliers in ("mine", "oal")
        for name in ("gallery", "curve")
    ]
    maps = [map_of("mine", dataset="more"), map_of("mine")]
    assert Plan(load(raw)).table_outliers(OAL) == pictures + maps


def test_a_curve_varies_the_scale_of_its_own_latents(raw):
    outliers = raw["outliers"]["oal"]
    outliers["latents"] = {"scale": 3, "attempts_per_class": 9, "sample": {"steps": 4}}
    outliers["curve"] = {"scales": [0.5, 2], "attempts_per_class": 6}
    outliers["gate"]["keep_per_class"] = 9
    settings = json.loads(Plan(load(raw)).curve_settings(wild()).canonical())
    assert settings == {
        "latents": {"scale": 3.0, "attempts_per_class": 6, "sample": {"sampler": "miniature", "steps": 4}},
        "curve": {"scales": [0.5, 2.0], "attempts_per_class": 6},
    }
    del outliers["curve"]
    with pytest.raises(ValueError, match=r"^outliers\.oal has no section `curve`$"):
        Plan(load(raw)).curve_settings(wild())


def test_a_map_shows_the_near_and_far_sets_of_its_dataset(raw):
    raw["datasets"]["more"] = raw["datasets"]["digits"] | {"far": {"dots": {"kind": "noise", "images": 9}}}
    plan = Plan(load(raw))
    assert plan.map_settings(wild()) == MapSettings(near=["digits-8-9"], far=["photos", "textures", "noise"])
    assert plan.map_settings(wild(dataset="more")) == MapSettings(near=["digits-8-9"], far=["dots"])


def test_a_recipe_without_outliers_says_nothing_of_them_or_of_heads(raw):
    raw["recipes"]["own"] = {
        "network": {"name": "resnet8"},
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 0.1,
        "warmup": 0.2,
        "augmentation": {"shift": 3},
        "synthetic": {"from": "sd", "alpha": 0.75},
        "warm_start": "ce",
        "outliers": None,
    }
    raw["recipes"]["taken-away"] = {"like": "oal", "outliers": None}
    raw["recipes"]["distilled"] = {"like": "ce", "teacher": {"recipe": "judge", "logit_weight": 4}}
    raw["precision"] = "float32"
    plan = Plan(load(raw))
    assert plan.train_settings(wild(recipe="own")).canonical() == (
        '{"precision":"float32","recipe":{"augmentation":{"shift":3},"batch_size":4,"epochs":2,"learning_rate":0.1,'
        '"network":{"name":"resnet8"},"synthetic":{"alpha":0.75,"from":"sd"},"warm_start":"ce","warmup":0.2}}'
    )
    for recipe in raw["recipes"]:
        resolved = json.loads(plan.train_settings(wild(recipe=recipe)).canonical())["recipe"]
        assert ("outliers" in resolved) == recipe.startswith("oal")
        assert "head_learning_rate" not in resolved
    kd, taken_away = (plan.train_settings(wild(recipe=recipe)).canonical() for recipe in ("kd", "taken-away"))
    assert kd == taken_away
    distilled = json.loads(plan.train_settings(wild(recipe="distilled")).canonical())["recipe"]
    assert distilled["teacher"] == {"kind": "teacher", "recipe": "judge"}
    control = json.loads(plan.train_settings(wild(recipe="oal-random-outliers")).canonical())["recipe"]
    assert control["outliers"] == {"kind": "outliers", "from": "oal", "negatives": "other-classes"}


def test_heads_are_read_where_a_recipe_trains_some(raw, plan):
    assert plan.heads_read(wild()) == []
    assert not plan.extract_settings(wild()).heads.methods
    raw["recipes"]["turned"] = {"like": "ce", "rotation": {}}
    raw["recipes"]["tuned"] = {"like": "turned", "learning_rate": 0.01}
    raw["detectors"]["turns"] = {"kind": "rotpred"}
    other = Plan(load(raw))
    assert other.heads_read(wild(recipe="turned")) == ["results/digits/models/turned/seed0/heads.safetensors"]
    turned, tuned = (other.extract_settings(wild(recipe=recipe)) for recipe in ("turned", "tuned"))
    assert [method.key for method in turned.heads.methods] == ["rotation"]
    assert turned == tuned
    assert "turns" in other.score_settings(wild(recipe="turned")).detectors
    assert other.score_settings(wild()) == plan.score_settings(wild())


def model_table(raw):
    raw["detectors"] |= {
        "odin": {"kind": "odin"}, "gram": {"kind": "gram"}, "mean": {"kind": "ensemble"},
        "still": {"kind": "mds-ensemble", "noise": 0.0},
    }  # fmt: skip
    table = raw["tables"]["demo-sio"]
    raw["tables"]["model"] = table | {"recipes": ["ce", "cutout"], "detectors": ["msp", "odin", "gram", "mean"]}
    return Plan(load(raw))


def test_detectors_of_the_model_are_scored_where_a_table_asks_for_them(raw, plan):
    other = model_table(raw)

    def asked(access, **more):
        return list(other.score_model_settings(wild(access=access, **more)).detectors)

    assert (asked("gradients"), asked("maps")) == (["odin"], ["gram"])
    assert asked("gradients", recipe="cutout", seed="2") == ["odin"]
    assert asked("gradients", recipe="sio-sd") == asked("gradients", seed="7") == asked("maps", recipe="kd") == []
    assert other.score_settings(wild()) == plan.score_settings(wild())
    assert other.tabulate_settings(wild(table="model")).ensembles == ["mean"]
    settings = other.score_ensemble_settings(wild(table="model"))
    assert list(settings.detectors) == ["mean"]
    assert (settings.near, settings.far) == (plan.score_settings(wild()).near, plan.score_settings(wild()).far)
    assert other.ensemble_members(wild(table="model", recipe="cutout")) == [
        f"results/digits/models/cutout/seed{seed}/features" for seed in (0, 1, 2)
    ]


def test_a_detector_inside_a_denoiser_needs_its_generator_where_a_table_asks_for_it(raw):
    raw["detectors"]["cfs"] = {"kind": "cfs", "generator": "sd"}
    raw["tables"]["inside"] = raw["tables"]["demo-sio"] | {"recipes": ["ce"], "detectors": ["msp", "cfs"]}
    other = Plan(load(raw))
    assert list(other.score_denoiser_settings(wild()).detectors) == ["cfs"]
    assert other.denoisers(wild()) == ["results/digits/generators/sd"]
    assert other.denoisers(wild(recipe="cutout")) == []
    assert "cfs" not in other.score_settings(wild()).detectors
    assert other.scores_beside("inside") == [
        f"results/digits/models/ce/seed{seed}/denoiser/scores.parquet" for seed in (0, 1, 2)
    ]


def test_a_table_takes_the_scores_that_its_detectors_need_from_their_jobs(raw, plan):
    other = model_table(raw)
    assert plan.scores_beside(TABLE) == other.scores_beside(TABLE) == []
    runs = [f"results/digits/models/{recipe}" for recipe in ("ce", "cutout")]
    assert other.scores_beside("model") == [
        *(f"{run}/seed{seed}/maps/scores.parquet" for run in runs for seed in (0, 1, 2)),
        *(f"{run}/seed{seed}/gradients/scores.parquet" for run in runs for seed in (0, 1, 2)),
        *(f"{run}/ensembles/model/scores.parquet" for run in runs for _ in (0, 1, 2)),
    ]


def test_a_table_reads_the_images_that_its_models_are_run_over(raw, plan):
    assert plan.table_images(TABLE) == plan.evaluated(wild())
    raw["leaks"] = {"drop": True}
    other = Plan(load(raw))
    assert other.table_images(TABLE) == other.evaluated(wild())


def test_a_detector_of_gradients_changes_nothing_of_maps_or_features(raw):
    before = model_table(raw)
    raw["detectors"]["odin"]["temperature"] = 10
    after = Plan(load(raw))
    assert before.score_settings(wild()) == after.score_settings(wild())
    assert before.score_model_settings(wild(access="maps")) == after.score_model_settings(wild(access="maps"))
    gradients = [p.score_model_settings(wild(access="gradients")).canonical() for p in (before, after)]
    assert gradients[0] != gradients[1]


def test_models_are_run_over_every_part_but_the_extra_ones(plan):
    parts = ["train", "val", "test", "ood_validation", "digits-8-9", "photos", "textures", "noise"]
    assert plan.evaluated(wild()) == [plan.images("digits", part) for part in parts]
    assert plan.parts() == {*parts, "digits-6-7"}


def test_parts_have_the_settings_of_their_source_alone(plan):
    train, test = (json.loads(plan.part_settings(wild(part=part)).canonical()) for part in ("train", "test"))
    assert (train.pop("part"), test.pop("part")) == ("train", "test")
    assert train == test
    assert "validation" not in train
    shuffled = json.loads(plan.part_settings(wild(part="ood_validation")).canonical())
    assert shuffled["validation"] == train["source"]
    assert json.loads(plan.part_settings(wild(part="noise")).canonical()) == {
        "part": "noise",
        "ood": True,
        "source": {"images": plan.config.datasets["digits"].far["noise"].images, "kind": "noise", "size": 32},
    }


def test_every_stage_reads_the_settings_it_is_given(plan):
    models = {
        FitSettings: plan.fit_settings(wild(generator="sd")),
        BlockSettings: plan.block_settings(wild(generator="sd")),
        TrainSettings: plan.train_settings(wild(recipe="sio-sd")),
        ScoreSettings: plan.score_settings(wild()),
        TabulateSettings: plan.tabulate_settings(wild()),
        ScaleCurveSettings: plan.curve_settings(wild()),
        MapSettings: plan.map_settings(wild()),
        PlotSettings: plan.plot_settings(wild()),
    }
    for model, settings in models.items():
        assert type(settings) is model
        assert model.parse(settings.canonical()) == settings
    assert isinstance(FitSettings.parse(plan.fit_settings(wild()).canonical()).generator, BigGANFitting)
    assert isinstance(models[BlockSettings].generator, StableDiffusionSampling)
    assert as_parameter(plan.assess_settings)(wild()) == plan.assess_settings(wild()).canonical()


def test_tables_and_scores_know_the_roles_of_the_sets(plan):
    near, far = ["digits-8-9"], ["photos", "textures", "noise"]
    assert (plan.score_settings(wild()).near, plan.score_settings(wild()).far) == (near, far)
    for settings in (plan.tabulate_settings(wild()), plan.plot_settings(wild()), plan.plot_results_settings(wild())):
        assert (settings.near, settings.far) == ({"digits": near}, {"digits": far})
    assert plan.plot_settings(wild()).recipes == plan.config.tables[TABLE].recipes
    assert plan.tabulate_settings(wild()).table == plan.config.tables[TABLE]


def test_embeddings_are_sought_as_the_section_says(raw):
    raw["outliers"]["bood"] = {
        "like": "oal", "kind": "bood-latent", "boundary": None, "crossing": {"k": 5, "boundary_points": 9},
    }  # fmt: skip
    plan = Plan(load(raw))
    assert plan.outliers_by("boundary") == ["oal"]
    assert plan.outliers_by("crossing") == ["bood"]
    made = plan.outlier_settings("crossing")(wild(outliers="bood"))
    assert made.canonical() == '{"boundary_points":9,"k":5}'
    assert plan.encoded_images(wild(outliers="bood")) == plan.encoded_images(wild())


REPORTING = ("tabulate", "plot", "plot_results")


@pytest.mark.parametrize(
    ("path", "value", "jobs"),
    [
        ("recipes/cutout/augmentation", {"cutout": 7}, {("train", "cutout")}),
        ("recipes/sio-sd/synthetic", {"from": "sd", "alpha": 0.25}, {("train", "sio-sd")}),
        ("recipes/judge/epochs", 3, {("train", "judge")}),
        ("recipes/more", {"like": "ce", "epochs": 2}, {("train", "more")}),
        ("detectors/knn/k", 3, {("score", "digits")}),
        ("detectors/more", {"kind": "msp"}, {("score", "digits")}),
        ("outliers/oal/encoder/epochs", 3, {("encoder", "oal")}),
        ("outliers/oal/boundary/noise", 0.2, {("boundary", "oal")}),
        ("outliers/oal/latents/scale", "released", {("latents", "oal"), ("curve", "oal")}),
        ("outliers/oal/latents/sample", {"steps": 3}, {("latents", "oal"), ("curve", "oal")}),
        ("outliers/oal/gate/percentile", 40, {("gate", "oal")}),
        ("outliers/oal/gate/keep_per_class", 3, {("gate", "oal")}),
        ("outliers/oal/curve/scales", [1.0], {("curve", "oal")}),
        ("recipes/oal-random-outliers/outliers", {"negatives": "outliers"}, {("train", "oal-random-outliers")}),
        ("recipes/oal/outliers/latent_weight", 0.5, {("train", "oal"), ("train", "oal-random-outliers")}),
        ("recipes/kd/head_learning_rate", 0.01, {("train", name) for name in ("kd", "oal", "oal-random-outliers")}),
        ("tables/demo-oal/baselines", ["kd"], {("tabulate", OAL), ("plot_results", OAL)}),
        ("tables/demo-sio/title", "another", {("tabulate", TABLE)}),
        ("tables/demo-sio/seeds", [0, 1], {(job, TABLE) for job in REPORTING}),
        ("tables/demo-sio/detectors", ["msp"], {(job, TABLE) for job in REPORTING}),
        ("figures", {"dpi": 99}, {(job, table) for job in REPORTING[1:] for table in (TABLE, OAL)}),
        ("generators/biggan/fit/seed", 4, {("fit", "biggan")}),
        ("generators/biggan/sample", {"truncation": 0.5}, {("block", "biggan", 0)}),
        ("generators/sd/sample/guidance", 3.0, {("block", "sd", 0)}),
        ("generators/sd/fit/batch_size", 8, {("fit", "sd")}),
        ("assess/images", 100, {("assess", "digits")}),
        ("datasets/digits/far/noise/seed", 3, {("prepare", "noise")}),
        (
            "datasets/digits/id/seed",
            3,
            {("prepare", part) for part in ("train", "val", "test", "ood_validation")},
        ),
        (
            "tables/more",
            {"datasets": ["digits"], "recipes": ["ce"], "seeds": [9], "detectors": ["msp"], "baselines": ["ce"]},
            {(job, "more") for job in REPORTING},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "/" in value else "",
)
def test_a_change_reaches_the_settings_of_its_own_jobs_alone(raw, plan, path, value, jobs):
    assert changed_jobs(plan, at(path, value, raw)) == jobs


def test_a_recipe_changes_with_the_one_it_is_like(raw, plan):
    def owner(name):
        recipe = raw["recipes"][name]
        return name if "warmup" in recipe else owner(recipe["like"])

    recipes = {name for name in raw["recipes"] if owner(name) == "ce"}
    assert 3 < len(recipes) < len(raw["recipes"])  # some have a warmup of their own
    assert changed_jobs(plan, at("recipes/ce/warmup", 0.3, raw)) == {("train", name) for name in recipes}


def test_precision_reaches_what_computes(raw, plan):
    changed = changed_jobs(plan, at("precision", "float32", raw))
    assert {job[0] for job in changed} == {"fit", "train"}
    assert ("train", "ce") in changed


def test_a_file_that_training_starts_from_is_watched(raw, tmp_path):
    """Its state is part of the job's settings, and of no other's; without it the plan stands."""
    weights = tmp_path / "weights.pt"
    network = {"name": "timm/test_vit", "pretrained": str(weights), "image_size": 32}
    changed = at("recipes/judge", {**raw["recipes"]["ce"], "network": network}, raw)
    states = [changed.train_settings(wild(recipe="judge")).pretrained_state]
    for content in (b"a", b"bc"):
        weights.write_bytes(content)
        states.append(changed.train_settings(wild(recipe="judge")).pretrained_state)
    assert states[0] == ""
    assert len(set(states)) == 3
    assert changed.train_settings(wild(recipe="ce")).canonical().find("pretrained") == -1


def test_a_folder_that_training_starts_from_is_watched(raw, tmp_path):
    """Each of its files, by recipes that train all of it and by the features of a frozen one."""
    folder = tmp_path / "weights"
    network = {"name": "transformers/dinov2", "pretrained": str(folder)}
    trained = at("recipes/judge", {**raw["recipes"]["ce"], "network": network}, raw)
    frozen = {**raw["recipes"]["ce"], "network": network | {"freeze": "backbone"}, "augmentation": {}}
    cached = at("recipes/judge", frozen, raw)
    name = next(iter(cached.backbones))

    def states():
        settings = cached.backbone_settings(wild(backbone=name, images="images/train"))
        return trained.train_settings(wild(recipe="judge")).pretrained_state, settings.pretrained_state

    seen = [states()]
    folder.mkdir()
    for file in ("config.json", "model.safetensors"):
        (folder / file).write_text("{}")
        seen.append(states())
    assert seen[0] == ("", "")
    assert [len(set(of_one)) for of_one in zip(*seen, strict=True)] == [3, 3]


FILTER = {"classifier": "ce", "attempts_per_class": 150, "min_posterior": 0.7}


def test_a_filter_reads_more_blocks_and_stands_before_every_reader(raw):
    """150 attempts of six classes in blocks of 600 are two blocks; the first is the same job as without a filter."""
    plain, filtered = Plan(load(raw)), at("generators/biggan/filter", FILTER, raw)
    folder = "results/digits/synthetic/biggan"
    assert plain.blocks("digits", "biggan") == [f"{folder}/block0.safetensors"]
    assert filtered.blocks("digits", "biggan") == [f"{folder}/kept.safetensors"]
    assert filtered.sampled_blocks("digits", "biggan") == [f"{folder}/block{k}.safetensors" for k in (0, 1)]
    assert learned(filtered, recipe="sio-biggan")["synthetic"] == [f"{folder}/kept.safetensors"]
    assert filtered.block_settings(wild()) == plain.block_settings(wild())
    assert filtered.block_settings(wild(block="1")).count == 300
    assert filtered.filtered_generators() == ["biggan"]
    assert plain.filtered_generators() == []
    assert filtered.filter_classifier(wild()) == "results/digits/models/ce/seed1001/model.safetensors"
    settings = filtered.filter_settings(wild())
    assert (settings.images_per_class, settings.filter.min_posterior) == (100, 0.7)
    assert filtered.fit_settings(wild()) == plain.fit_settings(wild())


def test_a_fit_by_the_hinge_loss_reads_the_classifier_that_watches_it(raw):
    assert Plan(load(raw)).watching(wild()) == []
    hinge = {"objective": "hinge", "steps": 5, "watch": {"classifier": "ce", "classifier_seed": 7}}
    plan = at("generators/biggan/fit", hinge, raw)
    assert plan.watching(wild()) == ["results/digits/models/ce/seed7/model.safetensors"]
    text = as_parameter(plan.fit_settings)(wild())
    assert FitSettings.parse(text).generator == plan.fit_settings(wild()).generator


def test_a_change_of_the_files_of_a_generator_is_noticed(raw, tmp_path):
    """Of a ready-made set and of published weights."""
    (tmp_path / "set.npz").write_bytes(b"1")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "pytorch_model.bin").write_bytes(b"1")
    source = {"kind": "arrays", "path": str(tmp_path / "set.npz")}
    raw["generators"]["ready"] = {"kind": "ready-made", "source": source, "images_per_class": 7, "block_size": 20}
    raw["generators"]["published"] = {
        "kind": "biggan", "pretrained": {"from": str(tmp_path / "weights")}, "images_per_class": 1, "block_size": 6,
    }  # fmt: skip
    plan = Plan(load(raw))
    names = ("ready", "published")
    before = [plan.generator_state(wild(generator=name)) for name in names]
    assert all(before)
    (tmp_path / "set.npz").write_bytes(b"22")
    (tmp_path / "weights" / "pytorch_model.bin").write_bytes(b"22")
    after = [plan.generator_state(wild(generator=name)) for name in names]
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert plan.generator_state(wild()) == ""
    assert len(plan.blocks("digits", "ready")) == 3
    assert BlockSettings.parse(as_parameter(plan.block_settings)(wild(generator="ready"))).count == 20


def test_the_page_has_every_built_table_in_order(raw):
    raw["tables"]["second"] = {**raw["tables"][TABLE], "recipes": ["ce"], "title": "Second"}
    raw["build"] = ["second", TABLE]
    plan = Plan(load(raw))
    settings, inputs = plan.page_settings(OF_ALL), plan.page_inputs(OF_ALL)
    assert [(one.name, one.title) for one in settings.tables] == [
        ("second", "Second"),
        (TABLE, plan.config.tables[TABLE].title),
    ]
    assert inputs["tables"] == [f"results/tables/{name}.csv" for name in ("second", TABLE)]
    assert inputs["gains"] == [f"results/tables/{name}-gains.csv" for name in ("second", TABLE)]
    runs = [tuple(Path(path).parts[index] for index in (1, 3, 4)) for path in inputs["histories"]]
    assert runs == [(dataset, recipe, f"seed{seed}") for dataset, recipe, seed in settings.runs]
    assert len(set(runs)) == len(runs)


def test_the_page_of_one_table_has_no_other(raw):
    raw["build"] = [TABLE, OAL]
    plan = Plan(load(raw))
    settings, inputs = plan.page_settings(wild(table=TABLE)), plan.page_inputs(wild(table=TABLE))
    assert [one.name for one in settings.tables] == [TABLE]
    assert inputs["tables"] == [f"results/tables/{TABLE}.csv"]
    assert {one.kind for one in settings.pictures} == {"synthetic"}
    raw["build"] = [TABLE]
    alone = Plan(load(raw))
    assert inputs == alone.page_inputs(OF_ALL)
    assert settings.jobs == alone.page_settings(OF_ALL).jobs


def test_the_page_has_each_picture_with_its_figures(raw):
    raw["build"] = [TABLE, OAL]
    plan = Plan(load(raw))
    settings, inputs = plan.page_settings(OF_ALL), plan.page_inputs(OF_ALL)
    shown = dict(zip(((one.kind, one.name) for one in settings.pictures), inputs["pictures"], strict=True))
    assert shown["synthetic", "biggan"] == "results/digits/synthetic/biggan/quality.png"
    assert shown["curve", "oal"] == "results/digits/outliers/oal/curve.png"
    assert len(shown) == len(set(inputs["pictures"])) == len(inputs["pictures"])
    folders = [str(Path(path).parent) for path in inputs["measured"]]
    kinds = [one.kind for one in settings.pictures]
    assert folders == [
        str(Path(path).parent)
        for kind, path in zip(kinds, inputs["pictures"], strict=True)
        if kind in ("synthetic", "outliers")
    ]


def test_the_page_knows_papers_and_outside_data(raw):
    raw["generators"]["biggan"] = {
        "kind": "ready-made", "source": {"kind": "arrays", "path": "a.npz"}, "images_per_class": 10, "block_size": 60,
        "prior": "Stable Diffusion 1.4",
    }  # fmt: skip
    settings = Plan(load(raw)).page_settings(OF_ALL)
    (table,) = (one for one in settings.tables if one.name == TABLE)
    assert table.outside["sio-biggan"] == "generative prior: Stable Diffusion 1.4"
    assert "ce" not in table.outside
    assert settings.papers["sio-biggan"] == ["SIO, arXiv 2303.14531"]
    assert settings.papers["msp"] == ["arXiv 1610.02136"]
    assert table.computed["digits"] == [name for name in table.far["digits"] if name != "photos"]
