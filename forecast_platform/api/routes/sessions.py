"""``/sessions``: signing in with a name and a password, which gives a token for a while, and signing out."""

from __future__ import annotations

import logging
from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import Here
from forecast_platform.api.answers import to_json
from forecast_platform.api.problems import RESPONSES, Problem
from forecast_platform.api.routing import API, api_router
from forecast_platform.api.scopes import Role, Scope
from forecast_platform.api.sessions import Session
from forecast_platform.api.signing_in import signed_in

log = logging.getLogger(__name__)

LONGEST = 1024
NO_STORE = {"Cache-Control": "no-store"}
ERRORS = {
    401: {**RESPONSES[401], "description": "They are nobody's who may sign in."},
    **{status: RESPONSES[status] for status in (422, 429, 503)},
}

public = APIRouter(prefix=API, tags=["sessions"], redirect_slashes=False)
router = api_router(Scope.READ, tags=["sessions"])


class SignIn(BaseModel):
    """Who signs in."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "ann@shop.example", "password": "correct horse battery"}}
    )

    name: str = Field(min_length=1, max_length=LONGEST, description="The user's name; capitals make no difference.")
    password: str = Field(min_length=1, max_length=LONGEST)


class SessionMade(BaseModel):
    """A token, to be sent as `Authorization: Bearer`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.lq4Zm0b3rX0",
                "token_type": "Bearer",
                "expires_at": "2026-02-01T09:00:00Z",
                "name": "ann@shop.example",
                "tenant": "demo",
                "role": "planner",
                "scopes": ["read", "write"],
            }
        }
    )

    token: str
    token_type: str
    expires_at: datetime = Field(description="When it ends by itself.")
    name: str
    tenant: str
    role: Role
    scopes: list[Scope]


def made(session: Session, *, status: int) -> Response:
    """The answer that gives a token to its owner, for nobody on the way to keep."""
    user = session.user
    content = SessionMade(
        token=session.token,
        token_type="Bearer",
        expires_at=session.expires_at,
        name=user.name,
        tenant=user.tenant,
        role=user.role,
        scopes=sorted(user.role.scopes),
    )
    return Response(to_json(content), status, NO_STORE, "application/json")


@public.post(
    "/sessions",
    operation_id="sign_in",
    summary="Sign in",
    status_code=201,
    response_model=SessionMade,
    responses=ERRORS,
)
async def sign_in(request: Request, body: SignIn) -> Response:
    """A token for a name and a password, good for FORECAST_API_SESSION_MINUTES. It ends before when its owner signs
    out, and with every change of the user. Failures are answered alike, and slowed: 429 with `Retry-After`."""
    user = await signed_in(request, body.name, body.password)
    return made(request.app.state.platform.sessions.begin(user), status=201)


@router.delete(
    "/sessions",
    operation_id="sign_out",
    summary="Sign out",
    status_code=204,
    response_class=Response,
    responses={409: {**RESPONSES[401], "description": "The credential is no session."}},
)
def sign_out(request: Request, at: Here) -> None:
    """End the token that is sent. A key, or a token of another issuer, is not ended this way: 409."""
    principal = at.principal
    if principal.token_id is None or principal.expires_at is None:
        raise Problem(
            409, "no-session", "this credential is no session: a key is disabled, other tokens end at their issuer"
        )
    at.platform.sessions.end(principal.token_id, principal.expires_at)
    request.app.state.gate.forget(request.headers)
    log.info("%s signed out", principal.subject, extra={"tenant": principal.tenant, "security": "signed-out"})
