"""The OpenAPI is complete: who only reads it can call everything."""

from __future__ import annotations

from typing import Any

import pytest

from forecast_platform.api.access import is_public
from forecast_platform.api.app import create_app
from forecast_platform.settings import load


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return create_app(load({"FORECAST_API_ENVIRONMENT": "development"})).openapi()


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, each) for path, methods in schema["paths"].items() for method, each in methods.items()]


def has_example(schema: dict[str, Any], content: dict[str, Any]) -> bool:
    """Whether a body has an example, itself or in its model."""
    if "example" in content or "examples" in content:
        return True
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    model = schema["components"]["schemas"].get(name, content.get("schema", {}))
    return "example" in model or "examples" in model


def test_every_operation_has_an_id_a_summary_a_description_and_a_tag(schema):
    ids = [each["operationId"] for _, _, each in operations(schema)]
    assert len(ids) == len(set(ids)) and ids
    for path, method, each in operations(schema):
        assert each["summary"] and each["description"] and each["tags"], (method, path)


def test_every_answer_and_every_body_has_an_example(schema):
    for path, method, each in operations(schema):
        for status, response in each["responses"].items():
            for content in response.get("content", {}).values():
                assert has_example(schema, content), (method, path, status)
        for content in each.get("requestBody", {}).get("content", {}).values():
            assert has_example(schema, content), (method, path)


def test_every_parameter_says_what_it_is(schema):
    for path, method, each in operations(schema):
        for parameter in each.get("parameters", ()):
            assert parameter.get("description"), (method, path, parameter["name"])
            assert parameter["in"] != "query" or "examples" in parameter or "examples" in parameter["schema"], parameter


def test_every_error_is_a_problem(schema):
    for path, method, each in operations(schema):
        for status, response in each["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], (method, path, status)


def test_every_operation_that_is_not_public_says_how_to_sign_in(schema):
    for path, method, each in operations(schema):
        public = is_public(method.upper(), path)
        assert bool(each["security"]) == (not public), (method, path)
        if not public:
            assert {"401", "403"} <= set(each["responses"]), (method, path)
