"""The digest of a stage's code: what changes it and what does not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import synthood
from synthood.training.method_settings import METHODS
from synthood.training.methods.custom import CustomLoss
from synthood.workflow.code import NOT_RESULTS, code_of, code_of_plugin, modules_behind, shapes_behind

PROJECT = Path(__file__).parents[2]
MODULE = '''"""What it is for."""
import math

# a remark
LIMIT = 3


def area(radius, *, scale=1.0):
    """The area of a circle."""
    if radius > LIMIT:
        return None
    return scale * math.pi * radius**2


class Shape:
    """A shape."""

    name: str = "circle"
'''


@pytest.fixture
def package(tmp_path):
    """Writes packages, each below a root of its own."""
    roots = []

    def write(files):
        root = tmp_path / f"root{len(roots)}"
        roots.append(root)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return write


@pytest.fixture
def digest(package):
    """The digest of pkg.a where the module has this text."""
    return lambda text: code_of("pkg.a", package({"pkg/__init__.py": "", "pkg/a.py": text}))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a remark\n", ""),
        ("# a remark", "# another remark"),
        ("LIMIT = 3", "LIMIT = 3  # three"),
        ("LIMIT = 3", "LIMIT = (3)"),
        ("LIMIT = 3", "LIMIT=0x3"),
        ('"circle"', "'circle'"),
        ('"""What it is for."""\n', ""),
        ('"""What it is for."""', '"""Something else."""'),
        ('"""The area of a circle."""\n    ', ""),
        ('    """A shape."""\n', ""),
        ("\n\n\n", "\n\n\n\n\n\n"),
        ("    return scale * math.pi * radius**2", "    return (\n        (scale * math.pi) * (radius ** 2)\n    )"),
        ("if radius > LIMIT:\n        return", "if (radius > LIMIT): return"),
        ("\n", "\r\n"),
    ],
)
def test_looks_do_not_count(digest, old, new):
    assert old in MODULE
    assert digest(MODULE.replace(old, new)) == digest(MODULE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("LIMIT = 3", 'LIMIT = "3"'),
        ("LIMIT", "BOUND"),
        ("radius > LIMIT", "radius >= LIMIT"),
        ("scale=1.0", "scale=2.0"),
        ("*, scale", "scale"),
        ("return None", "return"),
        ("return None", "return False"),
        ("scale * math.pi * radius**2", "scale * (math.pi * radius**2)"),
        ("import math", "import cmath as math"),
        ('name: str = "circle"', 'name: str = "square"'),
        ('name: str = "circle"', 'name = "circle"'),
        ("class Shape:", "class Shape(dict):"),
        ("def area", "@staticmethod\ndef area"),
    ],
)
def test_code_counts(digest, old, new):
    assert old in MODULE
    assert digest(MODULE.replace(old, new)) != digest(MODULE)


def test_a_digest_is_twelve_hex_digits(digest):
    assert re.fullmatch("[0-9a-f]{12}", digest(MODULE))


TREE = {
    "pkg/__init__.py": "",
    "pkg/a.py": "VALUE = 1\n",
    "pkg/sub/__init__.py": "",
    "pkg/sub/b.py": "VALUE = 2\n",
    "pkg/sub/deep/__init__.py": "",
    "pkg/sub/deep/c.py": "VALUE = 3\n",
    "pkg/other.py": "VALUE = 4\n",
}
PACKAGES = {"pkg", "pkg.sub", "pkg.sub.main"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", set()),
        ("import pkg.a", {"pkg.a"}),
        ("import pkg.a as x, pkg.other", {"pkg.a", "pkg.other"}),
        ("from pkg.a import VALUE", {"pkg.a"}),
        ("from pkg import a", {"pkg.a"}),
        ("from pkg import a as x, other as y", {"pkg.a", "pkg.other"}),
        ("from pkg.sub.deep import c", {"pkg.sub.deep", "pkg.sub.deep.c"}),
        ("import pkg.sub.deep.c", {"pkg.sub.deep", "pkg.sub.deep.c"}),
        ("from . import b", {"pkg.sub.b"}),
        ("from .b import VALUE", {"pkg.sub.b"}),
        ("from .deep.c import VALUE", {"pkg.sub.deep", "pkg.sub.deep.c"}),
        ("from .. import a", {"pkg.a"}),
        ("from ..a import VALUE", {"pkg.a"}),
        ("from ..sub import b", {"pkg.sub.b"}),
        ("def f():\n    from pkg.a import VALUE\n", {"pkg.a"}),
        ("class K:\n    def f(self):\n        if True:\n            import pkg.other\n", {"pkg.other"}),
        ("try:\n    import pkg.a\nexcept ImportError:\n    import pkg.other\n", {"pkg.a", "pkg.other"}),
        ("try:\n    pass\nfinally:\n    import pkg.a\n", {"pkg.a"}),
        ("for x in ():\n    pass\nelse:\n    import pkg.a\n", {"pkg.a"}),
        ("with open('x') as f:\n    import pkg.a\n", {"pkg.a"}),
        ("match 1:\n    case 2:\n        import pkg.a\n", {"pkg.a"}),
        ("if (a := lambda: 0):\n    pass\nelif 1 if 2 else 3:\n    import pkg.a\n", {"pkg.a"}),
        ("import os, json\nfrom collections import abc\n", set()),
        ('TEXT = "import pkg.a"', set()),
        ("import pkg.absent", set()),
    ],
)
def test_imports_of_every_form_are_followed(package, text, found):
    root = package(TREE | {"pkg/sub/main.py": text})
    assert modules_behind("pkg.sub.main", root).keys() == PACKAGES | found


@pytest.mark.parametrize("text", ["from . import b", "from .b import VALUE"])
def test_imports_of_a_package_itself_are_relative_to_it(package, text):
    root = package(TREE | {"pkg/sub/__init__.py": text})
    assert modules_behind("pkg.sub", root).keys() == {"pkg", "pkg.sub", "pkg.sub.b"}


def test_files_are_those_of_the_modules(package):
    root = package(TREE | {"pkg/sub/main.py": "from pkg import a"})
    assert modules_behind("pkg.sub.main", root) == {
        "pkg": root / "pkg/__init__.py",
        "pkg.sub": root / "pkg/sub/__init__.py",
        "pkg.sub.main": root / "pkg/sub/main.py",
        "pkg.a": root / "pkg/a.py",
    }


def test_imports_are_followed_all_the_way_and_around_circles(package):
    chain = {
        "pkg/__init__.py": "",
        "pkg/main.py": "from pkg.one import x",
        "pkg/one.py": "def x():\n    import pkg.two",
        "pkg/two.py": "from . import three, main",
        "pkg/three.py": "VALUE = 1",
    }
    root = package(chain)
    assert modules_behind("pkg.main", root).keys() == {"pkg", "pkg.main", "pkg.one", "pkg.two", "pkg.three"}
    far = package(chain | {"pkg/three.py": "VALUE = 2"})
    remark = package(chain | {"pkg/three.py": "VALUE = 1  # one"})
    assert code_of("pkg.main", far) != code_of("pkg.main", root) == code_of("pkg.main", remark)


@pytest.mark.parametrize("changed", ["pkg/__init__.py", "pkg/sub/__init__.py", "pkg/sub/deep/__init__.py"])
def test_the_init_of_every_package_on_the_way_counts(package, changed):
    files = TREE | {"pkg/main.py": "import pkg.sub.deep.c"}
    before, after = package(files), package(files | {changed: "import os\n"})
    assert code_of("pkg.main", before) != code_of("pkg.main", after)


def test_a_module_that_is_not_imported_does_not_count(package):
    files = TREE | {"pkg/main.py": "from pkg import a"}
    before, after = package(files), package(files | {"pkg/other.py": "VALUE = 5", "pkg/new.py": ""})
    assert code_of("pkg.main", before) == code_of("pkg.main", after)


def test_other_packages_of_the_same_folder_do_not_count(package):
    """An installed package shares its folder with all others."""
    text = "import other.large\nfrom other import thing"
    one = package({"pkg/__init__.py": "", "pkg/main.py": text, "other/__init__.py": "thing = 1", "other/large.py": ""})
    edited = {"pkg/__init__.py": "", "pkg/main.py": text, "other/__init__.py": "thing = 2", "other/large.py": "x = 1"}
    assert modules_behind("pkg.main", one).keys() == {"pkg", "pkg.main"}
    assert shapes_behind("pkg.main", "thing", one).keys() == {"pkg", "pkg.main"}
    assert code_of("pkg.main", one) == code_of("pkg.main", package(edited))


def test_the_name_of_a_module_counts(package):
    one = package({"pkg/__init__.py": "", "pkg/a.py": "from . import b", "pkg/b.py": "X = 1"})
    other = package({"pkg/__init__.py": "", "pkg/a.py": "from . import c", "pkg/c.py": "X = 1"})
    assert code_of("pkg.a", one) != code_of("pkg.a", other)


@pytest.mark.parametrize("left_out", NOT_RESULTS)
def test_modules_that_do_not_touch_results_do_not_count(package, left_out):
    path = "synthood/__init__.py" if left_out == "synthood" else left_out.replace(".", "/") + ".py"
    inits = {"synthood/__init__.py": "", "synthood/common/__init__.py": ""}
    files = inits | {"synthood/work.py": f"import {left_out}\n", "synthood/only.py": "Z = 1\n", path: "X = 1\n"}
    before, after = package(files), package(files | {path: "import synthood.only\n\nX = 2\n"})
    assert code_of("synthood.work", before) == code_of("synthood.work", after)
    assert modules_behind("synthood.work", after).keys() <= {"synthood", "synthood.common", "synthood.work"}
    moved = "synthood/common/tensors.py"
    files = inits | {"synthood/work.py": "import synthood.common.tensors\n", moved: "X = 1\n"}
    assert code_of("synthood.work", package(files)) != code_of("synthood.work", package(files | {moved: "X = 2\n"}))


def stages():
    text = "".join(path.read_text() for path in sorted((PROJECT / "rules").glob("*.smk")))
    return sorted(set(re.findall(r'stage\(\s*"([\w.]+)"', text)))


def test_every_stage_of_the_rules_has_a_digest_of_its_own():
    assert "synthood.data.prepare" in stages()
    assert len(stages()) >= 8
    for name in stages():
        behind = modules_behind(name)
        assert name in behind, name
        assert name.rpartition(".")[0] in behind  # its package
        assert not behind.keys() & set(NOT_RESULTS)
    assert len({code_of(name) for name in stages()}) == len(stages())


SETTINGS = {
    "training.method_settings": {"train", "extract", "export_detector"},
    "training.methods.rotation": set(),
    "training.methods.outliers": set(),
    "training.settings": {"train"},
    "training.augmentation.settings": {"train", "backbone_features"},
    "training.augmentation.policies": set(),
    "training.networks.architectures.residual": set(),
    "training.networks.architectures.from_timm": set(),
    "training.networks.checkpoint_settings": {"train", "import_checkpoint", "backbone_features"},
    "training.networks.settings": {
        "filter", "assess", "guided", "gate", "scale_curve", "assess_outliers",
        "train", "import_checkpoint", "extract", "score_model", "export_detector", "backbone_features",
    },
    "generators.diffusion.samplers.base": {"invert", "latents", "guided", "gate", "scale_curve", "score_denoiser"},
    "generators.diffusion.samplers.dpm_solver": set(),
    "generators.biggan.settings": set(),
    "generators.kinds.base": set(),
    "generators.kinds.stable_diffusion": set(),
    "outliers.boundary_settings": {"boundary"},
    "outliers.crossing": {"cross"},
    "outliers.probe": {"cross"},
    "outliers.kinds.bood": set(),
    "outliers.encoder_settings": {"fit_encoder", "embed"},
    "outliers.encoders.clip": set(),
    "outliers.encoders.text_aligned": set(),
    "outliers.inverted_settings": {"invert", "fit_flow", "tails"},
    "outliers.settings": set(),
}  # fmt: skip
"""Stages that read the settings of a module: a class added there changes the code of these, and of no others."""


@pytest.mark.parametrize("module", SETTINGS)
def test_settings_reach_only_the_stages_that_use_them(module):
    reached = {name.rpartition(".")[2] for name in stages() if f"synthood.{module}" in modules_behind(name)}
    assert reached == SETTINGS[module]


LOSSES = {
    "outliers.py": ("PROTOTYPE_MOMENTUM = 0.8", {"outliers"}),
    "exposure.py": ("def uniformity(logits): return logits.sum()", {"uniform"}),
    "mixing.py": ("class Another(Mixing): kind: Literal['another'] = 'another'", set()),
    "brand_new.py": ("class Brand(Method): kind: Literal['brand'] = 'brand'", set()),
}


@pytest.mark.parametrize("file", LOSSES)
def test_an_edit_of_a_loss_changes_the_code_of_that_loss_alone(tmp_path, file):
    shutil.copytree(PROJECT / "src/synthood", tmp_path / "synthood", ignore=shutil.ignore_patterns("__pycache__"))
    text, changed = LOSSES[file]
    with (tmp_path / "synthood/training/methods" / file).open("a") as stream:
        stream.write(f"\n{text}\n")
    losses = [
        method.model_construct() for methods in METHODS.values() for method in methods if method is not CustomLoss
    ]
    assert {loss.kind for loss in losses if code_of_plugin(loss, tmp_path) != code_of_plugin(loss)} == changed
    for stage in ("synthood.training.train", "synthood.evaluation.extract"):
        assert code_of(stage, tmp_path) == code_of(stage)


def test_what_prepares_images_depends_on_no_network():
    behind = modules_behind("synthood.data.prepare")
    assert {"synthood.data.sources.base", "synthood.common.images", "synthood.common.encoded"} <= set(behind)
    assert {name for name in behind if name.startswith("synthood.data.sources.")} == {"synthood.data.sources.base"}
    assert not [name for name in behind if name.startswith(("synthood.training", "synthood.generators"))]


def test_a_digest_is_the_same_in_every_process():
    code = "from synthood.workflow.code import code_of; print(code_of('synthood.data.prepare'))"
    source = str(Path(synthood.__file__).parents[1])
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": source, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {code_of("synthood.data.prepare")}
