"""docs/detectors.md: a row for every detector with its paper and grid, and examples that run."""

import re

import numpy as np
import pandas as pd
import pytest
from torch import nn

from checkouts import PROJECT
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.custom import Custom
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.detectors.of_model.base import ModelDetector
from synthood.evaluation.features import Reference
from synthood.plugins import plugins
from toy_features import part

TEXT = (PROJECT / "docs" / "detectors.md").read_text()
LINES = [line.split("|") for line in TEXT.splitlines() if line.startswith("| `")]
ROWS = {cells[1].strip(" `"): cells for cells in LINES if len(cells) > 5}  # the page has narrower tables too
PARTS = ("train", "val")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def shown(values: list[object]) -> str:
    """A grid as the page writes it."""
    if len(values) > 6 and isinstance(values[0], float) and values[0] == 65.0:
        return "65 to 95 by 5"
    return ", ".join(str(v).lower() if isinstance(v, bool) else f"{v:g}" for v in values)


EVERY = {kind: one for kind, one in plugins(Detector, "synthood.evaluation.detectors").items() if kind != "custom"}


def test_every_detector_has_a_row_and_no_other() -> None:
    assert set(ROWS) == set(EVERY)


@pytest.mark.parametrize("tag", [tag for tag, kind in EVERY.items() if kind.inputs])
def test_a_row_has_the_paper_hyperparameters_and_grid(tag: str) -> None:
    row, kind = ROWS[tag], EVERY[tag]
    assert row[5].strip() == kind.paper
    for name in set(kind.model_fields) - {"kind", "score"}:
        assert name in row[4]
    for name, values in kind.grid.items():
        written = row[4].replace("1e-4, 1e-3, 1e-2, 1e-1", "0.0001, 0.001, 0.01, 0.1")
        assert f"[{shown(values)}]" in written, name


@pytest.mark.parametrize("tag", [tag for tag, kind in EVERY.items() if issubclass(kind, ModelDetector)])
def test_a_row_of_the_model_s_detectors_says_the_same(tag: str) -> None:
    row, kind = ROWS[tag], EVERY[tag]
    assert row[5].strip() == kind.paper
    for name, field in kind.model_fields.items():
        if name != "kind":
            default = field.default if isinstance(field.default, str) else f"{field.default:g}"
            assert f"{name} {default}" in row[4]
    for values in kind.grid.values():
        assert f"[{', '.join(f'{value:g}' for value in values)}]" in row[4]


def test_the_python_example_runs(reference: Reference) -> None:
    """With a model that is a rectifier and a head."""
    model = nn.Module()
    model.fc = nn.Linear(*reversed(reference.weight.shape))
    model.fc.weight.data, model.fc.bias.data = reference.weight, reference.bias
    model.forward = lambda x: model.fc(x.relu())
    ood = part(80, 8, reference.weight, reference.bias, far=1.0)
    values = {"model": model, "images": ood.features, "print": lambda table: None, "ood_loader": [ood.features]}
    values |= {f"{name}_loader": [(x.features, x.labels)] for name, x in vars(reference).items() if name in PARTS}
    exec(BLOCKS[1], values)
    assert isinstance(values["searched"].search, pd.DataFrame)
    expected = Knn().fit(reference)(ood).numpy()
    assert values["confidence"] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert values["confidence"].dtype == np.float32


def test_the_custom_example_runs(reference: Reference, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(BLOCKS[0])
    settings = Custom(file=str(tmp_path / "mine.py"), values={"power": 2})
    found = settings.fit(reference)(reference.val)
    expected = -(reference.val.features - reference.train.features.mean(0)).square().sum(1)
    assert found.numpy() == pytest.approx(expected.numpy(), rel=1e-4)
