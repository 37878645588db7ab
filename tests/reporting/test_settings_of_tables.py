"""Columns of a table: metrics by name, or a function of the user's; what a job's parameter holds of them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from synthood.config.load import load
from synthood.errors import SynthoodError
from synthood.evaluation.metrics.custom import CustomMetric
from synthood.reporting.settings import METRICS, TabulateSettings
from synthood.workflow.code import code_of_plugin
from synthood.workflow.plan import Plan, as_parameter
from synthood.workflow.plausible import impossible

MINE = {"kind": "custom", "name": "mine", "file": "mine.py"}
GOOD = "def metric(ids, oods): return 0.5\n"


@pytest.fixture(autouse=True)
def _file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(GOOD)


def columns(edited: Any, *values: Any) -> Any:
    return edited({"tables/demo-sio/columns": list(values)})


def parameter(plan: Plan) -> TabulateSettings:
    """What the job of a table is given."""
    return TabulateSettings.parse(as_parameter(plan.tabulate_settings)(SimpleNamespace(table="demo-sio")))


def test_a_job_names_the_code_of_its_metrics_alone(edited: Any) -> None:
    plan = Plan(load(columns(edited, "auroc", MINE)))
    settings = parameter(plan)
    mine = CustomMetric(name="mine", file="mine.py")
    assert settings.code == {"auroc": code_of_plugin(METRICS["auroc"]()), "table.columns.1": code_of_plugin(mine)}
    Path("mine.py").write_text("def metric(ids, oods): return 0.25\n")
    assert parameter(plan).code["table.columns.1"] != settings.code["table.columns.1"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({**MINE, "name": "auroc"}, "tables.demo-sio: columns: two metrics have the name 'auroc'; give yours another"),
        ({**MINE, "file": "mine.txt"}, "tables.demo-sio.columns.1.file: string should match pattern"),
        ({**MINE, "functoin": "a"}, "tables.demo-sio.columns.1.functoin: unknown key; did you mean 'function'?"),
        ({**MINE, "kind": "customs"}, "tables.demo-sio.columns.1: unknown kind 'customs'; did you mean 'custom'?"),
        ({"kind": "custom", "file": "mine.py"}, "tables.demo-sio.columns.1.name: this key is missing"),
        (3, "tables.demo-sio.columns.1: expected 'augrc', 'aupr_in'"),
    ],
)
def test_wrong_columns_are_named(edited: Any, column: Any, message: str) -> None:
    with pytest.raises(SynthoodError) as told:
        load(columns(edited, "auroc", column))
    assert str(told.value).startswith(f"config: {message}")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, ".file: mine.py: No such file or directory; such paths start where snakemake runs"),
        ("def metrics(ids, oods): ...", ".function: mine.py has no function 'metric'; did you mean 'metrics'?"),
        ("def metric(ids, oods):\n  return 2", ": mine.py: metric: must give a number in [0,1], got 2"),
    ],
)
def test_check_runs_the_file_on_made_up_numbers(edited: Any, code: str | None, message: str) -> None:
    Path("mine.py").write_text(code or "")
    if code is None:
        Path("mine.py").unlink()
    (found,) = impossible(load(columns(edited, "auroc", MINE)))
    assert str(found).startswith(f"tables.demo-sio.columns.1{message}")


def test_a_good_file_passes(edited: Any) -> None:
    assert impossible(load(columns(edited, "auroc", MINE))) == []
