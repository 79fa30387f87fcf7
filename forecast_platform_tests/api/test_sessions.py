"""Signing in by name and password: a token that opens what the role may, and ends when it should, on every server."""

from __future__ import annotations

import json
import logging
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from forecast_platform.api.access import REMEMBERED_SECONDS
from forecast_platform.api.app import create_app
from forecast_platform.api.attempts import NAME
from forecast_platform.api.principal import Refused
from forecast_platform.api.scopes import Role
from forecast_platform.api.sessions import Sessions, signing_secret
from forecast_platform.api.users import Users
from forecast_platform.settings import OWN_ISSUER, Settings, SettingsError, load
from forecast_platform.state import State, ended_tokens
from forecast_platform_tests.api.conftest import SECRET, Served

PASSWORD, OTHER = "correct horse battery", "a stapler of another colour"
SIGN_IN = "/api/v1/sessions"


@dataclass
class People:
    """A platform of its own over the loaded shop, with users."""

    settings: Settings
    users: Users
    tenant: str

    def make(self, name: str = "ann", role: Role = Role.PLANNER) -> str:
        self.users.create(self.tenant, name, role=role, password=PASSWORD)
        return name


@pytest.fixture
def people(shop: Served, state_url: str) -> People:
    settings = replace(shop.settings, state=state_url)
    return People(settings, Users(State(state_url)), shop.tenant)


def sign_in(client: TestClient, name: str = "ann", password: str = PASSWORD):
    return client.post(SIGN_IN, json={"name": name, "password": password})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_name_and_a_password_become_a_token_that_opens_what_the_role_may(people: People, open_app: Callable):
    people.make()
    asked = open_app(people.settings)[1]()
    answer = sign_in(asked, " ANN ")
    assert answer.status_code == 201 and answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert (told["name"], told["tenant"], told["role"]) == ("ann", people.tenant, "planner")
    me = asked.get("/api/v1/me", headers=bearer(told["token"])).json()
    assert (me["subject"], me["name"], me["role"], me["scopes"]) == ("user ann", "ann", "planner", ["read", "write"])
    assert me["expires_at"] == told["expires_at"]
    assert asked.get("/api/v1/forecasts/sku 1", headers=bearer(told["token"])).status_code == 200
    refused = asked.post("/api/v1/jobs", headers=bearer(told["token"]))
    assert refused.status_code == 403 and refused.json()["type"].endswith("scope-missing")
    assert asked.get("/api/v1/me", headers={"X-API-Key": told["token"]}).status_code == 401
    claims = jwt.decode(told["token"], SECRET, algorithms=["HS256"], issuer=OWN_ISSUER, audience=OWN_ISSUER)
    assert claims["exp"] - claims["iat"] == 60 * people.settings.api_session_minutes


def test_what_was_wrong_is_not_told(people: People, open_app: Callable):
    people.make()
    people.make("bob")
    people.users.disable("bob")
    asked = open_app(people.settings)[1]()
    answers = [sign_in(asked, *each) for each in [("ann", OTHER), ("nobody", PASSWORD), ("bob", PASSWORD)]]
    assert {each.status_code for each in answers} == {401}
    assert len({str({**each.json(), "request_id": ""}) for each in answers}) == 1
    assert all(each.headers["www-authenticate"] for each in answers)


@pytest.mark.parametrize(
    "body", [{}, {"name": "ann"}, {"name": "", "password": "x"}, {"name": ["ann"], "password": PASSWORD}, [], "ann"]
)
def test_a_body_that_is_no_name_and_password_is_refused_and_not_repeated(shop: Served, readers: Callable, body):
    answer = readers(shop).post(SIGN_IN, json=body)
    assert answer.status_code == 422 and PASSWORD not in answer.text


def test_failures_are_slowed_on_every_server_and_the_right_password_too(people: People, open_app: Callable):
    people.make()
    servers = [open_app(people.settings)[1]() for _ in range(2)]
    answers = [sign_in(servers[number % 2], "ann", OTHER) for number in range(NAME.free + 2)]
    assert [each.status_code for each in answers] == [401] * (NAME.free + 1) + [429]
    slowed = sign_in(servers[0], "ann", PASSWORD)
    assert slowed.status_code == 429 and 1 <= int(slowed.headers["retry-after"]) <= 2
    assert slowed.json()["type"].endswith("too-many-attempts")
    assert sign_in(servers[1], "ANN ", OTHER).status_code == 429, "a name is the same in capitals"


def test_signing_in_is_limited_by_address_even_where_it_succeeds(people: People, monkeypatch: pytest.MonkeyPatch):
    from forecast_platform.api import platform
    from forecast_platform.api.rates import Rate

    monkeypatch.setattr(platform, "SIGN_INS", Rate(requests=3, seconds=86_400.0))
    people.make()
    with TestClient(create_app(people.settings)) as asked:
        answers = [sign_in(asked) for _ in range(4)]
    assert [each.status_code for each in answers] == [201, 201, 201, 429]
    assert answers[-1].json()["type"].endswith("rate-limited") and int(answers[-1].headers["retry-after"]) > 0


