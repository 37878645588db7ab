"""What tests of all folders share: the shipped configuration to edit, and checkouts to run Snakemake in."""

import copy
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from checkouts import PROJECT, WarmWorkflow, Workflow, checkout, warm_stages

# Before torch is imported: on small tensors its threads cost more than they give, most of all on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

Raw = dict[str, Any]
LONG = [f"test_{name}.py" for name in ("kills", "processes", "public_classifier", "real_checkpoint", "real_data")]


SLOW = Path(__file__).with_name("slow.txt")
"""Files and functions that take a fifth of a second or more on an idle core, as `pytest --record-slow` found them."""
SLOW_SECONDS = 0.2
WHOLE_RUNS = {"finished", "fresh", "planner"}
recorded: dict[str, float] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-slow", action="store_true", help=f"write tests/{SLOW.name} from this run's times")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that none is left to one process at the end."""
    items.sort(key=lambda item: (item.get_closest_marker("workflow") is None, item.path.name not in LONG))
    listed = set(SLOW.read_text().split())
    for item in items:
        function = item.nodeid.partition("[")[0]
        of_fixtures = WHOLE_RUNS.intersection(getattr(item, "fixturenames", ()))
        if of_fixtures or function in listed or function.partition("::")[0] in listed:
            item.add_marker("slow")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A file is slow where what its tests share takes long, a function where its call does."""
    function = report.nodeid.partition("[")[0]
    name = function.partition("::")[0] if report.when == "setup" else function
    recorded[name] = max(recorded.get(name, 0.0), report.duration)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("record_slow") and "PYTEST_XDIST_WORKER" not in os.environ:
        names = {name for name, seconds in recorded.items() if seconds >= SLOW_SECONDS}
        kept = sorted(name for name in names if "::" not in name or name.partition("::")[0] not in names)
        SLOW.write_text("".join(f"{name}\n" for name in kept))


@pytest.fixture
def fresh(tmp_path: Path) -> Workflow:
    """A checkout in which nothing has run."""
    return checkout(tmp_path / "fresh")


@pytest.fixture(scope="session")
def stages() -> str:
    """What runs the workflow's stages for all tests of a process but those that kill them."""
    return warm_stages()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, stages: str) -> Workflow:
    """A checkout in which everything has run, once for all of pytest; tests leave it as they found it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(shared / "finished.lock"):
        if not (shared / "finished").exists():
            workflow = checkout(shared / "unfinished", stages)
            done = workflow.run()
            assert done.returncode == 0, done.stdout
            workflow.place.rename(shared / "finished")
    return Workflow(shared / "finished", stages).copied(tmp_path_factory.mktemp("workflow") / "finished")


@pytest.fixture(scope="session")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmWorkflow]:
    workflow = WarmWorkflow(checkout(tmp_path_factory.mktemp("clean") / "clean").place)
    yield workflow
    workflow.end()


@pytest.fixture
def clean(planner: WarmWorkflow) -> Iterator[WarmWorkflow]:
    """A checkout in which nothing runs, for plans and refusals of any configuration."""
    before = planner.config
    yield planner
    planner.config = before
    assert not (planner.place / "results").exists()


@pytest.fixture(scope="session")
def config_file() -> Path:
    """The configuration that the repository ships."""
    return PROJECT / "config.yaml"


@pytest.fixture
def demo() -> Raw:
    """Its content, with YAML's aliases copied out so that an edit changes one place."""
    return json.loads(json.dumps(yaml.safe_load((PROJECT / "config.yaml").read_text())))


@pytest.fixture
def edited(demo: Raw) -> Callable[[Mapping[str, Any]], Raw]:
    """Sets values at paths such as `recipes/ce/epochs`; None takes the key away."""

    def edit(edits: Mapping[str, Any]) -> Raw:
        raw = copy.deepcopy(demo)
        for path, value in edits.items():
            *above, last = path.split("/")
            place: Any = raw
            for key in above:
                place = place[int(key)] if isinstance(place, list) else place[key]
            if isinstance(place, list):
                place[int(last)] = value
            elif value is None:
                del place[last]
            else:
                place[last] = value
        return raw

    return edit
