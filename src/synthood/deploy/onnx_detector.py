"""`detector.onnx` of an exported folder in place of torch, which takes seconds to import."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthood.deploy.calibration import Calibration
from synthood.deploy.facts import Facts, read_facts
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.runtime import Verdicts
from synthood.errors import SynthoodError

ONNX = "detector.onnx"
CHECKED = "synthood.checked_on"
"""Key of the file's metadata: how many images onnxruntime and torch agreed on."""


@dataclass(frozen=True)
class OnnxDetector:
    """A session of onnxruntime on one core, with the facts of its folder."""

    session: Any
    calibration: Calibration
    preprocessing: Preprocessing
    facts: Facts
    is_parallel = True

    @property
    def classes(self) -> list[str]:
        found: list[str] = self.facts["classes"]
        return found

    @property
    def library(self) -> str:
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"

    def use_one_core(self) -> None:
        """As its session does from the start."""

    def judge(self, images: NDArray[np.uint8]) -> Verdicts:
        """Of images uint8 [N,H,W,3] of the model's size; raises SynthoodError where a value is not finite."""
        found = Verdicts(*self.session.run(list(Verdicts._fields), {"images": images}))
        if wrong := int((~np.isfinite(found.probabilities).all(1) | ~np.isfinite(found.confidence)).sum()):
            raise SynthoodError(f"the detector gives {wrong} images a confidence that is not finite; it is broken")
        return found


def is_usable(folder: Path) -> bool:
    """Whether the folder has the file and onnxruntime is installed."""
    return (folder / ONNX).is_file() and importlib.util.find_spec("onnxruntime") is not None


def load(folder: Path) -> OnnxDetector:
    """The graph of an exported folder.

    Raises SynthoodError where there is none, onnxruntime is missing, a byte of the folder has changed, or nothing ever
    compared the graph with the detector.
    """
    facts = read_facts(folder, "export")
    if not (folder / ONNX).is_file():
        raise SynthoodError(f"{folder}: no {ONNX} in it; add it with `synthood export-onnx {folder}`")
    try:
        import onnxruntime
    except ImportError as error:
        raise SynthoodError(f"{folder / ONNX}: needs onnxruntime; pip install 'synthood[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / ONNX), options, providers=["CPUExecutionProvider"])
    if not int(session.get_modelmeta().custom_metadata_map.get(CHECKED, 0)):
        raise SynthoodError(
            f"{folder / ONNX}: was never compared with the detector; delete it and repeat `synthood export-onnx` where "
            f"onnxruntime is installed"
        )
    calibration, preprocessing = Calibration.read(facts["calibration"]), Preprocessing.read(facts["preprocessing"])
    return OnnxDetector(session, calibration, preprocessing, facts)
