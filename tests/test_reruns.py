"""Which jobs an edit runs again, by name and wildcards: the promise of the workflow, as a table."""

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from checkouts import WarmWorkflow, Workflow
from synthood.cli import main
from synthood.common.settings import canonical_json

pytestmark = pytest.mark.workflow

PAGE = "build the report page"
"""It shows every table, figure and gallery, so it comes after any job."""
RECIPES = ("ce", "sio-biggan", "sio-sd")
"""sio-biggan is warm-started from ce, distils the judge, and contrasts outliers that ce gates."""
TABULATED = {"tabulate small", "plot the results of small"}
"""Figures of the table's own numbers follow it."""
REPORTED = TABULATED | {"plot the figures of small"}
SYNTHESISED_BIGGAN = {
    "synthesise block 0 of digits with biggan",
    "synthesise block 1 of digits with biggan",
    "assess the images of biggan for digits",
}


def with_page(jobs: set[str]) -> set[str]:
    """The jobs, and that of the page where there are any."""
    return jobs | ({PAGE} if jobs else set())


def trained(*recipes: str, seed: int = 0) -> set[str]:
    return {f"train {recipe} on digits, seed {seed}" for recipe in recipes}


def scored(*recipes: str, seed: int = 0) -> set[str]:
    return {f"score {recipe} on digits, seed {seed}" for recipe in recipes} | REPORTED


def extracted(*recipes: str, seed: int = 0) -> set[str]:
    mapped = {"map the outliers of sio-biggan on digits, seed 0"} if "sio-biggan" in recipes and seed == 0 else set()
    jobs = {f"extract features of {recipe} on digits, seed {seed}" for recipe in recipes}
    return jobs | mapped | scored(*recipes, seed=seed)


def evaluated(*recipes: str, seed: int = 0) -> set[str]:
    return trained(*recipes, seed=seed) | extracted(*recipes, seed=seed)


DROPPED = ("test", "ood_validation", "digits-8", "textures")
COMPARED = "compare the parts of digits"
"""An OOD set is compared with all other parts before it is scored, but nothing is trained again."""
ASSESSED = "assess the outliers of oal for digits"
CURVE = "draw the curve over the scale of oal for digits"
GATED = {"gate the outliers of oal for digits", ASSESSED}
SAMPLED = {"sample outlier latents of oal for digits", CURVE} | GATED
JUDGED = {
    "train judge on digits, seed 1000",
    "assess the images of biggan for digits",
    "assess the images of sd for digits",
    ASSESSED,
    CURVE,
}

EMBEDDED = {
    "fit the text-aligned encoder of oal on digits",
    "embed digits for oal",
    "find boundary outliers of digits for oal",
} | SAMPLED
SYNTHESISED_SD = {"synthesise block 0 of digits with sd", "assess the images of sd for digits"}
FITTED_BIGGAN = {"fit generator biggan on digits"} | SYNTHESISED_BIGGAN | evaluated("sio-biggan")
FITTED_SD = {"fit generator sd on digits"} | SYNTHESISED_SD | EMBEDDED | evaluated("sio-biggan", "sio-sd")

Edit = Callable[[dict[str, Any]], None]


def put(path: str, value: Any) -> Edit:
    """Sets the key at a dotted path."""

    def edit(config: dict[str, Any]) -> None:
        *sections, key = path.split(".")
        part = config
        for section in sections:
            part = part.setdefault(section, {})
        part[key] = value

    return edit


def swap(config: dict[str, Any]) -> None:
    recipe = config["recipes"]["sio-sd"]
    recipe["warmup"], recipe["synthetic"]["alpha"] = recipe["synthetic"]["alpha"], recipe["warmup"]


def reorder(config: dict[str, Any]) -> None:
    for section in ("recipes", "generators", "detectors"):
        config[section] = {key: dict(reversed(value.items())) for key, value in reversed(list(config[section].items()))}


