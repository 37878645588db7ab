"""An exported detector: images in, a table of classes, confidences, p-values and decisions out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthood.common.cores import cores
from synthood.common.encoded import EncodedImages
from synthood.deploy import conformal
from synthood.deploy.calibration import Calibration
from synthood.deploy.extras import Extras
from synthood.deploy.facts import Facts, read_facts
from synthood.deploy.fitted import check_scale, detector_of, read_state
from synthood.deploy.inputs import Input, Preprocessing, processed, processed_by_threads
from synthood.deploy.measure import Judged
from synthood.deploy.runtime import Verdicts
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import State
from synthood.evaluation.features import Features
from synthood.evaluation.scoring import Score
from synthood.training.networks.model import Classifier, logits_and_features

if TYPE_CHECKING:
    import pandas as pd

MODEL = "model.safetensors"
COLUMNS = ("path", "label", "probability", "confidence", "p_value", "is_ood", "note", "error")
TYPES = {
    "path": "str",
    "label": "str",
    "probability": "float32",
    "confidence": "float32",
    "p_value": "float64",
    "is_ood": "boolean",
    "note": "str",
    "error": "str",
}
"""Of the table's columns; what a bad image does not have is missing."""
BATCH = 256


def state_name(fold: int) -> str:
    """The file of a fold's detector."""
    return f"state-{fold}.safetensors"


