"""docs/detectors.md: a row for every detector with its paper and grid, and examples that run."""

import re

import numpy as np
import pandas as pd
import pytest
from torch import nn

from checkouts import PROJECT
from synthood.evaluation.detectors.custom import Custom
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.features import Reference
from toy_features import part

TEXT = (PROJECT / "docs" / "detectors.md").read_text()
REFERENCE = (PROJECT / "docs" / "config.md").read_text()
PARTS = ("train", "val")


def block(text: str) -> str:
    """The first example with a text in it."""
    return next(one for one in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if text in one)


def test_the_reference_says_what_a_detector_looks_at_and_is_fitted_on() -> None:
    row = next(line for line in REFERENCE.splitlines() if line.startswith("| **kind: nci**"))
    assert "Looks at logits and features and head. Fitted on train. OpenOOD searches alpha 0.0001, 0.001" in row
    assert "pytorch-ood: equal." in row


def test_the_python_example_runs(reference: Reference) -> None:
    """With a model that is a rectifier and a head."""
    model = nn.Module()
    model.fc = nn.Linear(*reversed(reference.weight.shape))
    model.fc.weight.data, model.fc.bias.data = reference.weight, reference.bias
    model.forward = lambda x: model.fc(x.relu())
    ood = part(80, 8, reference.weight, reference.bias, far=1.0)
    values = {"model": model, "images": ood.features, "print": lambda table: None, "ood_loader": [ood.features]}
    values |= {f"{name}_loader": [(x.features, x.labels)] for name, x in vars(reference).items() if name in PARTS}
    exec(block("features_of"), values)
    assert isinstance(values["searched"].search, pd.DataFrame)
    expected = Knn().fit(reference)(ood).numpy()
    assert values["confidence"] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert values["confidence"].dtype == np.float32


def test_the_custom_example_runs(reference: Reference, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(block("def fit"))
    settings = Custom(file=str(tmp_path / "mine.py"), values={"power": 2})
    found = settings.fit(reference)(reference.val)
    expected = -(reference.val.features - reference.train.features.mean(0)).square().sum(1)
    assert found.numpy() == pytest.approx(expected.numpy(), rel=1e-4)