def add_recipe(config: dict[str, Any]) -> None:
    config["recipes"]["cutout"] = {"like": "ce", "augmentation": {"cutout": 8}}
    config["tables"]["small"]["recipes"].append("cutout")


def add_detector(config: dict[str, Any]) -> None:
    config["detectors"]["energy"] = {"kind": "energy"}


def add_noise_and_change_alpha(config: dict[str, Any]) -> None:
    put("datasets.digits.far.noise", {"kind": "noise", "images": 20})(config)
    put("recipes.sio-biggan.synthetic.alpha", 0.5)(config)


EDITS: dict[str, tuple[Edit, set[str]]] = {
    "one recipe's alpha": (put("recipes.sio-biggan.synthetic.alpha", 0.5), evaluated("sio-biggan")),
    "two values swapped": (swap, evaluated("sio-sd")),
    "keys reordered": (reorder, set()),
    "a default written out": (put("recipes.ce.momentum", 0.9), set()),
    "a detector's hyperparameter": (put("detectors.knn.k", 6), scored(*RECIPES)),
    "a detector added": (add_detector, scored(*RECIPES)),
    "figure resolution": (put("figures.dpi", 60), {"plot the figures of small", "plot the results of small"}),
    "a table's columns": (put("tables.small.columns", ["auroc"]), TABULATED),
    "a table's title": (put("tables.small.title", "Small"), TABULATED),
    "a recipe that no table shows": (put("recipes.more", {"like": "ce"}), {PAGE}),
    "a seed added": (put("tables.small.seeds", [0, 1]), evaluated(*RECIPES, seed=1)),
    "a recipe added": (add_recipe, evaluated("cutout")),
    "a recipe dropped": (put("tables.small.recipes", ["ce", "sio-sd"]), REPORTED),
    "a generator's truncation": (
        put("generators.biggan.sample.truncation", 1.0),
        SYNTHESISED_BIGGAN | evaluated("sio-biggan"),
    ),
    "more synthetic images": (
        put("generators.biggan.images_per_class", 16),
        (SYNTHESISED_BIGGAN - {"synthesise block 0 of digits with biggan"})
        | {"synthesise block 2 of digits with biggan"}
        | evaluated("sio-biggan"),
    ),
    "more images of a diffusion model": (
        put("generators.sd.images_per_class", 10),
        {"synthesise block 1 of digits with sd", "assess the images of sd for digits"} | evaluated("sio-sd"),
    ),
    "a generator's fit": (
        put("generators.biggan.fit.steps", 7),
        FITTED_BIGGAN,
    ),
    "an OOD set added": (
        put("datasets.digits.far.noise", {"kind": "noise", "images": 20}),
        {"prepare noise of digits", COMPARED} | extracted(*RECIPES),
    ),
    "an OOD set's size": (
        put("datasets.digits.far.textures.images", 50),
        {"prepare textures of digits", COMPARED} | extracted(*RECIPES),
    ),
    "an OOD set added and one recipe's alpha": (
        add_noise_and_change_alpha,
        {"prepare noise of digits", COMPARED} | extracted(*RECIPES) | trained("sio-biggan"),
    ),
    "leaks dropped": (
        put("leaks", {"drop": True}),
        {COMPARED, "look for images of digits that stand in two parts"}
        | {f"leave out images of {part} of digits that stand in ID parts" for part in DROPPED}
        | extracted(*RECIPES),
    ),
    "an allowed overlap": (
        put("datasets.digits.allow_overlap", [{"parts": ["train", "test"], "images": 1}]),
        {COMPARED} | REPORTED,
    ),
    "calibration images": (
        put("datasets.digits.calibration", 0.4),
        {f"prepare {part} of digits" for part in ("val", "calibration", "ood_validation")}
        | {"compare train, val and test of digits", COMPARED}
        | JUDGED
        | FITTED_BIGGAN
        | FITTED_SD
        | evaluated(*RECIPES),
    ),
    "the judge": (put("recipes.judge.epochs", 4), JUDGED | evaluated("sio-biggan")),
    "a warm start's recipe": (
        put("recipes.ce.learning_rate", 0.06),
        JUDGED | GATED | evaluated(*RECIPES),
    ),
    "the outliers' boundary": (
        put("outliers.oal.boundary.k", 4),
        {"find boundary outliers of digits for oal"} | SAMPLED | evaluated("sio-biggan"),
    ),
    "the outliers' scale": (put("outliers.oal.latents.scale", 3.0), SAMPLED | evaluated("sio-biggan")),
    "the outliers' gate": (put("outliers.oal.gate.keep_per_class", 3), GATED | evaluated("sio-biggan")),
    "the curve over the scale": (put("outliers.oal.curve.scales", [1.0]), {CURVE}),
    "the weight of the outliers": (put("recipes.sio-biggan.outliers.latent_weight", 0.5), evaluated("sio-biggan")),
}


