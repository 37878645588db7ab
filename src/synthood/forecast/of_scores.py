"""What detectors cost: their fit, search and scores, on features as many and as wide as a model's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.settings import ScoreSettings
from synthood.forecast.of_training import digest
from synthood.forecast.operation import Operation, Trial

MOST_TRAIN, MOST_VALIDATION, MOST_TESTED = 4000, 1000, 4000
"""Images whose features are tried."""
PER_SAMPLE = 60
"""Operations of a detector for each feature of a sample, beside its matrices."""


@dataclass(frozen=True)
class Samples:
    """Numbers of a model's samples, features and classes."""

    train: int
    val: int
    ood_validation: int
    tested: int
    features: int
    classes: int

    @property
    def few(self) -> Samples:
        """As many as are tried."""
        return replace(
            self,
            train=min(self.train, MOST_TRAIN),
            val=min(self.val, MOST_VALIDATION),
            ood_validation=min(self.ood_validation, MOST_VALIDATION),
            tested=min(self.tested, MOST_TESTED),
        )


def scoring(settings: ScoreSettings, samples: Samples) -> Operation:
    """All that `score` computes for one model."""
    few = samples.few
    whole, tried = operations(settings, samples), operations(settings, few)

    def trial(device: torch.device) -> Trial:
        from synthood.evaluation.features import Features, Reference
        from synthood.evaluation.scoring import together
        from synthood.evaluation.search import Validation, fitted

        random = torch.Generator().manual_seed(0)
        weight = torch.randn(few.classes, few.features, generator=random) / few.features**0.5
        bias = torch.zeros(few.classes)

        def features(count: int, labelled: bool = True) -> Features:
            found = torch.randn(count, few.features, generator=random).relu()
            labels = torch.arange(count) % few.classes if labelled else torch.full((count,), -1)
            return Features(found @ weight.T + bias, found, labels)

        reference = Reference(features(few.train), features(few.val), weight, bias)
        ood, tested = features(few.ood_validation, labelled=False), features(few.tested, labelled=False)

        def run(count: int) -> None:
            for _ in range(count):
                again = reference.aliases()
                scores, _ = fitted(settings.detectors, Validation(again, ood))
                together(scores, tested)

        return run

    text = f"{settings.canonical()} {samples}"
    name = f"scores of a model by {len(settings.detectors)} detectors {digest(text)}"
    return Operation(name, whole, trial, whole / max(tried, 1.0))


def operations(settings: ScoreSettings, samples: Samples) -> float:
    """Floating-point operations of all detectors, about: passes over the bank, covariances, products."""
    return sum(of_detector(detector, samples) for detector in settings.detectors.values())


def of_detector(detector: Detector, samples: Samples) -> float:
    """Of one detector."""
    candidates = len(detector.candidates())
    searched = (samples.val + samples.ood_validation) * candidates if candidates > 1 else 0
    scored, width = samples.tested + searched, samples.features
    found = 1.0 * scored * width * (PER_SAMPLE + 2 * samples.classes)
    if "features" not in detector.inputs or not detector.fitted_on:
        return found
    found += 2.0 * scored * width * width
    fitted = 4.0 * samples.train * width * width
    bank = type(detector).__module__.endswith("neighbours")
    return found + (2.0 * scored * samples.train * width if bank else fitted)
