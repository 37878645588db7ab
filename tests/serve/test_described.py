"""Requests made up from the server's own description: no error of the server, no answer that it does not describe."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

import synthood
from servers import HERE, Running, exported, running

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]
OFTEN = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("served") / "detector"
    exported(folder)
    with running(synthood.load(folder)) as found:
        yield found


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_made_up_requests(server: Running, mode: GenerationMode) -> None:
    """Such as the description allows, and such as it does not."""
    described = schemathesis.openapi.from_url(f"http://{HERE}:{server.port}/openapi.json")
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) == 6

    def asked(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    for operation in operations:
        if mode is GenerationMode.POSITIVE or operation.method == "post":  # without parameters nothing can be wrong
            OFTEN(given(operation.as_strategy(generation_mode=mode))(asked))()
