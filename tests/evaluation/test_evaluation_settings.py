"""Grids in the configuration: accepted, told by their key when wrong, and in the schema."""

import pytest
from pydantic import TypeAdapter, ValidationError

from synthood.config.load import load
from synthood.config.schema import config_schema
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.logits import Gen
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.detectors.rectifiers import Ash
from synthood.evaluation.hyperparameters import GRID
from synthood.evaluation.settings import AnyDetector
from synthood.plugins import plugins

DETECTORS = plugins(Detector, "synthood.evaluation.detectors")


def test_candidates_are_every_combination() -> None:
    found = Gen.parse('{"kind":"gen","gamma":[0.1,1],"top":[null,3]}').candidates()
    assert found == [Gen(gamma=g, top=t) for g in (0.1, 1.0) for t in (None, 3)]
    assert Knn().candidates() == [Knn(k=50)]
    assert Knn.parse('{"kind":"knn","k":[7]}').candidates() == [Knn(k=7)]


@pytest.mark.parametrize("detector", DETECTORS.values(), ids=DETECTORS)
def test_every_hyperparameter_takes_a_list_within_its_bounds(detector: type[Detector]) -> None:
    without = {"file": "own.py", "generator": "sd"}
    required = {name: value for name, value in without.items() if name in detector.model_fields}
    for name, field in detector.model_fields.items():
        if GRID in field.metadata:
            value = 0.3 if name == "probability" else 3 if field.default is None else field.default
            assert getattr(detector.model_validate({**required, name: [value, value]}), name) == [value, value]
            if isinstance(value, int | float) and not isinstance(value, bool):
                with pytest.raises(ValidationError):
                    detector.model_validate({**required, name: [value, -1]})


@pytest.mark.parametrize("text", ['{"k":[5,10],"kind":"knn"}', '{"kind":"ash","variant":["b","s"]}', '{"kind":"knn"}'])
def test_canonical_text_comes_back(text: str) -> None:
    settings = TypeAdapter(AnyDetector).validate_json(text)
    assert settings.canonical() == text
    assert type(settings).parse(text) == settings


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "greater than or equal to 1, got 0"),
        ([5, 0], "greater than or equal to 1, got 0"),
        ([5, "x"], "valid integer, got 'x'"),
        ([], "must not be empty; write one value or several"),
        ([[5]], r"valid integer, got \[5\]"),
    ],
)
def test_a_wrong_value_is_told_by_its_key(demo: dict, value: object, message: str) -> None:
    demo["detectors"]["knn"]["k"] = value
    with pytest.raises(SynthoodError, match=rf"config: detectors\.knn\.k: .*{message}"):
        load(demo)


def test_a_grid_stands_in_the_configuration(demo: dict) -> None:
    demo["detectors"]["knn"]["k"] = [5, 10]
    demo["detectors"]["shaped"] = {"kind": "ash", "variant": ["b", "s"], "percentile": [65, 90.0], "score": "gen"}
    config = load(demo)
    assert len(config.detectors["shaped"].candidates()) == 4
    assert isinstance(config.detectors["shaped"], Ash)


def test_an_unknown_score_of_a_rectifier_is_an_error() -> None:
    with pytest.raises(ValidationError, match="'msp', 'mls', 'energy'"):
        Ash.parse('{"kind":"ash","score":"knn"}')


def test_editors_know_that_a_list_is_allowed() -> None:
    k = config_schema()["$defs"]["Knn"]["properties"]["k"]
    assert [option["type"] for option in k["anyOf"]] == ["integer", "array"]
