"""The workflow inside of others: imported with prefixes, from a path and from a Git URL, and in other folders."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from checkouts import PROJECT, Workflow, checkout
from synthood.common.artefact import provenance_path, verify

pytestmark = pytest.mark.workflow

OUTER = """
import json

with open("given.json") as stream:
    given = json.load(stream)

module first:
    snakefile: SOURCE
    config: given["first"]
    prefix: "first"

use rule * from first as first_*

module second:
    snakefile: SOURCE
    config: given["second"]
    prefix: "below/second"

use rule * from second as second_*

rule both:
    default_target: True
    input:
        "first/results/digits/models/ce/seed0/metrics.csv",
        "below/second/results/digits/models/ce/seed0/metrics.csv",
"""


def outer(place: Path, source: str, stages: str, **edits: object) -> Workflow:
    """A workflow that imports ours twice, with edits of the second configuration's `ce`."""
    place.mkdir()
    first = yaml.safe_load((PROJECT / "tests/config.yaml").read_text())
    second = json.loads(json.dumps(first))
    second["recipes"]["ce"] |= edits
    (place / "given.json").write_text(json.dumps({"first": first, "second": second}))
    # Of the outer workflow alone: no key in it is ours
    (place / "config.yaml").write_text("samples: [a, b]\n")
    (place / "Snakefile").write_text('\nconfigfile: "config.yaml"\n' + OUTER.replace("SOURCE", repr(source)))
    return Workflow(place, stages)


def commands(output: str, module: str) -> dict[str, list[str]]:
    """Options of the planned commands of a module, by option."""
    found: dict[str, list[str]] = {}
    for line in re.findall(rf"SYNTHOOD_CODE=\w+ .*? {re.escape(module)} (.*)", output):
        for option, value in re.findall(r"--([\w-]+)[= ](\S+)", line):
            found.setdefault(option, []).append(value.strip("'"))
    return found


def test_two_imports_with_prefixes_share_nothing(tmp_path: Path, stages: str) -> None:
    source = checkout(tmp_path / "source")
    other = outer(tmp_path / "other", str(source.place / "Snakefile"), stages, epochs=1)
    planned = other.run("-n", "--printshellcmds")
    assert planned.returncode == 0, planned.stdout
    train = commands(planned.stdout, "synthood.training.train")
    assert sorted(train["resume"]) == [
        "below/second/.resume/digits/models/ce/seed0",
        "first/.resume/digits/models/ce/seed0",
    ]
    done = other.run()
    assert done.returncode == 0, done.stdout
    for prefix, epochs in (("first", 2), ("below/second", 1)):
        model = other.place / prefix / "results/digits/models/ce/seed0"
        assert len((model / "history.csv").read_text().splitlines()) == 1 + epochs
    # Nothing beside what the two import, not even a state of a fit
    assert {path.name for path in other.place.iterdir()} == {
        "Snakefile", "config.yaml", "given.json", "first", "below", ".snakemake",
    }  # fmt: skip
    assert sorted(path.name for path in (other.place / "first").iterdir()) == [".resume", "results"]
    assert [path for path in (other.place / "first/.resume").rglob("*") if path.is_file()] == []
    again = other.run("-n")
    assert "Nothing to be done" in again.stdout


def test_a_module_s_results_are_those_of_a_run_by_itself(tmp_path: Path, stages: str, finished: Workflow) -> None:
    """The same bytes: no artefact holds the prefix."""
    other = outer(tmp_path / "other", str(finished.place / "Snakefile"), stages)
    done = other.run("first/results/digits/models/ce/seed0/scores.parquet")
    assert done.returncode == 0, done.stdout
    for name in ("images/train.safetensors", "models/ce/seed0/model.safetensors", "models/ce/seed0/scores.parquet"):
        own, theirs = (place / "results/digits" / name for place in (finished.place, other.place / "first"))
        assert own.read_bytes() == theirs.read_bytes(), name