@pytest.fixture(scope="module")
def warm(finished: Workflow) -> Iterator[WarmWorkflow]:
    workflow = WarmWorkflow(finished.place)
    yield workflow
    workflow.end()


@pytest.fixture
def place(warm: WarmWorkflow) -> Iterator[WarmWorkflow]:
    before = warm.config
    yield warm
    warm.config = before


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_the_configuration(place: Workflow, name: str) -> None:
    edit, jobs = EDITS[name]
    config = copy.deepcopy(place.config)
    edit(config)
    place.config = config
    assert place.planned() == with_page(jobs)


def test_nothing_to_do(warm: WarmWorkflow) -> None:
    assert warm.planned() == set()


@pytest.mark.parametrize(
    ("written", "instead"), [("0.75", "0.750"), ("0.05", "5.0e-2"), ("version: 2", "version: 2 # x")]
)
def test_a_number_written_otherwise(place: Workflow, written: str, instead: str) -> None:
    path = place.place / "config.yaml"
    text = yaml.safe_dump(place.config)
    assert written in text
    path.write_text(text.replace(written, instead))
    assert place.planned() == set()


@pytest.fixture
def source(finished: Workflow) -> Iterator[Callable[[str, str], None]]:
    """Appends text to a module of the package; undone after the test."""
    before: dict[Path, str | None] = {}

    def append(module: str, text: str) -> None:
        path = finished.place / "src" / "synthood" / module
        original = before.setdefault(path, path.read_text() if path.exists() else None)
        path.write_text((original or "") + text)

    yield append
    for path, original in before.items():
        if original is None:
            path.unlink()
        else:
            path.write_text(original)


CODE = {
    "training/fit.py": JUDGED | GATED | evaluated(*RECIPES),
    "outliers/assess_outliers.py": {ASSESSED},
    "evaluation/detectors/neighbours.py": set(),  # nothing uses what is added
    "evaluation/scoring.py": scored(*RECIPES),
    "reporting/render.py": TABULATED,
    "reporting/plot.py": {"plot the figures of small"},
    "reporting/page/checks.py": {PAGE},
    "reporting/page/limits.py": {PAGE},
    "workflow/plan/report.py": set(),
    "reporting/figures/roc.py": set(),  # nothing uses what is added
    "reporting/figures/style.py": {"plot the figures of small", "plot the results of small"},
    "reporting/figures/brand_new.py": set(),
    "generators/quality/measures.py": {
        "assess the images of biggan for digits",
        "assess the images of sd for digits",
        ASSESSED,
        CURVE,
    },
    "common/progress.py": set(),
    # Settings: a class added for a new method.
    "training/methods/rotation.py": set(),
    "training/methods/outliers.py": set(),
    "training/methods/brand_new.py": set(),
    "training/networks/settings.py": JUDGED | FITTED_BIGGAN | EMBEDDED | evaluated(*RECIPES),
    "training/networks/architectures/residual.py": set(),
    "training/networks/architectures/brand_new.py": set(),
    "training/augmentation/policies.py": set(),
    "training/augmentation/brand_new.py": set(),
    "generators/diffusion/samplers/plms.py": set(),
    "generators/kinds/biggan.py": set(),
    "generators/kinds/brand_new.py": set(),
    "generators/kinds/base.py": set(),
    "generators/biggan/hinge.py": FITTED_BIGGAN,
    "generators/diffusion/miniature_fit.py": FITTED_SD,
    "outliers/boundary_settings.py": {"find boundary outliers of digits for oal"} | SAMPLED | evaluated("sio-biggan"),
    "outliers/encoder_settings.py": EMBEDDED | evaluated("sio-biggan"),
    "outliers/encoders/clip.py": set(),
    "outliers/settings.py": set(),
    "outliers/kinds/sampled.py": set(),
    "outliers/kinds/bood.py": set(),
    "outliers/crossing.py": set(),
    "outliers/kinds/brand_new.py": set(),
    "evaluation/metrics/brand_new.py": set(),
    "data/settings.py": TABULATED,
    "data/sources/folders.py": set(),
    "data/sources/brand_new.py": set(),
}