@dataclass(frozen=True)
class Predictor:
    """A classifier with a detector, or one for each fold, and its calibration."""

    classifier: Classifier
    scores: Sequence[Score]
    calibration: Calibration
    preprocessing: Preprocessing
    facts: Facts
    device: torch.device
    extras: Extras = field(default_factory=Extras)

    @property
    def classes(self) -> list[str]:
        return self.classifier.classes

    def predict(
        self, images: Any, level: float | None = None, fdr: float | None = None, threads: int | None = None
    ) -> "pd.DataFrame":
        """A row for each image in order: `COLUMNS`, of `TYPES`.

        `images` are paths of files or folders, arrays uint8 [H,W,3] or [N,H,W,3], tensors [3,H,W] or [N,3,H,W] of
        uint8 or of floats in [0,1], PIL images, or any sequence or iterator of them. `level` is one of the exported
        shares of ID images that may be rejected. With `fdr` the images are judged together instead: on average, at most
        that share of those called OOD are ID (Benjamini-Hochberg). An image that cannot be read has a reason in
        `error` and no decision; `note` says what was converted. Raises SynthoodError for an unknown level, and for what
        is no image at all.
        """
        if fdr is not None:
            if level is not None:
                raise SynthoodError("predict: give level or fdr, not both")
            if not 0 < fdr < 1:
                raise SynthoodError(f"predict: fdr {fdr:g}: expected a share between 0 and 1, such as 0.1")
        import pandas as pd  # the server does without

        found = list(self.stream(images, level, threads))
        table = pd.concat(found, ignore_index=True) if found else self.table([], self.level(level))
        if fdr is not None:
            good = table["error"] == ""
            table.loc[good, "is_ood"] = conformal.benjamini_hochberg(table.loc[good, "p_value"].to_numpy(), fdr)
        return table

    def stream(
        self, images: Any, level: float | None = None, threads: int | None = None, batch: int = BATCH
    ) -> "Iterator[pd.DataFrame]":
        """The same table in pieces of `batch` rows, of images that are never all in memory."""
        known, workers = self.level(level), threads or max(1, min(8, cores() // 2))
        return processed(images, self.preprocessing, lambda some: self.table(some, known), batch, workers)

    def stream_by_threads(
        self, images: Any, level: float | None = None, threads: int | None = None, batch: int = BATCH // 4
    ) -> "Iterator[pd.DataFrame]":
        """The same, where each thread decodes and classifies batches, with torch on one thread meanwhile: on a CPU,
        faster than torch's threads. Not for detectors of the model, which hold gradients.
        """
        known, workers = self.level(level), threads or cores()
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield from processed_by_threads(
                images, self.preprocessing, lambda some: self.table(some, known), batch, workers
            )
        finally:
            torch.set_num_threads(before)

    def level(self, level: float | None) -> float:
        """An exported level, 5 % or the nearest to it by default."""
        return self.calibration.level(level)

    @property
    def is_parallel(self) -> bool:
        """On a CPU, passes of one core each; not by detectors of the model, which hold gradients."""
        return self.device.type == "cpu" and self.extras.detector is None

    @property
    def library(self) -> str:
        return f"torch {torch.__version__}"

    def use_one_core(self) -> None:
        """Passes side by side are faster than torch's own threads."""
        torch.set_num_threads(1)

    def judge(self, images: NDArray[np.uint8]) -> Verdicts:
        """Of images uint8 [N,H,W,3] of the model's size; raises SynthoodError where a confidence is not finite."""
        features = self.features(images)
        judged = self.judged(features)
        return Verdicts(features.logits.softmax(1).numpy(), judged.confidences.mean(0), judged.p_values)

    def table(self, some: Sequence[Input], level: float) -> "pd.DataFrame":
        """Rows of some images."""
        import pandas as pd

        pixels = [one.pixels for one in some if one.pixels is not None]
        good = np.array([one.pixels is not None for one in some], bool)
        columns: dict[str, Any] = {
            "path": pd.Series([one.name for one in some], dtype=object),
            "label": np.full(len(some), "", object),
            "probability": np.full(len(some), np.nan, np.float32),
            "confidence": np.full(len(some), np.nan, np.float32),
            "p_value": np.full(len(some), np.nan),
            "is_ood": pd.array([pd.NA] * len(some), dtype="boolean"),
            "note": [one.note if one.pixels is not None else "" for one in some],
            "error": [one.note if one.pixels is None else "" for one in some],
        }
        if pixels:
            features = self.features(np.stack(pixels))
            judged = self.judged(features)
            columns["label"][good] = np.array(self.classes, object)[judged.predictions]
            columns["probability"][good] = features.logits.softmax(1).amax(1).numpy()
            columns["confidence"][good] = judged.confidences.mean(0)
            columns["p_value"][good] = judged.p_values
            columns["is_ood"][good] = judged.p_values <= level
        # Names that are not UTF-8 are no `str` of pandas
        plain = all(one.name.isascii() or one.name.encode(errors="replace").decode() == one.name for one in some)
        types = TYPES if plain else {**TYPES, "path": "object"}
        return pd.DataFrame(columns, columns=list(COLUMNS)).astype(types)

    def features(self, images: np.ndarray | EncodedImages) -> Features:
        """What the detector looks at, of images uint8 [N,H,W,3] of the model's size."""
        if self.extras:
            return self.extras.features(self.classifier, images, self.device)
        return features_of(self.classifier, images, self.device)

    def judged(self, features: Features) -> Judged:
        """How the images with these features are judged; raises where a confidence is not finite."""
        predictions, by_fold = features.logits.argmax(1).numpy(), confidences_of(self.scores, features)
        return Judged(predictions, by_fold, self.calibration.p_values(by_fold, predictions))


def features_of(classifier: Classifier, images: np.ndarray | EncodedImages, device: torch.device) -> Features:
    """Features of images uint8 [N,H,W,3] of the model's size, without labels (-1)."""
    logits, features = logits_and_features(classifier, images, device)
    return Features(logits, features, torch.full((len(logits),), -1))


def confidences_of(scores: Sequence[Score], features: Features) -> np.ndarray:
    """Float32 [K,N] by every fold's detector; raises where one is not finite."""
    found: np.ndarray = torch.stack([score.score(features) for score in scores]).numpy()
    if wrong := int((~np.isfinite(found)).sum()):
        raise SynthoodError(f"the detector gives {wrong} images a confidence that is not finite; it is broken")
    return found


def load(folder: str | Path, device: str = "cpu") -> Predictor:
    """An exported detector; raises SynthoodError where a byte of it has changed, or a later version wrote it."""
    place = Path(folder)
    facts = read_facts(place, "export")
    if "calibration" not in facts:
        raise SynthoodError(f"{place}: a fitted detector without a model; give a folder that export wrote")
    check_scale(facts, str(place))
    classifier = Classifier.load(place / MODEL)
    where = torch.device(device)
    classifier.network.to(where)
    calibration = Calibration.read(facts["calibration"])
    states = [read_state(place / state_name(fold)) for fold in range(calibration.fold_count)]
    extras = Extras.load(place, facts["extras"], classifier, detector_of(facts["detector"], str(place)), states[0])
    extras.to(where)
    scores = restored(facts, states, str(place))
    preprocessing = Preprocessing.read(facts["preprocessing"])
    return Predictor(classifier, scores, calibration, preprocessing, facts, where, extras)


def restored(facts: Facts, states: Sequence[State], where: str) -> list[Score]:
    """The score of every fold; their detectors may differ, and then give standardised confidences."""
    alike = [{"detector": facts["detector"]}] * len(states)
    found = []
    for fold, state in zip(facts["folds"] or alike, states, strict=True):
        score = detector_of(fold["detector"], where).restored(state)
        found.append(standardised(score, fold["centre"], fold["spread"]) if "spread" in fold else score)
    return found


def standardised(score: Score, centre: float, spread: float) -> Score:
    """The confidence less `centre`, divided by `spread`."""
    found = Score(lambda x: (score(x) - centre) / spread)
    found.origin = score.origin
    return found
