"""Every route × every wrong credential: 401 or 403, the same whatever there is, and no route that forgot to ask."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import jwt
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient

from forecast_platform.api import app as application
from forecast_platform.api.access import Requires, is_public, unguarded
from forecast_platform.api.app import create_app
from forecast_platform.api.keys import Scope
from forecast_platform.api.platform import Platform
from forecast_platform.api.scopes import Role
from forecast_platform.api.users import User
from forecast_platform.settings import Settings, load
from forecast_platform_tests.api import test_issuers as issuers
from forecast_platform_tests.api.conftest import SECRET, Served

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EVERY_SCOPE = tuple(Scope)


def operations(app: FastAPI) -> Iterator[tuple[str, str, frozenset[Scope]]]:
    """Method, path (with its parameters filled in) and the scopes that every route demands."""
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute):
            waiting, scopes = [route.dependant], set()
            while waiting:
                each = waiting.pop()
                scopes |= {each.call.scope} if isinstance(each.call, Requires) else set()
                waiting += each.dependencies
            for method in sorted(each for each in route.methods if not is_public(each, route.path)):
                yield method, re.sub(r"\{[^}]*\}", "sku 1", route.path), frozenset(scopes)


@pytest.fixture
def wrong_keys(shop: Served) -> dict[str, str]:
    """What is sent in place of a valid key."""
    good = shop.key(*EVERY_SCOPE)
    disabled, text = shop.keys.create(shop.tenant, name="gone", scopes=EVERY_SCOPE)
    shop.keys.disable(disabled.key_id)
    expired = shop.keys.create(
        shop.tenant, name="old", scopes=EVERY_SCOPE, expires_at=NOW + timedelta(days=1), now=NOW
    )[1]
    return {
        "none": "",
        "empty": "Bearer ",
        "no scheme": good,
        "another scheme": f"Basic {good}",
        "disabled": f"Bearer {text}",
        "expired": f"Bearer {expired}",
        "tampered": f"Bearer {good[:-1]}{'A' if good[-1] != 'A' else 'B'}",
        "unknown": f"Bearer fp_{'a' * 10}_{'A' * 43}",
        "injected": "Bearer fp_' or 1=1 --",
        "long": "Bearer fp_" + "x" * 5000,
        "unsigned token": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.",
    }


PUBLIC_KEY = issuers.pem(issuers.RSA_KEY)


@pytest.fixture
def settings(shop: Served, tmp_path: Path) -> Settings:
    """The shop's, where tokens of another issuer are taken too."""
    (tmp_path / "keys.pem").write_bytes(PUBLIC_KEY)
    return issuers.with_issuer(shop.settings, tmp_path / "keys.pem")


@pytest.fixture
def people(settings: Settings) -> Iterator[Platform]:
    """The users and sessions that the application under test sees."""
    platform = Platform(settings)
    yield platform
    platform.close()


def session(people: Platform, tenant: str, role: Role) -> tuple[User, str]:
    user = people.users.create(tenant, f"{uuid4().hex}@x", role=role, password="correct horse battery")
    return user, people.sessions.begin(user).token


@pytest.fixture
def wrong_tokens(shop: Served, people: Platform) -> dict[str, str]:
    """What is sent in place of a valid token, of ours and of the other issuer, each wrong in one way."""
    user, good = session(people, shop.tenant, Role.ADMIN)
    claims = jwt.decode(good, options={"verify_signature": False})
    disabled, of_disabled = session(people, shop.tenant, Role.ADMIN)
    people.users.disable(disabled.name)
    ended = people.sessions.principal(of_ended := people.sessions.begin(user).token)
    people.sessions.end(ended.token_id, ended.expires_at)
    theirs = {"tenant": shop.tenant, "role": "admin"}
    told = issuers.claims(**theirs)
    past = {"iat": NOW, "exp": NOW + timedelta(hours=1)}
    return {
        "disabled user": of_disabled,
        "signed out": of_ended,
        "expired": jwt.encode(claims | past, SECRET, "HS256"),
        "tampered": ".".join([good.split(".")[0], of_disabled.split(".")[1], good.split(".")[2]]),
        "another secret": jwt.encode(claims, SECRET[::-1], "HS256"),
        "wrong audience": jwt.encode(claims | {"aud": "another"}, SECRET, "HS256"),
        "wrong issuer": jwt.encode(claims | {"iss": "https://evil.example"}, SECRET, "HS256"),
        "not signed": jwt.encode(claims, None, "none"),
        "ours by their key": jwt.encode(claims, issuers.RSA_KEY, "RS256"),
        "theirs by our secret": jwt.encode(told, SECRET, "HS256"),
        "theirs not signed": jwt.encode(told, None, "none"),
        "theirs by the public key": issuers.forged({"alg": "HS256"}, PUBLIC_KEY, **theirs),
        "theirs expired": issuers.signed(**theirs, **past),
        "theirs for others": issuers.signed(**theirs, aud="another"),
        "theirs by another key": issuers.signed(issuers.OTHER_RSA_KEY, **theirs),
        "theirs without a tenant": issuers.signed(role="admin", tenant=None),
    }


