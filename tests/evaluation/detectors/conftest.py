"""The toy's reference and its test samples."""

import pytest

from synthood.evaluation.features import Features, Reference
from toy_features import TEST, joined, part, toy_reference


@pytest.fixture(scope="session")
def reference() -> Reference:
    return toy_reference()


@pytest.fixture(scope="session")
def near(reference: Reference) -> Features:
    """ID samples, then OOD samples; no detector separates them fully."""
    inside = part(TEST, 3, reference.weight, reference.bias)
    outside = part(TEST, 4, reference.weight, reference.bias, far=1.0)
    return joined(inside, outside)
