"""``/me``: whose credential this is, and what a page about the tenant has to know before it shows a figure; one's own
password."""

from __future__ import annotations

from datetime import date, datetime

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import Here
from forecast_platform.api.answers import LATEST, answer
from forecast_platform.api.problems import RESPONSES, Problem
from forecast_platform.api.routes.sessions import LONGEST, SessionMade, made
from forecast_platform.api.routing import api_router
from forecast_platform.api.scopes import Role, Scope
from forecast_platform.api.signing_in import password_changed, signed_in
from forecast_platform.forecasting import model_specs

router = api_router(Scope.READ, tags=["tenant"])


class Me(BaseModel):
    """The caller and its tenant."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "tenant": "demo",
                "subject": "user ann@shop.example",
                "name": "ann@shop.example",
                "role": "planner",
                "scopes": ["read", "write"],
                "expires_at": "2026-02-01T09:00:00Z",
                "timezone": "Europe/Berlin",
                "today": "2026-02-01",
                "start": "2025-06-01",
                "horizon": 28,
                "models": ["naive", "seasonal_naive_7", "ensemble"],
                "source": "files",
                "plans_stock": True,
            }
        }
    )

    tenant: str
    subject: str = Field(description="Who it is, as logs and records name it.")
    name: str | None = Field(description="Of a user of this platform; null for keys and tokens of another issuer.")
    role: Role | None = Field(description="Of a person who has one.")
    scopes: list[Scope] = Field(description="What the credential allows.")
    expires_at: datetime | None = Field(description="When the credential ends by itself; null: it does not.")
    timezone: str = Field(description="The zone of the tenant's business day, an IANA name.")
    today: date = Field(description="The open day, in that zone: days before it are closed.")
    start: date = Field(description="The first business day on record.")
    horizon: int = Field(description="Days that are forecast ahead.")
    models: list[str]
    source: str = Field(description="The kind of source that sales come from; those of `events` may be posted.")
    plans_stock: bool = Field(description="Whether stock levels are known, and so orders are proposed.")


@router.get("/me", operation_id="get_me", summary="Who is asking", response_model=Me)
def me(request: Request, at: Here) -> Response:
    """The tenant of the credential, what the credential allows, and the tenant's days, zone and models."""
    tenant = at.tenant.tenant
    content = Me(
        tenant=at.principal.tenant,
        subject=at.principal.subject,
        name=at.principal.user,
        role=at.principal.role,
        scopes=sorted(at.principal.scopes),
        expires_at=at.principal.expires_at,
        timezone=tenant.timezone,
        today=at.tenant.today(),
        start=tenant.start,
        horizon=tenant.horizon,
        models=[model.name for model in model_specs(tenant.models)],
        source=tenant.source.kind,
        plans_stock=at.tenant.plans_stock,
    )
    return answer(request, content, cache=LATEST)


class PasswordChange(BaseModel):
    """One's own password, the old and the new one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"old_password": "correct horse battery", "new_password": "a stapler of another colour"}
        },
    )

    old_password: str = Field(min_length=1, max_length=LONGEST)
    new_password: str = Field(
        min_length=1,
        max_length=LONGEST,
        description="12 characters or more, without the name in it, not a few again and again or a row.",
    )


@router.post(
    "/me/password",
    operation_id="change_password",
    summary="Change one's own password",
    status_code=201,
    response_model=SessionMade,
    responses={409: {**RESPONSES[401], "description": "The credential has no password, or the old one is not right."}},
)
async def change_password(request: Request, at: Here, body: PasswordChange) -> Response:
    """Another password for the user who is signed in. All tokens of the user end, on every server within two seconds,
    and the answer brings a new one. A wrong old password counts as a failed attempt to sign in."""
    name = at.principal.user
    if name is None:
        raise Problem(409, "no-password", "this credential has no password: sign in by name and password to change one")
    try:
        user = await signed_in(request, name, body.old_password)
    except Problem as problem:
        if problem.status_code != 401:
            raise
        # The credential is good, and 401 would say that it is not.
        raise Problem(409, "wrong-password", "the old password is not the one of this user") from problem
    changed = await password_changed(request, user, body.new_password)
    request.app.state.gate.forget(request.headers)
    return made(request.app.state.platform.sessions.begin(changed), status=201)