CHANGES = {
    "disabled": lambda people: people.users.disable("ann"),
    "disabled and enabled": lambda people: (people.users.disable("ann"), people.users.enable("ann")),
    "another password": lambda people: people.users.set_password("ann", OTHER),
    "the same role again": lambda people: people.users.set_role("ann", Role.PLANNER),
    "another role": lambda people: people.users.set_role("ann", Role.ADMIN),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_user_ends_tokens_that_were_given_out_before(people: People, open_app: Callable, change: str):
    people.make()
    asked = open_app(people.settings)[1]()
    before = bearer(sign_in(asked).json()["token"])
    assert asked.get("/api/v1/me", headers=before).status_code == 200
    CHANGES[change](people)
    assert asked.get("/api/v1/me", headers=before).status_code == 401
    if change == "another role":
        after = bearer(sign_in(asked).json()["token"])
        assert asked.get("/api/v1/me", headers=after).json()["role"] == "admin"


def test_a_server_that_remembers_credentials_forgets_one_within_two_seconds(people: People):
    assert REMEMBERED_SECONDS <= 2
    people.make()
    seconds = 0.5
    with TestClient(create_app(people.settings, remembered_seconds=seconds)) as asked:
        token = bearer(sign_in(asked).json()["token"])
        assert asked.get("/api/v1/me", headers=token).status_code == 200
        people.users.disable("ann")
        threading.Event().wait(seconds)
        assert asked.get("/api/v1/me", headers=token).status_code == 401


def test_who_signs_out_is_out_at_once_here_and_on_every_other_server(people: People, open_app: Callable):
    people.make()
    elsewhere = open_app(people.settings)[1]()
    with TestClient(create_app(people.settings, remembered_seconds=60)) as here:
        token, kept = (bearer(sign_in(here).json()["token"]) for _ in range(2))
        assert here.get("/api/v1/me", headers=token).status_code == 200
        assert here.delete(SIGN_IN, headers=token).status_code == 204
        assert here.get("/api/v1/me", headers=token).status_code == 401
        assert elsewhere.get("/api/v1/me", headers=token).status_code == 401
        assert here.get("/api/v1/me", headers=kept).status_code == 200, "another session of the same user goes on"


def test_a_key_is_no_session_and_has_no_password(shop: Served, open_app: Callable):
    asked = open_app(shop.settings)[1](shop.key())
    refused = asked.delete(SIGN_IN)
    assert refused.status_code == 409 and "a key is disabled" in refused.json()["detail"]
    refused = asked.post("/api/v1/me/password", json={"old_password": PASSWORD, "new_password": OTHER})
    assert refused.status_code == 409 and refused.json()["type"].endswith("no-password")
    me = asked.get("/api/v1/me").json()
    assert (me["name"], me["role"], me["expires_at"]) == (None, None, None)


def test_one_changes_ones_own_password_and_goes_on_with_a_new_token(people: People, open_app: Callable):
    people.make()
    asked = open_app(people.settings)[1]()
    first, other = (bearer(sign_in(asked).json()["token"]) for _ in range(2))

    def change(old: str, new: str):
        return asked.post("/api/v1/me/password", json={"old_password": old, "new_password": new}, headers=first)

    wrong, weak = change(OTHER, OTHER), change(PASSWORD, "ann ann ann ann")
    assert (wrong.status_code, weak.status_code) == (409, 422)
    assert weak.json()["errors"][0]["where"] == "body.new_password" and "ann ann" not in weak.text
    changed = change(PASSWORD, OTHER)
    assert changed.status_code == 201 and changed.headers["cache-control"] == "no-store"
    assert {asked.get("/api/v1/me", headers=each).status_code for each in (first, other)} == {401}
    assert asked.get("/api/v1/me", headers=bearer(changed.json()["token"])).status_code == 200
    assert (sign_in(asked).status_code, sign_in(asked, "ann", OTHER).status_code) == (401, 201)


def test_a_stolen_token_tries_no_passwords(people: People, open_app: Callable):
    people.make()
    asked = open_app(people.settings)[1]()
    token = bearer(sign_in(asked).json()["token"])
    tries = [
        asked.post("/api/v1/me/password", json={"old_password": OTHER, "new_password": OTHER}, headers=token)
        for _ in range(NAME.free + 2)
    ]
    assert [each.status_code for each in tries] == [409] * (NAME.free + 1) + [429]


def test_what_happens_is_in_the_log_and_no_secret_is(people: People, open_app: Callable, caplog):
    people.make()
    asked = open_app(people.settings)[1]()
    with caplog.at_level(logging.INFO, logger="forecast_platform.api"):
        token = sign_in(asked).json()["token"]
        sign_in(asked, "ann", OTHER)
        sign_in(asked, PASSWORD, "written into the wrong field")
        changed = asked.post(
            "/api/v1/me/password", json={"old_password": PASSWORD, "new_password": OTHER}, headers=bearer(token)
        )
        asked.delete(SIGN_IN, headers=bearer(changed.json()["token"]))
        people.users.disable("ann")
    events = [vars(each) for each in caplog.records if "security" in vars(each)]
    assert [each["security"] for each in events] == [
        *("signed-in", "sign-in-refused", "sign-in-refused", "signed-in", "password-changed", "signed-out"),
        "user-disabled",
    ]
    assert "ann" in events[1]["msg"] % events[1]["args"] and all(each["client"] == "testclient" for each in events[:3])
    said = caplog.text + str([vars(each) for each in caplog.records])
    assert PASSWORD not in said and OTHER not in said and token not in said and token.split(".")[2] not in said


class TestTokens:
    @pytest.fixture
    def sessions(self, state_url: str) -> Sessions:
        self.users = Users(State(state_url))
        self.user = self.users.create("shop", "ann", role=Role.VIEWER, password=PASSWORD)
        return Sessions(State(state_url), lambda: SECRET, minutes=30)

    def test_every_claim_is_needed_and_is_looked_at(self, sessions: Sessions):
        good = sessions.begin(self.user).token
        claims = jwt.decode(good, options={"verify_signature": False})
        assert sessions.principal(good).scopes == Role.VIEWER.scopes
        now = int(datetime.now(UTC).timestamp())
        wrong = [
            *({**claims, name: None} for name in claims),
            *({other: claims[other] for other in claims if other != name} for name in claims),
            claims | {"role": "admin"},
            claims | {"tenant": "market"},
            claims | {"sub": "bob"},
            claims | {"generation": 2},
            claims | {"iss": "another"},
            claims | {"aud": "another"},
            claims | {"exp": now - 60},
            claims | {"exp": 10**30},
            claims | {"exp": "never"},
            claims | {"iat": now + 600},
            claims | {"nbf": now + 600},
        ]
        for each in wrong:
            with pytest.raises(Refused):
                sessions.principal(jwt.PyJWS().encode(json.dumps(each).encode(), SECRET, "HS256"))
        for secret, algorithm in [(SECRET[::-1], "HS256"), (SECRET * 2, "HS512"), (None, "none")]:
            with pytest.raises(Refused):
                sessions.principal(jwt.encode(claims, secret, algorithm))

    def test_a_token_ends_by_itself(self, sessions: Sessions):
        early = sessions.begin(self.user, now=datetime.now(UTC) - timedelta(minutes=29))
        assert sessions.principal(early.token).expires_at == early.expires_at
        late = sessions.begin(self.user, now=datetime.now(UTC) - timedelta(minutes=31))
        with pytest.raises(Refused, match="expired"):
            sessions.principal(late.token)

    def test_what_was_ended_is_kept_until_it_would_have_ended(self, sessions: Sessions, state_url: str):
        now = datetime.now(UTC)
        for number in range(3):
            sessions.end(f"old {number}", now - timedelta(minutes=number))
        for _ in range(2):
            sessions.end("new", now + timedelta(minutes=5))
        with State(state_url).reading() as connection:
            assert set(connection.scalars(sa.select(ended_tokens.c.token_id))) == {"old 0", "new"}


def test_in_development_one_secret_is_made_up_for_all_processes_and_only_its_owner_reads_it(tmp_path: Path):
    environment = {"FORECAST_API_ENVIRONMENT": "development", "FORECAST_STATE": f"sqlite:///{tmp_path}/new/state.db"}
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(signing_secret(load(environment))())) for _ in range(8)
    ]  # fmt: skip
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    (file,) = (tmp_path / "new").iterdir()
    assert set(found) == {file.read_text()} and len(found[0]) == 64 and len(found) == 8
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert signing_secret(load(environment | {"FORECAST_API_SECRET": SECRET}))() == SECRET


def test_in_production_nothing_is_signed_without_a_secret(tmp_path: Path):
    with pytest.raises(SettingsError, match="FORECAST_API_SECRET is not set"):
        create_app(load({"FORECAST_HOME": str(tmp_path)}))


def test_the_tenants_settings_are_told_and_no_secret(shop: Served, open_app: Callable):
    answer = open_app(shop.settings)[1](shop.key()).get("/api/v1/settings")
    told = answer.json()
    assert answer.status_code == 200 and told["tenant"] == shop.tenant
    assert (told["horizon"], told["training_window"], told["timezone"]) == (7, 28, "UTC")
    assert "ensemble" in told["models"] and told["default_model"] == "ensemble"
    assert told["stock"]["service_level"] == 0.95 and told["stock"]["dead_stock_days"] == 20
    assert str(shop.folder) not in answer.text and "url" not in answer.text
