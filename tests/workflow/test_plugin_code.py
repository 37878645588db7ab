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
from synthood.generators.kinds import PACKAGE as GENERATORS
from synthood.generators.kinds.fitting import Fitting
from synthood.generators.kinds.sampling import Sampling
from synthood.outliers.encoders.base import ImageEncoder
from synthood.plugins import plugins
from synthood.training.augmentation.base import AugmentationStep
from synthood.training.networks.architectures.base import NetworkSettings
from synthood.workflow import code
from synthood.workflow.code import code_of, code_of_plugin, modules_behind

PACKAGE = Path(synthood.__file__).parent
STAGES = (
    "synthood.evaluation.score",
    "synthood.evaluation.score_model",
    "synthood.training.train",
    "synthood.outliers.fit_encoder",
    "synthood.outliers.embed",
    "synthood.outliers.latents",
    "synthood.generators.fit_generator",
    "synthood.generators.synthesise",
    "synthood.data.prepare",
)
NEIGHBOURS = "evaluation/detectors/neighbours.py"
NETWORKS, AUGMENTATIONS = "training/networks/architectures/", "training/augmentation/"
SAMPLERS_FOLDER = "generators/diffusion/samplers/"
Edit = Callable[[str, str, str], None]
REQUIRED = {"custom": {"file": "mine.py"}, "cfs": {"generator": "sd"}}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("package")
    shutil.copytree(PACKAGE, root / "synthood", ignore=shutil.ignore_patterns("__pycache__", "*.csv", "*.yaml"))
    return root


@pytest.fixture(scope="module")
def before(original: Path) -> dict[str, str]:
    return digests(original)


@pytest.fixture
def edited(original: Path, before: dict[str, str]) -> Callable[[str, str, str], tuple[set[str], set[str]]]:
    """Replaces text of a module; returns the plug-ins and the stages whose digests change."""

    def edit(module: str, old: str, new: str) -> tuple[set[str], set[str]]:
        path = original / "synthood" / module
        text = path.read_text()
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
    for part, base in (("fit", Fitting), ("sample", Sampling)):
        of_part = {f"{kind} {part}": one for kind, one in plugins(base, GENERATORS).items() if kind not in REQUIRED}
        every |= {name: one.model_construct() for name, one in of_part.items()}
    for base, package in (
        (NetworkSettings, "training.networks.architectures"),
        (AugmentationStep, "training.augmentation"),
    ):
        found = plugins(base, f"synthood.{package}").items()
        every |= {f"{package} {kind}": one.model_construct() for kind, one in found if kind not in REQUIRED}
    codes = {kind: code_of_plugin(one, root) for kind, one in every.items()}
    return codes | {stage: code_of(stage, root) for stage in STAGES}


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
        (NETWORKS + "dense.py", "class DenseNetwork(NetworkSettings):", "kind"),
        (AUGMENTATIONS + "geometry.py", "class Flip(AugmentationStep):", "kind"),
        ("data/sources/computed.py", "class Noise(Computed):", "kind"),
        ("data/sources/layouts.py", "class Dtd(Layout):", "kind"),
        ("data/sources/folders.py", "class Folders(FileSet):", "kind"),
    ],
)
def test_an_added_method_of_another_family_changes_nothing(edited, module: str, first: str, tag: str) -> None:
    added = re.sub(r"class \w+", "class Mine", first)
    assert edited(module, first, f'{added}\n    {tag}: Literal["mine"] = "mine"\n\n\n{first}') == (set(), set())


ADDED_GENERATOR = """class MineFitting(Fitting):
    kind: Literal["mine"] = "mine"
    steps: int = 1


class MineSampling(Sampling):
    kind: Literal["mine"] = "mine"
    sample: int = 1


class Mine(MineFitting, MineSampling, ImageGenerator):
    pass


class BigGANFitting(Fitting):"""


def test_an_added_generator_changes_nothing(edited) -> None:
    assert edited("generators/kinds/biggan.py", "class BigGANFitting(Fitting):", ADDED_GENERATOR) == (set(), set())


def test_the_stages_of_generators_reach_no_generator() -> None:
    of_one = {f"{GENERATORS}.{name}" for name in ("biggan", "custom", "ready_made", "stable_diffusion")}
    of_one |= {"synthood.generators.ready_made", "synthood.generators.biggan", "synthood.generators.diffusion"}
    for stage in ("fit_generator", "synthesise"):
        assert not of_one & modules_behind(f"synthood.generators.{stage}").keys()


def test_an_added_import_and_a_constant_change_nothing(edited) -> None:
    assert edited(NEIGHBOURS, "STRIDE = 8\n", "STRIDE = 8\nLIMIT = 9\n") == (set(), set())
    assert edited(NEIGHBOURS, "import functools\n", "import functools\nimport colorsys\n") == (set(), set())


@pytest.mark.parametrize(
    ("module", "old", "new", "changed"),
    [
        (NEIGHBOURS, "clamp(max=0)", "clamp(max=1)", {"knn", "cider"}),
        (NEIGHBOURS, "STRIDE = 8", "STRIDE = 16", {"knn", "cider", "nnguide", "good"}),
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
        (NETWORKS + "residual.py", "EXPANSION = 4", "EXPANSION = 5", {"training.networks.architectures residual"}),
        (
            NETWORKS + "from_torchvision.py",
            "layer.p = 0.0",
            "layer.p = 0.1",
            {"training.networks.architectures torchvision"},
        ),
        (AUGMENTATIONS + "geometry.py", ") < 0.5)", ") < 0.4)", {"training.augmentation flip"}),
        (AUGMENTATIONS + "policies.py", "magnitude / 30", "magnitude / 31", {"training.augmentation randaugment"}),
        (
            AUGMENTATIONS + "policies.py",
            "0.01 + (",
            "0.02 + (",
            {"training.augmentation augmix", "training.augmentation pixmix"},
        ),
        ("outliers/encoder.py", "FINAL_SHARE = 0.01", "FINAL_SHARE = 0.02", {"text-aligned"}),
        ("generators/biggan/hinge.py", "import torch\n", "import torch\n\nADDED = 1\n", {"biggan fit"}),
        ("generators/kinds/biggan.py", "seed % len(ids)", "seed // len(ids)", {"biggan sample"}),
        ("generators/diffusion/miniature_fit.py", "DECAY = 0.995", "DECAY = 0.9", {"stable-diffusion fit"}),
        ("generators/kinds/base.py", "prior: Annotated", "more: int = 0\n    prior: Annotated", set()),
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
        "a network",
        "a network of a library",
        "flip",
        "randaugment",
        "operations of two augmentations",
        "the fit of an encoder",
        "the fit of a generator",
        "how a generator is sampled",
        "the fit of a miniature",
        "what planning asks of all generators",
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