def test_what_a_module_allows_to_overlap_is_its_own(tmp_path: Path, stages: str, finished: Workflow) -> None:
    """Of two datasets of one name, each is judged by its own configuration."""
    other = outer(tmp_path / "other", str(finished.place / "Snakefile"), stages)
    given = json.loads((other.place / "given.json").read_text())
    allowed = [{"parts": ["train", "val"], "images": 3}]
    given["second"]["datasets"]["digits"]["allow_overlap"] = allowed
    (other.place / "given.json").write_text(json.dumps(given))
    shown = 'rule show:\n    shell: "echo $SYNTHOOD_OVERLAPS > allowed.json"\n'
    (other.place / "Snakefile").write_text((other.place / "Snakefile").read_text() + shown)
    done = other.run("show")
    assert done.returncode == 0, done.stdout
    told = json.loads((other.place / "allowed.json").read_text())
    assert told["first/digits"]["allowed"] == []
    assert [one["images"] for one in told["below/second/digits"]["allowed"]] == [3]


def test_a_module_from_a_git_url(tmp_path: Path, stages: str) -> None:
    """Rules of a commit; the package is the installed one, and without it there is one sentence."""
    repository = checkout(tmp_path / "repository").place
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "Snakefile", "rules", "envs", "report"], ["commit", "-qm", "rules"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    shutil.rmtree(repository / "rules")
    other = outer(tmp_path / "other", f"git+file://{repository}/Snakefile@{commit}", stages)
    done = other.run("first/results/digits/overlaps_id.csv", PYTHONPATH=str(PROJECT / "src"))
    assert done.returncode == 0, done.stdout
    assert (other.place / "first/results/digits/overlaps_id.csv").is_file()


def test_a_folder_of_results_that_is_copied_runs_nothing(finished: Workflow, tmp_path: Path) -> None:
    """`cp -r` leaves times of its own, in an order of its own."""
    copied = tmp_path / "copied"
    subprocess.run(["cp", "-r", str(finished.place), str(copied)], check=True)
    own, other = (place / "results/digits/images/train.safetensors" for place in (finished.place, copied))
    assert other.stat().st_mtime > own.stat().st_mtime
    planned = Workflow(copied).run("-n")
    assert "Nothing to be done" in planned.stdout, planned.stdout


def test_another_folder_for_results(finished: Workflow, tmp_path: Path) -> None:
    """`-d`: nothing is written where the rules are."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    shutil.copy2(finished.place / "config.yaml", place / "mine.yaml")
    options = ["--configfile", place / "mine.yaml", "--snakefile", finished.place / "Snakefile", "-d", place]
    command = [sys.executable, "-m", "snakemake", *options, "--cores", "1", "results/digits/overlaps_id.csv"]
    before = sorted(finished.place.iterdir())
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in place.iterdir()} == {"mine.yaml", "results", ".snakemake"}
    assert sorted(finished.place.iterdir()) == before
    same = "results/digits/overlaps_id.csv"
    assert (place / same).read_bytes() == (finished.place / same).read_bytes()


@pytest.mark.parametrize("form", ["symlink", "copy"])
def test_a_cache_that_workflows_share_is_verified(tmp_path: Path, stages: str, form: str) -> None:
    """`--cache`: another checkout takes what is there, and a damaged entry is told by who reads it."""
    cache = tmp_path / "cache"
    cache.mkdir()
    made, taken, broken = (checkout(tmp_path / name, stages) for name in ("made", "taken", "broken"))
    variables = {"SNAKEMAKE_OUTPUT_CACHE": str(cache)}
    name = "results/digits/images/train.safetensors"
    done = made.run("--cache", "prepare", "--", name, **variables)
    assert done.returncode == 0, done.stdout
    (entry,) = cache.iterdir()
    done = taken.run("--cache", "prepare", "--", name, **variables)
    assert done.returncode == 0, done.stdout
    assert "from cache" in done.stdout
    assert not provenance_path(taken.place / name).exists()  # nothing was computed
    assert (taken.place / name).read_bytes() == (made.place / name).read_bytes()
    if form == "copy":  # as on a file system without links
        content = (taken.place / name).read_bytes()
        (taken.place / name).unlink()
        (taken.place / name).write_bytes(content)
    assert verify(taken.place / name, ours=True)
    changed = bytearray(entry.read_bytes())
    changed[-1] ^= 1
    entry.chmod(0o644)
    entry.write_bytes(changed)
    done = broken.run("--cache", "prepare", "--", "results/digits/overlaps_id.csv", **variables)
    assert done.returncode != 0
    assert f"{name}: truncated or changed since it was written" in done.stdout
    assert not (broken.place / "results/digits/overlaps_id.csv").exists()
