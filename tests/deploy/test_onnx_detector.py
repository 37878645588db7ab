"""`detector.onnx` in place of torch: the same verdicts, without importing it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from servers import exported, noise
from synthood.deploy import onnx, onnx_detector
from synthood.deploy.predictor import Predictor
from synthood.errors import SynthoodError
from synthood.serve.options import ServeOptions
from synthood.serve.server import loaded
from toy_models import pictures

onnxruntime = pytest.importorskip("onnxruntime")
IMAGES = np.concatenate([pictures(60, 7).images, noise(40)])


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return exported(tmp_path_factory.mktemp("plain") / "detector")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("with") / "detector"
    onnx.add(found, exported(found))
    return found


def test_verdicts_are_those_of_torch(predictor: Predictor, folder: Path) -> None:
    found, expected = onnx_detector.load(folder).judge(IMAGES), predictor.judge(IMAGES)
    assert np.abs(found.probabilities - expected.probabilities).max() <= 1e-4
    assert np.abs(found.confidence - expected.confidence).max() <= 1e-4 * predictor.calibration.confidences.std()
    # A rank differs where a confidence is within rounding of a calibration image's
    assert np.abs(found.p_value - expected.p_value).max() <= 1.01 / (len(predictor.calibration) + 1)
    assert [one.dtype for one in found] == [one.dtype for one in expected]


def test_the_server_takes_it_without_torch(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from synthood.serve.options import ServeOptions\n"
        "from synthood.serve.server import configured, loaded\n"
        "found = loaded(Path(sys.argv[1]), ServeOptions()); configured(found, ServeOptions())\n"
        "print(found.library.split()[0], [name for name in ('torch', 'pandas', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == "onnxruntime []\n"


def test_what_the_server_takes(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    assert isinstance(loaded(folder, ServeOptions()), onnx_detector.OnnxDetector)
    assert isinstance(loaded(folder, ServeOptions(runtime="torch")), Predictor)
    exported(tmp_path / "detector")
    assert isinstance(loaded(tmp_path / "detector", ServeOptions()), Predictor)
    with pytest.raises(SynthoodError, match=r"no detector\.onnx in it; add it with `synthood export-onnx"):
        loaded(tmp_path / "detector", ServeOptions(runtime="onnx"))


def test_a_graph_that_nothing_compared_is_refused(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "detector"
    exported(folder)
    with monkeypatch.context() as here:
        here.setattr(onnx.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else object())
        assert onnx.add_to(folder) == "not checked, since onnxruntime is not installed"
    with pytest.raises(SynthoodError, match="was never compared with the detector; delete it"):
        onnx_detector.load(folder)


def test_without_onnxruntime(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SynthoodError, match=r"needs onnxruntime; pip install 'synthood\[onnx\]'"):
        onnx_detector.load(folder)


def test_a_value_that_is_not_finite(folder: Path) -> None:
    values = [np.array([[0.5, 0.5], [np.nan, 1]], np.float32), np.array([np.inf, 1], np.float32), np.ones(2)]
    broken = replace(onnx_detector.load(folder), session=SimpleNamespace(run=lambda *_: values))
    with pytest.raises(SynthoodError, match="gives 2 images a confidence that is not finite"):
        broken.judge(IMAGES[:2])
