"""Whoever is given the OpenAPI as tools can use every one of them: each is called once, with its own example."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import jsonschema
from dagster._core.test_utils import freeze_time
from fastapi import FastAPI
from fastapi.testclient import TestClient

from forecast_platform.api.keys import Scope
from forecast_platform_tests.api.conftest import Served

REFERENCE = "#/components/schemas/"

CANNOT_EXIST = {
    **dict.fromkeys(
        ("get_job", "cancel_job", "list_job_batches", "retry_job_batch", "delete_webhook", "withdraw_override"), 404
    ),
    "create_webhook": 422,
    "post_shopify_webhook": 401,
    "post_upload": 409,
    "sign_in": 401,
    **dict.fromkeys(("sign_out", "change_password"), 409),
}
"""Examples that cannot be of this shop, and their answer: ids that nobody was given, a host without an address, a
sender who has not signed, a file where sales are events, a user whom there is not, and what an agent's key, which has
no session and no password, cannot end or change."""


NEEDED = {("audit_forecast", "location"), ("withdraw_actual", "location")}
"""What may be left out where a SKU is sold at one location only."""

EXAMPLES_ARE_OF = datetime(2026, 2, 1, 12, tzinfo=UTC)


def tools(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The operations of an OpenAPI as an agent has its tools: a name, a description, and parameters as JSON schema.

    ``path``, ``query``, ``header`` and ``body`` of a tool say where its parameters go.
    """
    made = {}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts: dict[str, dict[str, Any]] = {}
            for parameter in operation.get("parameters", ()):
                described = {"description": parameter["description"], **resolved(parameter["schema"], schema)}
                parts.setdefault(parameter["in"], {"properties": {}, "required": []})
                parts[parameter["in"]]["properties"][parameter["name"]] = described
                if parameter.get("required"):
                    parts[parameter["in"]]["required"].append(parameter["name"])
            for part in parts.values():
                part |= {"type": "object", "additionalProperties": False}
            content = operation.get("requestBody", {}).get("content", {})
            kind = next(iter(content), None)
            if kind is not None:
                parts["body"] = resolved(content[kind]["schema"], schema)
            made[operation["operationId"]] = {
                "description": f"{operation['summary']}. {operation['description']}",
                "parameters": {
                    "type": "object",
                    "properties": parts,
                    "required": sorted(name for name in parts if name in ("path", "body")),
                    "additionalProperties": False,
                },
                "call": (method.upper(), path, kind),
                "example": example_of(operation, content.get(kind), schema),
            }
    return made


def resolved(part: Any, schema: Mapping[str, Any]) -> Any:
    """A part of the OpenAPI without references: an agent is given no components."""
    if isinstance(part, list):
        return [resolved(each, schema) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        assert part["$ref"].startswith(REFERENCE)
        return resolved(schema["components"]["schemas"][part["$ref"].removeprefix(REFERENCE)], schema)
    return {name: resolved(value, schema) for name, value in part.items()}


def example_of(operation: Mapping[str, Any], content: Mapping[str, Any] | None, schema: Mapping[str, Any]) -> dict:
    """What the OpenAPI shows as an example: of the path and the body all, of the rest what is required."""
    given: dict[str, Any] = {}
    for parameter in operation.get("parameters", ()):
        if parameter.get("required") or (operation["operationId"], parameter["name"]) in NEEDED:
            shown = parameter.get("example", resolved(parameter["schema"], schema).get("examples", [None])[0])
            given.setdefault(parameter["in"], {})[parameter["name"]] = shown
    if content is not None:
        model = resolved(content["schema"], schema)
        given["body"] = content.get("example", model.get("example"))
    return given


def call(client: TestClient, tool: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
    """Call a tool, as one does who knows nothing but it."""
    method, path, kind = tool["call"]
    for name, value in arguments.get("path", {}).items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    body = arguments.get("body")
    sent = {"json": body} if kind == "application/json" else {"content": body, "headers": {"Content-Type": kind}}
    return client.request(method, path, params=arguments.get("query"), **(sent if body is not None else {}))


def test_every_operation_can_be_used_as_a_tool(taking: tuple[Served, FastAPI]):
    served, app = taking
    answered: dict[str, int] = {}
    schema = app.openapi()
    with (
        freeze_time(EXAMPLES_ARE_OF),
        TestClient(app, headers={"Authorization": f"Bearer {served.key(*Scope)}"}) as client,
    ):
        for name, tool in tools(schema).items():
            assert tool["description"].strip() and "$ref" not in str(tool["parameters"])
            jsonschema.Draft202012Validator.check_schema(tool["parameters"])
            jsonschema.validate(tool["example"], tool["parameters"])
            answered[name] = call(client, tool, tool["example"]).status_code
    refused = {name: status for name, status in answered.items() if not 200 <= status < 300}
    assert refused == CANNOT_EXIST
