"""The command line of a stage is its function's signature."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import ValidationError

from synthood.common.command import Command, Output
from synthood.common.settings import Settings


class Some(Settings):
    """Settings of the test's stage."""

    depth: int = 3


def work(
    job: object,
    *,
    settings: Some,
    threads: int,
    model: Annotated[Path, "model that is read"],
    images: Annotated[list[Path], "image sets"],
    scores: Output,
    log: Annotated[Output, "of candidates"],
    warm_start: Annotated[Path | None, "model whose weights come first"] = None,
    blocks: Sequence[Path] = (),
    seed: int = 0,
    rate: float = 0.5,
    title: str = "none",
    strict: bool = False,
) -> None:
    """The parameters of all kinds."""


REQUIRED = ["--model", "m", "--images", "a", "b", "--scores", "s", "--log", "l"]


def arguments(*more: str) -> dict[str, object]:
    command = Command(work)
    return command.arguments(command.parse([*REQUIRED, *more]))


def test_arguments_have_the_types_of_the_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert arguments() == {
        "settings": Some(),
        "threads": 5,
        "model": Path("m"),
        "images": [Path("a"), Path("b")],
        "scores": Path("s"),
        "log": Path("l"),
        "warm_start": None,
        "blocks": (),
        "seed": 0,
        "rate": 0.5,
        "title": "none",
        "strict": False,
    }
    words = [
        "--warm-start",
        "w",
        "--blocks",
        "c",
        "d",
        "--seed",
        "7",
        "--rate",
        "0.25",
        "--title=",
        "--strict",
        "--threads",
        "2",
    ]
    found = arguments(*words, "--settings", '{"depth":4}')
    assert found["settings"] == Some(depth=4)
    assert (found["warm_start"], found["blocks"]) == (Path("w"), [Path("c"), Path("d")])
    assert [found[name] for name in ("seed", "rate", "title", "strict", "threads")] == [7, 0.25, "", True, 2]


def test_outputs_are_one_list_of_what_a_job_is_made_from() -> None:
    """A fingerprint has the content of all other paths, and must not read these."""
    parsed = Command(work).parse(REQUIRED)
    assert parsed.output == [Path("s"), Path("l")]
    assert {"scores", "log"} & vars(parsed).keys() == set()
    assert parsed.settings == "{}"


@pytest.mark.parametrize("missing", ["--model", "--images", "--scores"])
def test_a_required_option_is_named(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    place = REQUIRED.index(missing)
    count = 3 if missing == "--images" else 2
    with pytest.raises(SystemExit):
        Command(work).parse(REQUIRED[:place] + REQUIRED[place + count :])
    assert f"the following arguments are required: {missing}" in capsys.readouterr().err


def test_options_are_written_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments("--see", "1")
    assert "unrecognized arguments: --see 1" in capsys.readouterr().err


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="deep"):
        arguments("--settings", '{"deep":4}')


def test_the_help_has_the_descriptions() -> None:
    text = " ".join(Command(work).parser().format_help().split())
    assert text.count("The command line of a stage is its function's signature.") == 1
    for part in (
        "--settings SETTINGS Some as JSON; the rest by default",
        "--model MODEL model that is read",
        "--images IMAGES [IMAGES ...] image sets",
        "--scores SCORES what the stage writes",
        "--log LOG what the stage writes; of candidates",
        "--warm-start WARM_START model whose weights come first",
        "--rate RATE default: 0.5",
    ):
        assert part in text