@pytest.mark.parametrize("module", CODE)
def test_an_edit_of_the_code(warm: WarmWorkflow, source: Callable[[str, str], None], module: str) -> None:
    source(module, "\nADDED = 1\n")
    assert warm.planned() == with_page(CODE[module])


METHODS = {
    "training/methods/outliers.py": ("PROTOTYPE_MOMENTUM = 0.8", evaluated("sio-biggan")),
    "training/methods/teacher.py": ("Teacher.order = 1", evaluated("sio-biggan")),
    "training/methods/rotation.py": ("Rotation.order = 6", set()),
    "training/networks/architectures/residual.py": ("Network.extra = 1", JUDGED | EMBEDDED | evaluated(*RECIPES)),
    "training/networks/architectures/dense.py": ("DenseNetwork.extra = 1", set()),
    "training/augmentation/policies.py": ("AugMix.extra = 1", set()),
    "evaluation/detectors/neighbours.py": ("Knn.limit = 1", scored(*RECIPES)),
    "evaluation/detectors/distances.py": ("Mds.limit = 1", set()),
    "outliers/encoders/text_aligned.py": ("TextAlignedEncoder.extra = 1", EMBEDDED | evaluated("sio-biggan")),
    "generators/kinds/biggan.py": (
        "def generator_classes(class_ids, labels, seeds): return labels",
        SYNTHESISED_BIGGAN | evaluated("sio-biggan"),
    ),
    "generators/kinds/ready_made.py": ("ReadyMade.more = 1", set()),
    "generators/diffusion/samplers/few_step.py": ("FewStepSample.extra = 1", set()),
    "generators/diffusion/samplers/dpm_solver.py": (
        "StableDiffusionSample.extra = 1",
        SAMPLED | SYNTHESISED_SD | evaluated("sio-biggan", "sio-sd"),
    ),
    "outliers/encoders/timm.py": ("TimmEncoder.extra = 1", set()),
    "evaluation/metrics/classification.py": ("IDAccuracy.extra = 1", scored(*RECIPES)),
    "reporting/figures/roc.py": ("Roc.extra = 1", {"plot the figures of small"}),
    "reporting/figures/gains.py": ("Gains.extra = 1", {"plot the results of small"}),
    "evaluation/metrics/custom.py": (
        "CustomMetric.extra = 1",
        REPORTED | {"map the outliers of sio-biggan on digits, seed 0"},
    ),
    "outliers/kinds/custom.py": ("CustomOutliers.extra = 1", set()),
    "data/sources/computed.py": ("Textures.extra = 1", {"prepare textures of digits", COMPARED} | extracted(*RECIPES)),
    "data/sources/shuffled_quadrants.py": (
        "ShuffledQuadrants.extra = 1",
        {"prepare ood_validation of digits", COMPARED} | extracted(*RECIPES),
    ),
    "data/sources/imglist.py": ("Imglist.extra = 1", set()),
}
"""Edits of a method: what names it is computed again."""


