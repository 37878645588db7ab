"""Digests of plug-ins: an edit of a method, or of what serves it alone, changes that method and no other."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import synthood
from synthood.data.sources.base import PACKAGE as SOURCES
from synthood.data.sources.base import IdSource, SetSource
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.custom import Custom
from synthood.evaluation.detectors.rectifiers import React
from synthood.generators.diffusion.samplers.base import PACKAGE as SAMPLERS
from synthood.generators.diffusion.samplers.base import Sampler
from synthood.outliers.encoders.base import ImageEncoder
from synthood.plugins import plugins
from synthood.workflow import code
from synthood.workflow.code import code_of, code_of_plugin

PACKAGE = Path(synthood.__file__).parent
STAGES = (
    "synthood.evaluation.score",
    "synthood.evaluation.score_model",
    "synthood.training.train",
    "synthood.outliers.fit_encoder",
    "synthood.outliers.embed",
    "synthood.outliers.latents",
    "synthood.generators.synthesise",
    "synthood.data.prepare",
)
NEIGHBOURS = "evaluation/detectors/neighbours.py"
SAMPLERS_FOLDER = "generators/diffusion/samplers/"
Edit = Callable[[str, str, str], None]
REQUIRED = {"custom": {"file": "mine.py"}}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("package")
    shutil.copytree(PACKAGE, root / "synthood", ignore=shutil.ignore_patterns("__pycache__", "*.csv", "*.yaml"))
    return root


@pytest.fixture
def edited(original: Path) -> Callable[[str, str, str], tuple[set[str], set[str]]]:
    """Replaces text of a module; returns the plug-ins and the stages whose digests change."""

    def edit(module: str, old: str, new: str) -> tuple[set[str], set[str]]:
        path = original / "synthood" / module
        before, text = digests(original), path.read_text()
        assert old in text
        try:
            path.write_text(text.replace(old, new, 1))
            after = digests(original)
        finally:
            path.write_text(text)
        changed = {name for name in before if before[name] != after[name]}
        return changed - set(STAGES), changed & set(STAGES)

    return edit


def digests(root: Path) -> dict[str, str]:
    for cached in (code._file_of, code._code_of_class):
        cached.cache_clear()
    every = {
        kind: one() for kind, one in plugins(Detector, "synthood.evaluation.detectors").items() if kind not in REQUIRED
    }
    every |= {kind: one() for kind, one in plugins(Sampler, SAMPLERS).items()}
    for role, base in (("set", SetSource), ("id", IdSource)):
        sources = plugins(base, SOURCES).items()
        every |= {f"{role} {kind}": one.model_construct(kind=kind) for kind, one in sources if kind != "custom"}
    every |= {kind: one.model_construct() for kind, one in plugins(ImageEncoder, "synthood.outliers.encoders").items()}
    found = {kind: code_of_plugin(one, root) for kind, one in every.items()}
    return found | {stage: code_of(stage, root) for stage in STAGES}


ADDED = '''class Mine(Detector):
    """Mine."""

    kind: Literal["mine"] = "mine"

    def fit(self, reference: Reference) -> Score:
        return Score(lambda x: mine(x.features))


def mine(features: Tensor) -> Tensor:
    return features.mean(1)


class Knn(Detector):'''


def test_an_added_detector_with_a_function_of_its_own_changes_nothing(edited) -> None:
    assert edited(NEIGHBOURS, "class Knn(Detector):", ADDED) == (set(), set())


@pytest.mark.parametrize(
    ("module", "first", "tag"),
    [
        ("outliers/encoders/clip.py", "class ClipEncoder(ImageEncoder):", "kind"),
        (SAMPLERS_FOLDER + "few_step.py", "class FewStepSample(Sampler):", "sampler"),
        ("data/sources/computed.py", "class Noise(Computed):", "kind"),
        ("data/sources/layouts.py", "class Dtd(Layout):", "kind"),
        ("data/sources/folders.py", "class Folders(FileSet):", "kind"),
    ],
)
def test_an_added_encoder_sampler_or_source_changes_nothing(edited, module: str, first: str, tag: str) -> None:
    added = re.sub(r"class \w+", "class Mine", first)
    assert edited(module, first, f'{added}\n    {tag}: Literal["mine"] = "mine"\n\n\n{first}') == (set(), set())


def test_an_added_import_and_a_constant_change_nothing(edited) -> None:
    assert edited(NEIGHBOURS, "STRIDE = 8\n", "STRIDE = 8\nLIMIT = 9\n") == (set(), set())
    assert edited(NEIGHBOURS, "import functools\n", "import functools\nimport colorsys\n") == (set(), set())


@pytest.mark.parametrize(
    ("module", "old", "new", "changed"),
    [
        (NEIGHBOURS, "clamp(max=0)", "clamp(max=1)", {"knn", "cider"}),
        (NEIGHBOURS, "STRIDE = 8", "STRIDE = 16", {"knn", "cider", "nnguide"}),
        (NEIGHBOURS, "evenly spread, at least one.", "evenly spread.", set()),
        ("evaluation/detectors/logits.py", "x.logits.amax(1)", "x.logits.amax(1) + 1", {"mls"}),
        ("evaluation/detectors/of_model/gram.py", "SMALL = 1e-6", "SMALL = 1e-5", {"gram"}),
        ("evaluation/detectors/of_model/odin.py", "gradient.sign()", "gradient.sgn()", {"odin", "iodin"}),
        ("data/sources/computed.py", "(3, 12)", "(3, 13)", {"set textures"}),
        ("data/sources/digits.py", "np.rint(images * 255)", "np.rint(images * 254)", {"set digits", "id digits"}),
        ("data/sources/layouts.py", '"ankle boot"', '"boot"', {"set fashion-mnist", "id fashion-mnist"}),
        ("evaluation/detectors/subspaces.py", "SMALLEST = 1e-12", "SMALLEST = 1e-11", {"pnml"}),
        ("outliers/encoders/clip.py", '"bicubic"', '"bilinear"', {"clip"}),
        ("outliers/encoders/recipe.py", "network.features(inputs)", "network(inputs)", {"recipe"}),
        (SAMPLERS_FOLDER + "plms.py", "skip_prk_steps=True", "skip_prk_steps=False", {"paper"}),
        (SAMPLERS_FOLDER + "dpm_solver.py", "solver_order=2", "solver_order=3", {"miniature", "fast"}),
        ("outliers/encoder.py", "FINAL_SHARE = 0.01", "FINAL_SHARE = 0.02", {"text-aligned"}),
    ],
    ids=[
        "a class",
        "a constant",
        "a docstring",
        "logits",
        "of the model",
        "a base class",
        "a set",
        "sets and ID images",
        "a layout",
        "subspaces",
        "clip",
        "recipe",
        "a sampler",
        "a family of samplers",
        "the fit of an encoder",
    ],
)
def test_an_edit_changes_what_uses_it(edited, module: str, old: str, new: str, changed: set[str]) -> None:
    assert edited(module, old, new) == (changed, set())


def test_a_rectifier_depends_on_the_score_that_it_names(original: Path, edited) -> None:
    changed, stages = edited("evaluation/detectors/logits.py", "self.temperature == 1.0", "self.temperature == 2.0")
    assert changed == {"energy", "react", "vra", "ash", "scale", "lts", "dice"}
    assert stages == set()
    scores = [code_of_plugin(React(score=score), original) for score in ("energy", "gen", "klm")]
    assert len(set(scores)) == 3


def test_shared_code_changes_every_detector_of_features_and_the_stage(edited) -> None:
    changed, stages = edited("evaluation/moments.py", "ROWS = 1 << 12", "ROWS = 1 << 11")
    assert {"knn", "msp", "cider"} <= changed
    assert "synthood.evaluation.score" in stages


def test_a_user_s_file_counts_with_what_it_imports_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from .helper import power\nfrom . import other\n\ndef fit(reference):\n    ...\n"
    )
    (tmp_path / "helper.py").write_text("from .deeper import power\n")
    (tmp_path / "deeper.py").write_text("power = 1\n")
    (tmp_path / "other.py").write_text("")
    (tmp_path / "unused.py").write_text("")
    detector, seen = Custom(file=str(tmp_path / "mine.py")), []
    seen.append(code_of_plugin(detector))
    for name in ("unused", "deeper", "other", "mine"):
        path = tmp_path / f"{name}.py"
        path.write_text(path.read_text() + "\nADDED = 1\n")
        seen.append(code_of_plugin(detector))
    assert seen[0] == seen[1]
    assert len(set(seen[1:])) == 4
