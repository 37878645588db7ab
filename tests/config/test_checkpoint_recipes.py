"""Recipes of kind checkpoint: read beside those that are trained, told apart, wired in their place."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pandas as pd
import pytest
from pydantic import ValidationError

from checkouts import WarmWorkflow, Workflow
from synthood.common.tensors import read_tensors
from synthood.config.load import load
from synthood.config.schema import json_schema
from synthood.errors import SynthoodError
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.settings import RecipeSettings
from synthood.workflow.plan import Plan

CHECKPOINT = {
    "kind": "checkpoint",
    "path": "nets/seed{seed}.pt",
    "network": {"name": "resnet20", "shortcut": "padded"},
    "mean": [0.5, 0.5, 0.4],
    "std": [0.2, 0.2, 1],
}


@pytest.fixture
def with_checkpoint(edited):
    return edited({"recipes/outside": CHECKPOINT, "tables/demo-sio/recipes/1": "outside"})


def wild(**more):
    return SimpleNamespace(**({"dataset": "digits", "recipe": "outside", "seed": "2"} | more))


def test_both_kinds_are_read(with_checkpoint):
    recipes = load(with_checkpoint).recipes
    assert isinstance(recipes["ce"], RecipeSettings)
    assert recipes["outside"] == CheckpointRecipe.model_validate(CHECKPOINT)


def test_a_trained_recipes_text_is_what_it_was():
    """The defaults of new keys are left out, so nothing is trained again."""
    recipe = RecipeSettings(network=Network(name="resnet8"), epochs=1, batch_size=2, learning_rate=0.1)
    assert recipe.canonical() == '{"batch_size":2,"epochs":1,"learning_rate":0.1,"network":{"name":"resnet8"}}'
    assert recipe.model_copy(update={"kind": "train"}).canonical() == recipe.canonical()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 3}, r"recipes\.outside\.epochs: unknown key"),
        ({"kind": "chekpoint"}, r"recipes\.outside: unknown kind 'chekpoint'; did you mean 'checkpoint'\?"),
        ({"path": None}, r"recipes\.outside\.path: this key is missing"),
        ({"path": "{sed}.pt"}, r"recipes\.outside\.path: '{sed}\.pt' has braces around something else"),
        ({"mean": [0.5, 0.5]}, r"recipes\.outside\.mean: expected at least 3 entries, got 2"),
        ({"std": [0.5, 0, 0.5]}, r"recipes\.outside\.std\.1: "),
        (
            {"network": {"name": "resnet20", "widht": 16}},
            r"recipes\.outside\.network\.widht: unknown key; did",
        ),
        ({"kind": None}, r"recipes\.outside\.path: unknown key"),
    ],
)
def test_mistakes_are_told_with_their_path(with_checkpoint, change, message):
    changed = {**with_checkpoint["recipes"]["outside"], **change}
    with_checkpoint["recipes"]["outside"] = {key: value for key, value in changed.items() if value is not None}
    with pytest.raises(SynthoodError, match=message):
        load(with_checkpoint)


def test_one_may_be_like_another(with_checkpoint):
    with_checkpoint["recipes"]["other"] = {"like": "outside", "path": "other.pt"}
    found = load(with_checkpoint).recipes["other"]
    assert (found.path, found.mean) == ("other.pt", [0.5, 0.5, 0.4])
    jsonschema.Draft202012Validator(json.loads(json_schema())).validate(with_checkpoint)


@pytest.mark.parametrize("wrong", [{"epochs": 3}, {"mean": [0.5]}, {"path": ""}], ids=str)
def test_the_schema_rejects_what_the_loader_rejects(with_checkpoint, wrong):
    with_checkpoint["recipes"]["outside"] = CHECKPOINT | wrong
    assert not jsonschema.Draft202012Validator(json.loads(json_schema())).is_valid(with_checkpoint)


def test_the_plan_fills_in_the_seed_and_notices_the_file(with_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = Plan(load(with_checkpoint))
    assert plan.recipes("imported") == ["outside"]
    assert set(plan.recipes("trained")) == set(plan.config.recipes) - {"outside"}
    assert plan.checkpoint_settings(wild()).recipe.path == "nets/seed2.pt"
    assert "nets/seed0.pt (recipes.outside.path)" in map(str, plan.missing())
    assert plan.checkpoint_state(wild()) == ""
    file = Path("nets/seed2.pt")
    file.parent.mkdir()
    file.write_bytes(b"a")
    first = plan.checkpoint_state(wild())
    assert not [one for one in plan.missing() if "seed2" in str(one)]
    file.write_bytes(b"longer")
    assert len({first, plan.checkpoint_state(wild()), ""}) == 3
    with pytest.raises(ValueError, match="a checkpoint, which is not trained"):
        plan.train_settings(wild())
    with pytest.raises(ValueError, match="is trained, not a checkpoint"):
        plan.checkpoint_settings(wild(recipe="ce"))


def test_the_plan_notices_pictures_that_are_mixed_with(with_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with_checkpoint["recipes"]["outside"] = {"like": "ce", "augmentation": {"pixmix": {"pictures": "fractals"}}}
    plan = Plan(load(with_checkpoint))
    assert plan.pictures_state(wild(recipe="ce")) == ""
    assert plan.pictures_state(wild()) == ""
    assert "fractals (recipes.outside.augmentation.pixmix.pictures)" in map(str, plan.missing())
    Path("fractals/below").mkdir(parents=True)
    states = [plan.pictures_state(wild())]
    assert "fractals" not in " ".join(map(str, plan.missing()))
    for name in ("a.png", "below/b.png"):
        Path("fractals", name).write_bytes(b"a")
        states.append(plan.pictures_state(wild()))
    Path("fractals/a.png").write_bytes(b"longer")
    assert len({*states, plan.pictures_state(wild()), ""}) == 5


def test_it_may_be_a_teacher_but_does_not_learn(with_checkpoint):
    with_checkpoint["recipes"]["kd"]["teacher"]["recipe"] = "outside"
    load(with_checkpoint)
    with pytest.raises(ValidationError):
        CheckpointRecipe.model_validate(CHECKPOINT | {"warm_start": "ce"})


@pytest.mark.workflow
def test_an_import_stands_where_a_training_would(clean: WarmWorkflow) -> None:
    config = clean.config
    config["recipes"]["outside"] = CHECKPOINT
    config["tables"]["small"]["recipes"] = ["ce", "outside"]
    clean.config = config
    jobs = clean.planned("--", "tables")
    assert {"import outside for digits, seed 0", "train ce on digits, seed 0"} <= jobs
    assert {"extract features of outside on digits, seed 0", "score outside on digits, seed 0"} <= jobs
    assert "train outside on digits, seed 0" not in jobs


@pytest.mark.workflow
def test_a_trained_model_scores_the_same_when_it_is_imported(finished: Workflow, tmp_path: Path) -> None:
    """Figures too, one recipe of which has no training curve."""
    workflow = finished.copied(tmp_path / "copy")
    model = workflow.place / "results/digits/models/ce/seed0/model.safetensors"
    _, header = read_tensors(model)
    shutil.copy(model, workflow.place / "outside0.safetensors")
    config = workflow.config
    config["recipes"]["outside"] = {
        "kind": "checkpoint",
        "path": "outside{seed}.safetensors",
        "network": header["network"],
        "mean": header["mean"],
        "std": header["deviation"],
    }
    config["tables"]["small"]["recipes"] = ["ce", "outside"]
    workflow.config = config
    done = workflow.run("tables", "figures")
    assert done.returncode == 0, done.stdout
    models = workflow.place / "results/digits/models"
    outside, ce = (models / recipe / "seed0" for recipe in ("outside", "ce"))
    pd.testing.assert_frame_equal(pd.read_parquet(outside / "scores.parquet"), pd.read_parquet(ce / "scores.parquet"))
    assert (outside / "metrics.csv").read_bytes() == (ce / "metrics.csv").read_bytes()
    assert (
        "- outside - ce on near OOD: +0.00 points, 95 % interval +0.00 to +0.00, 1 seed"
        in (workflow.place / "results/tables/small.md").read_text()
    )
