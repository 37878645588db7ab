"""Every detector of the model by its settings: its class, its paper, and the grid that OpenOOD searches."""

from dataclasses import dataclass, field
from typing import Any

from synthood.evaluation.access import settings as kinds
from synthood.evaluation.access.adascale import AdaScale
from synthood.evaluation.access.gram import Gram
from synthood.evaluation.access.mds_ensemble import MdsEnsemble
from synthood.evaluation.access.method import ModelMethod
from synthood.evaluation.access.odin import Iodin, Odin
from synthood.evaluation.access.rankfeat import RankFeat
from synthood.evaluation.hyperparameters import Hyperparameters


@dataclass(frozen=True)
class Entry:
    """A detector of the model."""

    method: type[ModelMethod]
    paper: str
    grid: dict[str, list[Any]] = field(default_factory=dict)


STEPS = {"temperature": [1.0, 10.0, 100.0, 1000.0], "noise": [0.0014, 0.0028]}
LOW = [60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0]
HIGH = [65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0, 99.0]

MODEL_METHODS: dict[type[Hyperparameters], Entry] = {
    kinds.Gram: Entry(Gram, "arXiv 1912.12510"),
    kinds.RankFeat: Entry(RankFeat, "arXiv 2209.08590"),
    kinds.MdsEnsemble: Entry(MdsEnsemble, "arXiv 1807.03888"),
    kinds.Odin: Entry(Odin, "arXiv 1706.02690", STEPS),
    kinds.Iodin: Entry(Iodin, "OpenOOD's iODIN, 2023", STEPS),
    kinds.AdaScale: Entry(AdaScale, "arXiv 2503.08023", {"low": LOW, "high": HIGH}),
}
