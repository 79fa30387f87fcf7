"""``/webhooks``: who is told of new publications and of jobs that have ended, by a signed POST to their own server.

What comes in by webhook from elsewhere is no business of this module."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import Here, TenantAccess
from forecast_platform.api.answers import LATEST, answer
from forecast_platform.api.delivery import AddressRefused, require_public
from forecast_platform.api.keys import Scope
from forecast_platform.api.problems import RESPONSES, Problem
from forecast_platform.api.routing import API, api_router
from forecast_platform.jobs.webhooks import TYPES, Webhook, Webhooks

router = api_router(Scope.ADMIN, tags=["webhooks"])

MOST = 20
"""Subscriptions of a tenant: each costs a request an event."""

Type = Literal["publication.created", "job.ended"]
WebhookId = Annotated[
    str, Path(pattern="^wh_[0-9a-f]{20}$", description="A webhook.", examples=["wh_5f1a0be2c3d47a9911ab"])
]
EXAMPLE = {
    "webhook_id": "wh_5f1a0be2c3d47a9911ab",
    "url": "https://erp.example/hooks/forecasts",
    "types": ["publication.created", "job.ended"],
    "created_by": "key k3v0x8q1zt",
    "created_at": "2026-02-01T08:00:00.000000Z",
    "waiting": 0,
    "last_error": None,
}
MADE_EXAMPLE = {**EXAMPLE, "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {**RESPONSES[401], "description": "There is no such webhook."}}
CREATED: dict[int | str, dict[str, Any]] = {
    201: {
        "links": {
            "delete_webhook": {
                "operationId": "delete_webhook",
                "parameters": {"webhook_id": "$response.body#/webhook_id"},
            }
        }
    }
}
FULL: dict[int | str, dict[str, Any]] = {409: {**RESPONSES[401], "description": "There are as many as there may be."}}


class WebhookRequest(BaseModel):
    """Where to send what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"url": EXAMPLE["url"], "types": EXAMPLE["types"]}},
    )

    url: str = Field(
        min_length=9, max_length=2000, pattern=r"^https?://[!-~]+$", description="https, at a public address."
    )
    types: list[Type] = Field(list(TYPES), min_length=1, max_length=10, description="What to tell of.")


class WebhookAnswer(BaseModel):
    """A webhook."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    webhook_id: str
    url: str
    types: list[Type]
    created_by: str
    created_at: datetime
    waiting: int = Field(description="Messages that were not taken yet.")
    last_error: str | None = Field(description="Why the newest of them was not.")


class WebhookMade(WebhookAnswer):
    """A webhook that was just made."""

    model_config = ConfigDict(json_schema_extra={"example": MADE_EXAMPLE})

    secret: str = Field(description="Verifies what is sent, by Standard Webhooks; shown this once.")


class WebhookList(BaseModel):
    """All webhooks of the tenant."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [EXAMPLE], "next_cursor": None}})

    items: list[WebhookAnswer]
    next_cursor: str | None


@router.post(
    "/webhooks",
    operation_id="create_webhook",
    summary="Be told by webhook",
    status_code=201,
    response_model=WebhookMade,
    responses={**FULL, **CREATED},
)
def create_webhook(request: Request, at: Here, wanted: WebhookRequest) -> Response:
    """Have every new publication, and every job that ends, told by a POST that is signed as Standard Webhooks has it.

    A message is sent again, with growing pauses, for about a day until it is answered with 2xx; its `webhook-id` stays
    the same, so that who has it already can tell.
    """
    settings, webhooks = at.platform.settings, _webhooks(at)
    try:
        require_public(wanted.url, private=settings.api_private_webhooks == "allow")
    except AddressRefused as refused:
        raise Problem(422, "url-refused", str(refused)) from refused
    if len(webhooks.list(at.principal.tenant)) >= MOST:
        raise Problem(409, "too-many-webhooks", f"a tenant may have {MOST} webhooks; delete one first")
    made, secret = webhooks.add(
        at.principal.tenant, wanted.url, wanted.types, by=at.principal.subject, now=datetime.now(UTC)
    )
    where = {"Location": f"{API}/webhooks/{made.webhook_id}"}
    return answer(request, {**_told(made), "secret": secret}, cache="no-store", headers=where, status=201)


@router.get("/webhooks", operation_id="list_webhooks", summary="Webhooks", response_model=WebhookList)
def list_webhooks(request: Request, at: Here) -> Response:
    """The tenant's webhooks, with what waits to be sent; their secrets are not shown again."""
    items = [_told(each) for each in _webhooks(at).list(at.principal.tenant)]
    return answer(request, {"items": items, "next_cursor": None}, cache=LATEST)


@router.delete(
    "/webhooks/{webhook_id}",
    operation_id="delete_webhook",
    summary="Be told no more",
    status_code=204,
    response_class=Response,
    responses=UNKNOWN,
)
def delete_webhook(at: Here, webhook_id: WebhookId) -> Response:
    """Take a webhook away, with what was still to be sent to it."""
    if not _webhooks(at).remove(at.principal.tenant, webhook_id):
        raise Problem(404, "unknown-webhook", "there is no such webhook; GET /api/v1/webhooks lists those there are")
    return Response(status_code=204)


def _webhooks(at: TenantAccess) -> Webhooks:
    return Webhooks(at.platform.state)


def _told(webhook: Webhook) -> dict[str, Any]:
    names = ("webhook_id", "url", "types", "created_by", "created_at", "waiting", "last_error")
    return {name: getattr(webhook, name) for name in names}
