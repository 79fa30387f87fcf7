"""The whole OpenAPI, fuzzed: whatever is sent, an answer is one that the OpenAPI says, and never a failure of ours.

Operations and their values are made up by schemathesis from the OpenAPI alone, valid ones and wrong ones; then in
sequences, in which what one answers goes into the next. Reproducible: the same requests every time. The short form
takes a minute; ``FUZZ_EXAMPLES=200`` makes so many requests of each operation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import hypothesis
import pytest
import schemathesis
import schemathesis.openapi
import sqlalchemy as sa
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, Response
from schemathesis.generation.case import Case
from schemathesis.python import asgi
from schemathesis.specs.openapi import checks
from schemathesis.specs.openapi.schemas import OpenApiSchema

from forecast_platform.api.keys import Scope
from forecast_platform.state import State, api_keys, metadata
from forecast_platform_tests.api.conftest import LAST_ORIGIN, Served

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
"""Requests of each operation; sequences are as many."""

HOW = hypothesis.settings(
    max_examples=EXAMPLES,
    stateful_step_count=8,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

LEFT_OUT = [checks.positive_data_acceptance]
"""422 is what is answered to values that do not go together, or not with the data, as a cursor that was made up."""

KEEP_ALL = {"POST /api/v1/sales", "POST /api/v1/inventory"}
"""An event that is none is kept as a reject, and stops no other."""

POSSIBLE = {
    "POST /api/v1/jobs": {"first_day": f"{LAST_ORIGIN}", "last_day": f"{LAST_ORIGIN}", "kind": "forecast"}
    | dict.fromkeys(("skus", "first_series", "models", "horizon")),
    "POST /api/v1/webhooks": {"url": "https://127.0.0.1:9/nobody"},
}
FOLLOWED = {
    *{("POST /api/v1/jobs", 201), ("GET /api/v1/jobs/{job_id}", 200), ("POST /api/v1/jobs/{job_id}/cancel", 202)},
    *{("POST /api/v1/webhooks", 201), ("DELETE /api/v1/webhooks/{webhook_id}", 204)},
}


@dataclass(frozen=True)
class Target:
    """An application, what its OpenAPI says, a key of all scopes, and a client."""

    schema: OpenApiSchema
    state: State
    headers: dict[str, str]
    client: asgi.ASGIClient

    def send(self, case: Case) -> Response:
        return case.call(session=self.client, headers=self.headers)

    def validate(self, case: Case, answer: Response) -> None:
        """Look whether an answer is what the OpenAPI says, and no failure of ours."""
        sent = {"session": self.client, "headers": self.headers}
        left_out = [*LEFT_OUT, *([checks.negative_data_rejection] if case.operation.label in KEEP_ALL else [])]
        case.validate_response(answer, headers=self.headers, excluded_checks=left_out, transport_kwargs=sent)


@pytest.fixture(scope="module")
def target(taking: tuple[Served, FastAPI]) -> Iterator[Target]:
    served, app = taking
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    with asgi.get_client(app) as client:
        yield Target(schema, app.state.platform.state, {"Authorization": f"Bearer {served.key(*Scope)}"}, client)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_one_that_the_openapi_says(target: Target, mode: GenerationMode, subtests: pytest.Subtests):
    for found in target.schema.get_all_operations():
        operation = found.ok()
        with subtests.test(operation=operation.label):

            @HOW
            @hypothesis.given(case=operation.as_strategy(mode))
            def asked(case: Case) -> None:
                target.validate(case, target.send(case))

            with suppress(Unsatisfiable):  # nothing can be wrong about a request that takes nothing
                asked()


def test_what_one_operation_answers_goes_into_the_next(target: Target):
    met: set[tuple[str, int]] = set()

    class Sequences(target.schema.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            # Or what a sequence finds would depend on those before it, and none could be tried again.
            with target.state.transaction() as connection:
                for table in reversed(metadata.sorted_tables):
                    if table is not api_keys:
                        connection.execute(sa.delete(table))

        def before_call(self, case: Case) -> None:
            # No value that is made up would be taken here, and nothing could follow.
            if isinstance(case.body, dict):
                case.body |= POSSIBLE.get(case.operation.label, {})

        def call(self, case: Case, **_: Any) -> Response:
            answer = target.send(case)
            met.add((case.operation.label, answer.status_code))
            return answer

        def validate_response(self, response: Response, case: Case, **_: Any) -> None:
            target.validate(case, response)

    Sequences.run(settings=HOW)
    assert met >= FOLLOWED, sorted(met)
