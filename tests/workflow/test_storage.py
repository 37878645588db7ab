"""What runs with object storage need: links to volumes, equal packages, small sources."""

import os
from pathlib import Path
from typing import Any

import pytest

from synthood.errors import SynthoodError
from synthood.workflow.run import workflow_folder
from synthood.workflow.storage import (
    RESUME,
    SOURCES,
    check_sources,
    digest_of_package,
    forget_provenance,
    link_resume,
    look,
    write_sources,
)

CONFIG = Path(__file__).parents[1] / "config.yaml"


class Provider:
    """A storage that raises at every question."""

    def __init__(self, error: Exception | None) -> None:
        self.error, self.asked = error, list[str]()

    def object(self, query: str) -> "Provider":
        self.asked.append(query)
        return self

    def exists(self) -> bool:
        if self.error is not None:
            raise self.error
        return False


class AnsweredError(Exception):
    """As botocore's `ClientError`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response: dict[str, Any] = {"Error": {"Code": code}}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AnsweredError("403"), "access refused (403)"),
        (AnsweredError("503"), "the server fails (503)"),
        (type("NoCredentialsError", (Exception,), {})(), "no credentials"),
        (type("EndpointConnectionError", (Exception,), {})("to x"), "nothing answers (to x)"),
        (ValueError("else"), "ValueError: else"),
    ],
)
def test_a_storage_that_does_not_work_is_told_in_a_sentence(error: Exception, told: str) -> None:
    with pytest.raises(SynthoodError) as raised:
        look(Provider(error), "s3://bucket/a/")
    assert str(raised.value).startswith(f"storage s3://bucket/a/: {told}")
    assert "\n" not in str(raised.value)


def test_one_question_is_asked_below_the_prefix() -> None:
    provider = Provider(None)
    look(provider, "s3://bucket/a/")
    assert provider.asked == ["s3://bucket/a/results/report/index.html"]


@pytest.mark.parametrize("prefix", ["", "first/"])
def test_resume_states_go_to_the_named_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.chdir(tmp_path)
    link, volume = Path(f"{prefix}.resume"), tmp_path / "volume" / "project"
    link_resume({}, prefix)
    assert not link.exists()
    for _ in range(2):
        link_resume({RESUME: str(volume)}, prefix)
        assert link.readlink() == volume / prefix
        assert link.is_dir()
    with pytest.raises(SynthoodError, match=r"\.resume: in the way of SYNTHOOD_RESUME"):
        link_resume({RESUME: str(tmp_path / "other")}, prefix)


def test_states_that_are_there_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".resume").mkdir()
    with pytest.raises(SynthoodError, match="move its content there"):
        link_resume({RESUME: str(tmp_path / "volume")})


def test_a_volume_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(SynthoodError, match="mount the volume"):
        link_resume({RESUME: str(tmp_path / "file" / "below")})


def test_a_job_of_another_package_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "synthood" / "a.py"
    file.parent.mkdir()
    file.write_text("x = 1\n")
    before = digest_of_package(tmp_path)
    check_sources(tmp_path, {})
    check_sources(tmp_path, {SOURCES: before})
    file.write_text("x = 2\n")
    with pytest.raises(SynthoodError, match="same version of synthood"):
        check_sources(tmp_path, {SOURCES: before})


def test_provenance_beside_local_copies_goes_and_copies_stay(tmp_path: Path) -> None:
    copy = tmp_path / "s3" / "bucket" / "a.csv"
    copy.parent.mkdir(parents=True)
    copy.touch()
    copy.with_name("a.csv.provenance.json").touch()
    forget_provenance(tmp_path)
    assert os.listdir(copy.parent) == ["a.csv"]  # noqa: PTH208
    forget_provenance(tmp_path / "none")


def test_sources_are_the_workflow_without_the_package(tmp_path: Path) -> None:
    files = write_sources(workflow_folder(), CONFIG, tmp_path / "run")
    names = {path.relative_to(tmp_path / "run").as_posix() for path in files}
    assert {"Snakefile", "rules/common.smk", "profiles/kubernetes/profile.yaml", "config.yaml"} <= names
    assert not any(name.startswith("src/") for name in names)
    assert sum(path.stat().st_size for path in files) < 200_000
    with pytest.raises(SynthoodError, match="not empty"):
        write_sources(workflow_folder(), CONFIG, tmp_path / "run")
    with pytest.raises(SynthoodError, match="no such file"):
        write_sources(workflow_folder(), tmp_path / "none.yaml", tmp_path / "new")
