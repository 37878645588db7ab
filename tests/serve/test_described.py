"""Requests made up from the server's own description: no error of the server, no answer that it does not describe."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

import synthood
from servers import HERE, Running, exported, running

schema = schemathesis.pytest.from_fixture("described")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("served") / "detector"
    exported(folder)
    with running(synthood.load(folder)) as found:
        yield found


@pytest.fixture
def described(server: Running) -> object:
    return schemathesis.openapi.from_url(f"http://{HERE}:{server.port}/openapi.json")


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_made_up_requests(case: schemathesis.Case) -> None:
    case.call_and_validate(
        checks=[
            not_a_server_error,
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_schema_conformance,
            checks.unsupported_method,
        ]
    )
