"""The examples of docs/data.md are configurations that load."""

import re

import pytest
import yaml

from checkouts import PROJECT
from synthood.config.benchmarks import benchmark_names
from synthood.config.load import load
from synthood.data.public.fetch import registry
from synthood.data.sources.base import PACKAGE, SetSource
from synthood.plugins import plugins
from synthood.reporting.published import figures
from synthood.reporting.settings import Published

TEXT = (PROJECT / "docs" / "data.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
EXAMPLES = [block for block in BLOCKS if "datasets" in block]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: next(iter(example["datasets"])))
def test_every_example_loads(demo, example):
    for section in ("generators", "outliers", "assess"):
        demo.pop(section)
    table = {"recipes": ["ce"], "seeds": [0], "detectors": ["msp"], "baselines": ["ce"]}
    demo["recipes"] = {"ce": demo["recipes"]["ce"]}
    demo |= example | {"build": ["t"], "tables": {"t": table | {"datasets": list(example["datasets"])}}}
    assert set(load(demo).datasets) == set(example["datasets"])


def test_the_published_figures_of_the_example_are_there():
    (example,) = [Published.model_validate(block["published"]) for block in BLOCKS if "published" in block]
    assert {figure.set for figure in figures(example, ["cifar10"])} == {"near", "far", "test"}


def test_every_kind_is_named_and_benchmarks_that_are_there():
    for name in plugins(SetSource, PACKAGE):
        assert f"`{name}`" in TEXT
    families = {family: set(names.split(",")) for family, names in re.findall(r"`(\w+)-\{([\w,-]+)\}`", TEXT)}
    named = {f"{family}-{name}" for family, names in families.items() for name in names}
    assert len(named) == 8
    assert named <= set(benchmark_names())
    assert len(EXAMPLES) == 3
    assert "openood" in registry()
