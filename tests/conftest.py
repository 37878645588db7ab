"""A copy of the project with tests/config.yaml as its configuration, run once for all tests of the workflow."""

from pathlib import Path

import pytest

from checkouts import Workflow, checkout


@pytest.fixture
def fresh(tmp_path: Path) -> Workflow:
    """A checkout in which nothing has run."""
    return checkout(tmp_path / "fresh")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A checkout in which everything has run; tests must leave it as they found it."""
    workflow = checkout(tmp_path_factory.mktemp("workflow") / "finished")
    done = workflow.run()
    assert done.returncode == 0, done.stdout
    return workflow
