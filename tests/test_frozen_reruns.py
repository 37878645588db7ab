"""Which jobs an edit runs again where backbones are frozen: their features are computed once, and heads are cheap."""

import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from safetensors.torch import save_file

from checkouts import WarmWorkflow, checkout
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.from_torchvision import TorchvisionNetwork

pytestmark = pytest.mark.workflow

NAME = "torchvision/shufflenet_v2_x0_5"
DIGITS = {"kind": "digits", "classes": [0, 1], "train_per_class": 12, "val_per_class": 6}
CONFIG: dict[str, Any] = {
    "version": 2,
    "build": ["small"],
    "precision": "float32",
    "datasets": {
        "digits": {
            "id": DIGITS,
            "far": {"noise": {"kind": "noise", "images": 10}},
            "ood_validation": {"kind": "shuffled-quadrants", "images": 10},
        }
    },
    "recipes": {
        "linear": {
            "network": {"name": NAME, "pretrained": "one.safetensors", "freeze": "backbone"},
            "epochs": 2,
            "batch_size": 8,
            "learning_rate": 0.01,
        },
        "mlp": {"like": "linear", "network": {"head": {"kind": "mlp", "width": 8}}},
    },
    "detectors": {"msp": {"kind": "msp"}, "knn": {"kind": "knn", "k": 3}},
    "tables": {
        "small": {
            "datasets": ["digits"],
            "recipes": ["linear", "mlp"],
            "seeds": [0],
            "detectors": ["msp", "knn"],
            "baselines": ["linear"],
            "resamples": 50,
        }
    },
}
RECIPES = ("linear", "mlp")
PARTS = ("train", "val", "test", "noise", "ood_validation")


def scored(*recipes: str, seed: int = 0) -> set[str]:
    return {f"score {recipe} on digits, seed {seed}" for recipe in recipes} | {"tabulate small"}


def trained(*recipes: str, seed: int = 0) -> set[str]:
    jobs = ("train {} on digits, seed {}", "extract features of {} on digits, seed {}")
    return {job.format(recipe, seed) for recipe in recipes for job in jobs} | scored(*recipes, seed=seed)


def computed(*parts: str, views: str = "") -> set[str]:
    by = f"shufflenet_v2_x0_5{views}"
    return {f"compute features of images/{part} of digits by {by}" for part in parts}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory, stages: str) -> Iterator[WarmWorkflow]:
    """A checkout in which two heads on one backbone have been trained."""
    workflow = checkout(tmp_path_factory.mktemp("frozen") / "checkout", stages)
    for seed, name in enumerate(("one", "other")):
        state = build(TorchvisionNetwork(name=NAME), 5, seed).state_dict()
        save_file({key: value.contiguous() for key, value in state.items()}, workflow.place / f"{name}.safetensors")
    workflow.config = CONFIG
    done = workflow.run("tables")
    assert done.returncode == 0, done.stdout
    warm = WarmWorkflow(workflow.place)
    yield warm
    warm.end()


@pytest.fixture
def planned(warm: WarmWorkflow) -> Iterator[Callable[[dict[str, Any]], set[str]]]:
    """Jobs that a configuration with some sections edited would run; backbones without their digests."""

    def plan(edits: dict[str, Any]) -> set[str]:
        warm.config = merged(CONFIG, edits)
        return {re.sub(r"-[0-9a-f]{10}$", "", job) for job in warm.planned("tables")}

    yield plan
    warm.config = CONFIG


def merged(config: dict[str, Any], edits: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: merged(config[key], value) for key, value in edits.items() if isinstance(value, dict) and key in config
    }
    return config | edits | both


HEAD = {"like": "linear", "network": {"head": {"kind": "cosine"}}}
VIEWS = {"augmentation": {"flip": True, "shift": 2}, "views": 2}
EDITS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "nothing": ({}, set()),
    "a seed added": ({"tables": {"small": {"seeds": [0, 1]}}}, trained(*RECIPES, seed=1)),
    "a recipe added": (
        {"recipes": {"cosine": HEAD}, "tables": {"small": {"recipes": [*RECIPES, "cosine"]}}},
        trained("cosine"),
    ),
    "a detector added": (
        {"detectors": {"energy": {"kind": "energy"}}, "tables": {"small": {"detectors": ["msp", "knn", "energy"]}}},
        scored(*RECIPES),
    ),
    "a detector's hyperparameter": ({"detectors": {"knn": {"k": 4}}}, scored(*RECIPES)),
    "a head's width": ({"recipes": {"mlp": {"network": {"head": {"width": 9}}}}}, trained("mlp")),
    "a head's learning rate": ({"recipes": {"mlp": {"learning_rate": 0.02}}}, trained("mlp")),
    "other weights": (
        {"recipes": {"linear": {"network": {"pretrained": "other.safetensors"}}}},
        computed(*PARTS) | trained(*RECIPES),
    ),
    "other weights of one recipe": (
        {"recipes": {"mlp": {"network": {"pretrained": "other.safetensors"}}}},
        computed(*PARTS) | trained("mlp"),
    ),
    "augmented views of one recipe": (
        {"recipes": {"mlp": VIEWS}},
        computed("train", views="-2views") | trained("mlp"),
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_the_configuration(planned: Callable[[dict[str, Any]], set[str]], name: str) -> None:
    edits, jobs = EDITS[name]
    assert planned(edits) == jobs


def test_other_weights_in_the_same_file(warm: WarmWorkflow, planned: Callable[[dict[str, Any]], set[str]]) -> None:
    file, aside = warm.place / "one.safetensors", warm.place / "aside"
    file.rename(aside)
    shutil.copy(warm.place / "other.safetensors", file)
    try:
        assert planned({}) == computed(*PARTS) | trained(*RECIPES)
    finally:
        aside.replace(file)
    assert planned({}) == set()


def test_features_are_computed_once_for_all_heads(warm: WarmWorkflow) -> None:
    folders = list((warm.place / "results/digits/backbones").iterdir())
    assert len(folders) == 1
    assert {path.stem for path in folders[0].rglob("*.safetensors")} == set(PARTS)
