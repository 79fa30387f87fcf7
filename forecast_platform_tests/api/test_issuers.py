"""Tokens of another issuer: only its own keys open anything, each by its own kind of signature, and keys may change."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from forecast_platform.api.issuers import AGAIN_SECONDS, AWAY_SECONDS, OLD_SECONDS, Issuer, Keys, fetched, keys_in
from forecast_platform.api.principal import Refused
from forecast_platform.api.problems import Problem
from forecast_platform.api.scopes import Role, Scope
from forecast_platform.settings import Settings, SettingsError, load
from forecast_platform_tests.api.conftest import Served

ISSUER, AUDIENCE = "https://login.example/realms/shop", "forecasts"
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY, ED_KEY = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
SIGNING = {"RS256": RSA_KEY, "PS512": RSA_KEY, "ES256": EC_KEY, "EdDSA": ED_KEY}


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(key: Any, **more: str) -> dict[str, Any]:
    kinds = jwt.algorithms.RSAAlgorithm, jwt.algorithms.ECAlgorithm, jwt.algorithms.OKPAlgorithm
    of_key = {rsa.RSAPrivateKey: kinds[0], ec.EllipticCurvePrivateKey: kinds[1]}
    kind = next((each for private, each in of_key.items() if isinstance(key, private)), kinds[2])
    return kind.to_jwk(key.public_key(), as_dict=True) | more


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def claims(**changed: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    told = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "tenant": "shop", "role": "planner", "iat": now}
    told |= {"exp": now + timedelta(minutes=5)} | changed
    return {name: value for name, value in told.items() if value is not None}


def signed(key: Any = RSA_KEY, algorithm: str = "RS256", *, kid: str | None = None, **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm, headers={"kid": kid} if kid else None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "keys.pem").write_bytes(pem(RSA_KEY) + pem(EC_KEY) + pem(ED_KEY))
    return with_issuer(load({"FORECAST_API_ENVIRONMENT": "development"}), tmp_path / "keys.pem")


def with_issuer(settings: Settings, keys: Path, **more: Any) -> Settings:
    return replace(settings, api_jwt_issuer=ISSUER, api_jwt_audience=AUDIENCE, api_jwt_keys=str(keys), **more)


@pytest.mark.parametrize("algorithm", SIGNING)
def test_a_token_of_the_issuer_says_who_and_what(settings: Settings, algorithm: str):
    principal = Issuer(settings).principal(signed(SIGNING[algorithm], algorithm))
    assert (principal.tenant, principal.subject, principal.role) == ("shop", "token ann", Role.PLANNER)
    assert principal.scopes == {Scope.READ, Scope.WRITE} and principal.user is None


WRONG_CLAIMS = {
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "payroll"},
    "no audience": {"aud": None},
    "expired": {"exp": datetime.now(UTC) - timedelta(seconds=60)},
    "no end": {"exp": None},
    "no time that there is": {"exp": 10**30},
    "not yet": {"nbf": datetime.now(UTC) + timedelta(hours=1)},
    "given out later": {"iat": datetime.now(UTC) + timedelta(hours=1)},
    "nobody": {"sub": None},
    "an empty name": {"sub": ""},
    "a name of two lines": {"sub": "ann\nadmin"},
    "a long name": {"sub": "x" * 500},
    "no tenant": {"tenant": None},
    "several tenants": {"tenant": ["shop", "market"]},
    "no name of a tenant": {"tenant": "../shop"},
    "no role": {"role": None},
    "an unknown role": {"role": "root"},
    "scopes of others": {"role": None, "scope": "openid email"},
}


@pytest.mark.parametrize("wrong", WRONG_CLAIMS)
def test_a_claim_that_is_wrong_or_missing_is_refused(settings: Settings, wrong: str):
    with pytest.raises(Refused):
        Issuer(settings).principal(signed(**WRONG_CLAIMS[wrong]))


def forged(header: dict[str, Any], key: bytes | None, **changed: Any) -> str:
    """A token whose header says one thing and whose signature is another, as a library would not make it."""
    said = claims(**changed).items()
    told = {each: int(value.timestamp()) if isinstance(value, datetime) else value for each, value in said}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"typ": "JWT"} | header, told)
    ]
    signature = b"" if key is None else hmac.new(key, b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize(
    "token",
    [
        forged({"alg": "none"}, None),
        forged({"alg": "None"}, None),
        forged({"alg": "HS256"}, pem(RSA_KEY)),
        forged({"alg": "HS256"}, pem(RSA_KEY).strip()),
        forged({"alg": "RS256"}, pem(RSA_KEY)),
        forged({"alg": ["RS256"]}, None),
        forged({"alg": "RS256", "kid": ["a"]}, None),
        signed(OTHER_RSA_KEY),
        signed()[:-8] + "AAAAAAAA",
        "..",
        "a.b.c",
    ],
)
def test_what_its_keys_have_not_signed_is_refused(settings: Settings, token: str):
    with pytest.raises(Refused):
        Issuer(settings).principal(token)


def test_a_key_verifies_only_by_algorithms_of_its_kind_and_name():
    keys = {each.key_id: each.algorithms for each in keys_in(jwks(
        jwk(RSA_KEY, kid="any"), jwk(RSA_KEY, kid="one", alg="RS256"), jwk(EC_KEY, kid="ec"), jwk(ED_KEY, kid="ed"),
        jwk(RSA_KEY, kid="encrypts", use="enc"), jwk(RSA_KEY, kid="confused", alg="HS256"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"},
        jwk(rsa.generate_private_key(65537, 1024), kid="small"),
    ))}  # fmt: skip
    assert set(keys) == {"any", "one", "ec", "ed"}
    assert keys["one"] == {"RS256"} and keys["ec"] == {"ES256"} and keys["ed"] == {"EdDSA"}
    assert "HS256" not in frozenset().union(*keys.values()) and "PS256" in keys["any"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{}", "no public"),
        (b"nothing", "line 1"),
        (jwks({"kty": "oct", "k": "c2VjcmV0"}), "no public"),
        (RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "private key"),
    ],
)
def test_what_is_no_public_key_is_not_taken_for_one(content: bytes, reason: str):
    with pytest.raises(ValueError, match=reason):
        keys_in(content)


@pytest.mark.parametrize(
    ("given", "settings_of_claims", "scopes"),
    [
        ({"role": "admin"}, {}, set(Scope)),
        ({"role": ["viewer", "operator", "other"]}, {}, {Scope.READ, Scope.WRITE, Scope.JOBS}),
        ({"role": "admin", "scope": "openid read"}, {}, {Scope.READ}),
        ({"role": "viewer", "scope": "openid"}, {}, {Scope.READ}),
        ({"role": None, "realm_access": {"roles": ["planner"]}}, {"api_jwt_role_claim": "realm_access.roles"}, None),
        ({"role": None, "https://a.example/role": "planner"}, {"api_jwt_role_claim": "https://a.example/role"}, None),
        ({"role": None, "scp": ["read", "write"]}, {"api_jwt_scope_claim": "scp"}, None),
    ],
)  # fmt: skip
def test_roles_and_scopes_are_found_where_the_settings_say(settings: Settings, given, settings_of_claims, scopes):
    issuer = Issuer(replace(settings, **settings_of_claims))
    assert issuer.principal(signed(**given)).scopes == (scopes or {Scope.READ, Scope.WRITE})


class TestKeys:
    @pytest.fixture
    def place(self) -> dict[str, Any]:
        """What is fetched, how often, and what time it is."""
        return {"content": jwks(jwk(RSA_KEY, kid="a")), "fetched": 0, "now": 1000.0}

    @pytest.fixture
    def keys(self, place: dict[str, Any]) -> Keys:
        def fetch(_: str) -> bytes:
            place["fetched"] += 1
            if isinstance(place["content"], Exception):
                raise place["content"]
            return place["content"]

        return Keys("https://login.example/jwks", fetch=fetch, clock=lambda: place["now"])

    def test_a_new_key_is_found_and_unknown_ones_ask_once_a_minute(self, keys: Keys, place: dict[str, Any]):
        for _ in range(3):
            assert keys.fitting("RS256", "a") and not keys.fitting("RS256", "b")
        assert place["fetched"] == 1
        place["content"] = jwks(jwk(RSA_KEY, kid="a"), jwk(OTHER_RSA_KEY, kid="b"))
        place["now"] += AGAIN_SECONDS
        assert [each.key_id for each in keys.fitting("RS256", "b")] == ["b"] and place["fetched"] == 2

    def test_a_key_that_was_withdrawn_is_good_no_longer_than_an_hour(self, keys: Keys, place: dict[str, Any]):
        assert keys.fitting("RS256", "a")
        place["content"] = jwks(jwk(OTHER_RSA_KEY, kid="b"))
        place["now"] += OLD_SECONDS
        assert not keys.fitting("RS256", "a")

    def test_keys_that_are_away_are_said_to_be_and_kept_where_they_were_there_before(
        self, keys: Keys, place: dict[str, Any]
    ):
        content, place["content"] = place["content"], OSError("away")
        for _ in range(3):
            with pytest.raises(Problem) as away:
                keys.fitting("RS256", "a")
            assert away.value.status_code == 503 and away.value.headers["Retry-After"]
        assert place["fetched"] == 1
        place["content"], place["now"] = content, place["now"] + AWAY_SECONDS
        assert keys.fitting("RS256", "a")
        place["content"], place["now"] = OSError("away"), place["now"] + OLD_SECONDS
        assert keys.fitting("RS256", "a") and place["fetched"] == 3


def certificate(folder: Path) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]),
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(address, False).add_extension(x509.BasicConstraints(True, None), True)
    file = folder / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM) + private)
    return file


@contextmanager
def served(file: Path) -> Iterator[str]:
    """An https server with the issuer's keys at /jwks, and a way elsewhere at /moved."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/jwks" else 302)
            self.send_header("Location", "/jwks")
            self.end_headers()
            if self.path == "/jwks":
                self.wfile.write(jwks(jwk(RSA_KEY, kid="a")))

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_keys_are_fetched_from_a_server_that_is_who_it_says_and_from_no_other(tmp_path: Path, monkeypatch):
    file = certificate(tmp_path)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with served(file) as url:
        with pytest.raises(OSError, match="certificate"):
            fetched(f"{url}/jwks")
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert [each.key_id for each in keys_in(fetched(f"{url}/jwks"))] == ["a"]
        with pytest.raises(OSError, match="302"):
            fetched(f"{url}/moved")