def test_no_wrong_credential_opens_any_route(
    settings: Settings, wrong_keys: dict[str, str], wrong_tokens: dict[str, str], open_app: Callable
):
    app, client = open_app(settings)
    wrong = wrong_keys | {f"token: {kind}": f"Bearer {token}" for kind, token in wrong_tokens.items()}
    answers: dict[str, set[str]] = {}
    asked = client()
    for method, path, _ in [
        *operations(app),
        ("GET", "/api/v1/nothing/of/the/kind", frozenset()),
        ("GET", "/api", frozenset()),
    ]:
        for kind, sent in wrong.items():
            headers = {"Authorization": sent} if sent else {}
            answer = asked.request(method, path, headers=headers, content=b"{no json")
            assert answer.status_code == 401, (method, path, kind)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            told = answer.json()
            answers.setdefault("bodies", set()).add(str({**told, "instance": "", "request_id": ""}))
    assert len(answers["bodies"]) == 1, "who is not let in is told the same, whatever is wrong and whatever there is"


def test_a_key_opens_what_its_scope_names_and_nothing_else(shop: Served, open_app: Callable):
    app, client = open_app(shop.settings)
    for method, path, scopes in operations(app):
        assert scopes, f"{method} {path} demands no scope"
        for scope in scopes:
            others = client(shop.key(*(each for each in EVERY_SCOPE if each != scope)))
            answer = others.request(method, path)
            assert answer.status_code == 403 and answer.json()["type"].endswith("scope-missing"), (method, path, scope)
        allowed = client(shop.key(*scopes)).request(method, path)
        assert allowed.status_code not in (401, 403, 500), (method, path, allowed.text)


def test_a_key_may_come_in_its_own_header(shop: Served, open_app: Callable):
    key = shop.key()
    asked = open_app(shop.settings)[1]()
    assert asked.get("/api/v1/forecasts/sku 1", headers={"X-API-Key": key}).status_code == 200


def test_a_credential_of_another_tenant_finds_nothing_of_this_one(
    shop: Served, settings: Settings, people: Platform, open_app: Callable
):
    strangers = [
        shop.keys.create("stranger", name="test", scopes=EVERY_SCOPE)[1],
        session(people, "stranger", Role.ADMIN)[1],
        issuers.signed(tenant="stranger", role="admin"),
    ]
    app, client = open_app(settings)
    asked, answers = client(), set()
    for method, path, _ in operations(app):
        for stranger in strangers:
            answer = asked.request(method, path, headers={"Authorization": f"Bearer {stranger}"})
            assert answer.status_code == 403 and shop.tenant not in answer.text, (method, path)
            answers.add(str({**answer.json(), "instance": "", "request_id": ""}))
    assert len(answers) == 1


@pytest.mark.parametrize("role", Role)
def test_a_role_opens_what_it_is_for_and_nothing_else(
    shop: Served, settings: Settings, people: Platform, open_app: Callable, role: Role
):
    token = session(people, shop.tenant, role)[1]
    theirs = issuers.signed(tenant=shop.tenant, role=role.value)
    app, client = open_app(settings)
    asked, refused = client(), 0
    for method, path, scopes in operations(app):
        # (What may sign out does so at the end.)
        if scopes <= role.scopes and method == "DELETE" and path.endswith("/sessions"):
            continue
        for each in (token, theirs):
            answer = asked.request(method, path, headers={"Authorization": f"Bearer {each}"})
            lacks = answer.status_code == 403 and answer.json()["type"].endswith("scope-missing")
            assert lacks == (not scopes <= role.scopes), (method, path, answer.text)
            refused += lacks
    assert (refused == 0) == (role is Role.ADMIN)


def test_a_route_that_forgot_its_scope_keeps_the_application_from_starting(monkeypatch: pytest.MonkeyPatch):
    forgotten = APIRouter()

    @forgotten.get("/api/v1/forgotten", operation_id="forgotten", summary="Forgotten")
    def nobody_is_asked() -> dict[str, str]:
        """Says what it should not."""
        return {"secret": "all of it"}

    monkeypatch.setattr(application, "ROUTERS", (*application.ROUTERS, forgotten))
    with pytest.raises(RuntimeError, match="/api/v1/forgotten"):
        create_app(load({"FORECAST_API_ENVIRONMENT": "development"}))


def test_a_plain_route_beside_the_framework_is_seen_too():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_route("/api/v1/plain", lambda request: None)
    assert unguarded(list(iter_route_contexts(app.routes))) == ["/api/v1/plain"]


def test_a_public_path_written_in_another_way_is_not_public(shop: Served, open_app: Callable):
    asked: TestClient = open_app(shop.settings)[1]()
    for path in ("/health/", "/health//", "/Health", "/health/../api/v1/forecasts/x", "/metrics%00"):
        assert asked.get(path).status_code == 401, path


def test_the_figures_are_for_who_has_their_token(shop: Served, open_app: Callable):
    token = "0123456789abcdef"
    asked = open_app(shop.settings, api_metrics_token=token)[1]()
    assert asked.get("/metrics").status_code == 401
    assert asked.get("/metrics", headers={"Authorization": f"Bearer {shop.key(*EVERY_SCOPE)}"}).status_code == 401
    told = asked.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert told.status_code == 200 and 'forecast_api_requests_total{method="GET",route="/metrics"' in told.text
    hidden = open_app(shop.settings, api_environment="production")[1]()
    assert hidden.get("/metrics").status_code == 401