@pytest.mark.parametrize("module", METHODS)
def test_an_edit_of_a_method(warm: WarmWorkflow, source: Callable[[str, str], None], module: str) -> None:
    text, jobs = METHODS[module]
    source(module, f"\n{text}\n")
    assert warm.planned() == with_page(jobs)


def test_a_comment_or_docstring(warm: WarmWorkflow, source: Callable[[str, str], None]) -> None:
    source("training/fit.py", '\n# A comment.\n"""A string that nobody reads."""\n')
    source("common/tensors.py", "\n\n\n# Another.\n")
    assert warm.planned() == set()


def test_a_refactoring_can_be_waved_through(warm: WarmWorkflow, source: Callable[[str, str], None]) -> None:
    source("training/fit.py", "\nADDED = 1\n")
    assert warm.planned("--rerun-triggers", "mtime", "params", "input", "software-env") == set()


def test_results_of_version_1_are_kept_by_a_migration(finished: Workflow, tmp_path: Path) -> None:
    """Records by old names, which a file of version 1, read as version 2, would run again."""
    moved = finished.copied(tmp_path / "moved")
    old = {"keep_per_class": "wanted_per_class", "keep_per_point": "kept", "extra_sets": "also", "baselines": "bases"}
    for file in (moved.place / ".snakemake/metadata").rglob("*"):
        text = file.read_text() if file.is_file() else ""
        for name in (name for name in old if name in text):
            record = json.loads(file.read_text())
            record["params"] = [canonically(entry.replace(f'"{name}"', f'"{old[name]}"')) for entry in record["params"]]
            file.write_text(json.dumps(record))
    config = moved.place / "config.yaml"
    text = config.read_text().replace("version: 2", "version: 1")
    for name, before in old.items():
        assert f"{name}:" in text
        text = text.replace(f"{name}:", f"{before}:")
    config.write_text(text)
    assert moved.planned() >= {"fit generator sd on digits", "gate the outliers of oal for digits", "tabulate small"}
    main(["check", "--upgrade", str(config)])
    main(["migrate", str(moved.place / "results")])
    assert moved.planned() == set()


def canonically(entry: str) -> str:
    """A recorded parameter with the keys of its JSON sorted."""
    return repr(canonical_json(json.loads(entry[1:-1]))) if entry.startswith("'{") else entry


def test_a_touch_of_every_file(warm: WarmWorkflow) -> None:
    for path in warm.place.rglob("*"):
        if path.is_file() and not {"results", ".snakemake"} & set(path.relative_to(warm.place).parts):
            path.touch()
    assert warm.planned() == set()


def test_a_moved_checkout(finished: Workflow, tmp_path: Path) -> None:
    moved = finished.copied(tmp_path / "moved")
    assert moved.planned() == set()


def test_a_run_from_another_folder(finished: Workflow, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(finished.place / "results", elsewhere / "results")
    shutil.copytree(finished.place / ".snakemake", elsewhere / ".snakemake")
    shutil.copy2(finished.place / "config.yaml", elsewhere)
    snakefile = os.fspath(finished.place / "Snakefile")
    assert Workflow(elsewhere).planned("--snakefile", snakefile) == set()


def test_a_deleted_artefact_comes_back_alone(finished: Workflow, tmp_path: Path) -> None:
    copied = finished.copied(tmp_path / "copied")
    (copied.place / "results/tables/small.md").unlink()
    assert copied.planned() == {"tabulate small", "plot the results of small", PAGE}


@pytest.mark.parametrize("asset", ["page.html", "page.js", "style.css"])
def test_an_edit_of_the_page_s_template(warm: WarmWorkflow, source: Callable[[str, str], None], asset: str) -> None:
    source(f"reporting/page/assets/{asset}", "\n")
    assert warm.planned() == {PAGE}