def test_a_token_of_the_issuer_opens_the_api_for_its_tenant_only(shop: Served, open_app: Callable, tmp_path: Path):
    (tmp_path / "keys.pem").write_bytes(pem(RSA_KEY))
    asked = open_app(with_issuer(shop.settings, tmp_path / "keys.pem"))[1]()

    def get(path: str, token: str):
        return asked.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})

    mine = signed(tenant=shop.tenant, role=["viewer"])
    assert get("/forecasts/sku 1", mine).status_code == 200
    me = get("/me", mine).json()
    assert (me["subject"], me["role"], me["name"], me["scopes"]) == ("token ann", "viewer", None, ["read"])
    assert get("/jobs", mine).status_code == 403
    assert get("/forecasts/sku 1", signed(tenant="stranger")).status_code == 403
    signing_out = asked.delete("/api/v1/sessions", headers={"Authorization": f"Bearer {mine}"})
    assert signing_out.status_code == 409
    away = open_app(with_issuer(shop.settings, tmp_path / "nothing.pem"))[1]()
    answer = away.get("/api/v1/me", headers={"Authorization": f"Bearer {mine}"})
    assert answer.status_code == 503 and answer.headers["retry-after"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"ISSUER": ISSUER}, "FORECAST_API_JWT_AUDIENCE, FORECAST_API_JWT_KEYS is not set"),
        ({"ISSUER": "forecast-platform", "AUDIENCE": "x", "KEYS": "k.pem"}, "our own tokens' issuer"),
        ({"ISSUER": ISSUER, "AUDIENCE": "x", "KEYS": "http://login.example/jwks"}, "begins with https://"),
    ],
)
def test_settings_of_an_issuer_that_cannot_work_are_refused(given: dict[str, str], reason: str):
    with pytest.raises(SettingsError, match=reason):
        load({f"FORECAST_API_JWT_{name}": value for name, value in given.items()})
