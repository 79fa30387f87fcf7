"""Tokens of another issuer: a company's own sign-in (OpenID Connect), whose keys are read from a file or fetched.

Only signatures of public keys are taken here, each by the kind of its own key: a token that is not signed, or signed
with a public key as if it were a secret, is refused before any key is looked at. Who owns the keys says who somebody
is, of which tenant, and what they may do; nothing of it is kept here.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import orjson
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from forecast_platform.api.principal import Principal, Refused
from forecast_platform.api.problems import unavailable
from forecast_platform.api.scopes import Role, Scope
from forecast_platform.api.tokens import expiry
from forecast_platform.io_managers.warehouse import TENANT_NAME
from forecast_platform.settings import Settings

log = logging.getLogger(__name__)

LEEWAY_SECONDS = 5
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
RSA = tuple(f"{kind}{bits}" for kind in ("RS", "PS") for bits in (256, 384, 512))
LEAST_RSA_BITS = 2048

AGAIN_SECONDS = 60.0
"""How often keys are looked for at most because a token names one that is unknown: anybody can name any."""
AWAY_SECONDS = 5.0
"""The same where no keys could be had yet."""
OLD_SECONDS = 3600.0
"""How old keys may be: one that its owner has withdrawn is good no longer than that."""

FETCH_SECONDS = 5.0
LARGEST = 1_000_000
MOST_KEYS = 50
LONGEST_SUBJECT = 100
PEM = b"-----BEGIN "


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies, and the algorithms that are its own."""

    key: Any
    algorithms: frozenset[str]
    key_id: str | None


class Keys:
    """The public keys of an issuer, fetched when they are needed and kept for a while.

    Args:
        place: a file with PEM or JWKS, or an https URL of JWKS.
        fetch: gives what is at ``place``.
    """

    def __init__(
        self, place: str, *, fetch: Callable[[str], bytes] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._place, self._fetch, self._clock = place, fetch or fetched, clock
        self._keys: tuple[PublicKey, ...] = ()
        self._fetched_at = self._tried_at = float("-inf")
        self._guard = threading.Lock()

    def fitting(self, algorithm: str, key_id: str | None) -> list[PublicKey]:
        """The keys that a token may be signed with.

        Raises:
            Problem: 503, no keys could be had yet.
        """
        found = self._among(algorithm, key_id)
        if found and self._clock() < self._fetched_at + OLD_SECONDS:
            return found
        with self._guard:
            if self._clock() >= self._tried_at + (AGAIN_SECONDS if self._keys else AWAY_SECONDS):
                self._renew()
        if not self._keys:
            raise unavailable("the keys that tokens are verified with are not to be had just now")
        return self._among(algorithm, key_id)

    def _among(self, algorithm: str, key_id: str | None) -> list[PublicKey]:
        fitting = [each for each in self._keys if algorithm in each.algorithms]
        return [each for each in fitting if key_id is None or each.key_id in (None, key_id)]

    def _renew(self) -> None:
        self._tried_at = self._clock()
        try:
            self._keys = tuple(keys_in(self._fetch(self._place)))
            self._fetched_at = self._clock()
        except (OSError, ValueError, http.client.HTTPException) as error:
            log.error("the keys of FORECAST_API_JWT_KEYS are not to be had: %s", error)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: where keys come from is a setting."""

    def redirect_request(self, *_: Any) -> None:
        return None


def fetched(place: str) -> bytes:
    """What a file holds, or an https URL answers.

    Raises:
        OSError: it is not to be had.
        ValueError: it is far too large.
    """
    if not place.startswith("https://"):
        return Path(place).read_bytes()
    encrypted = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    opener = urllib.request.build_opener(encrypted, _Redirects)
    with opener.open(place, timeout=FETCH_SECONDS) as answer:
        content = answer.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"more than {LARGEST:,} bytes")
    return content


def keys_in(content: bytes) -> list[PublicKey]:
    """The keys of a PEM file (public keys, certificates) or of a JWKS that can verify; others in it are left out.

    Raises:
        ValueError: it is neither, or has none.
    """
    found = _of_pem(content) if PEM in content else _of_jwks(content)
    if not found:
        raise ValueError("there is no public RSA, EC or Ed25519 key in it that verifies signatures")
    return found[:MOST_KEYS]


def _of_pem(content: bytes) -> list[PublicKey]:
    found = []
    for part in content.split(PEM)[1:]:
        block = PEM + part
        if b"PRIVATE KEY" in block[:60]:
            raise ValueError("there is a private key in it, which belongs to the issuer alone; give its public key")
        certificate = block.startswith(PEM + b"CERTIFICATE")
        key = x509.load_pem_x509_certificate(block).public_key() if certificate else load_pem_public_key(block)
        found += [PublicKey(key, _algorithms_of(key), None)] if _algorithms_of(key) else []
    return found


def _of_jwks(content: bytes) -> list[PublicKey]:
    told = orjson.loads(content)
    found = []
    for each in told.get("keys", ()) if isinstance(told, dict) else ():
        if not isinstance(each, dict) or each.get("kty") not in ("RSA", "EC", "OKP") or each.get("use", "sig") != "sig":
            continue  # a secret, or for encryption
        try:
            key = jwt.PyJWK(each).key
        except jwt.PyJWTError as error:
            log.warning("a key of FORECAST_API_JWT_KEYS is left out: %s", error)
            continue
        own = _algorithms_of(key)
        named = each.get("alg")
        algorithms = own if named is None else own & {named}
        found += [PublicKey(key, algorithms, each.get("kid"))] if algorithms else []
    return found


def _algorithms_of(key: Any) -> frozenset[str]:
    """The algorithms of a public key; none of a private one, or of a kind or size that is not taken."""
    if isinstance(key, rsa.RSAPublicKey):
        return frozenset(RSA if key.key_size >= LEAST_RSA_BITS else ())
    if isinstance(key, ec.EllipticCurvePublicKey):
        return frozenset({CURVES[key.curve.name]} if key.curve.name in CURVES else ())
    return frozenset({"EdDSA"} if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) else ())


class Issuer:
    """The issuer that the settings name."""

    def __init__(self, settings: Settings, *, keys: Keys | None = None) -> None:
        self.issuer = settings.api_jwt_issuer or ""
        self._audience = settings.api_jwt_audience
        self._keys = keys or Keys(settings.api_jwt_keys or "")
        self._tenant = settings.api_jwt_tenant_claim
        self._role, self._scopes = settings.api_jwt_role_claim, settings.api_jwt_scope_claim

    def principal(self, token: str) -> Principal:
        """Who sends this token.

        Raises:
            Refused: it is not valid, or does not say of which tenant and with which rights.
            Problem: 503, its keys are not to be had.
        """
        claims = self._verified(token)
        subject, tenant = claims["sub"], claim(claims, self._tenant)
        if not subject or len(subject) > LONGEST_SUBJECT or not subject.isprintable():
            raise Refused("a token of the issuer without a subject that can be one")
        if not isinstance(tenant, str) or not TENANT_NAME.fullmatch(tenant):
            raise Refused(f"a token of the issuer whose claim {self._tenant!r} names no tenant")
        roles = [Role(each) for each in _words(claim(claims, self._role)) if each in set(Role)]
        named = {Scope(each) for each in _words(claim(claims, self._scopes)) if each in set(Scope)}
        scopes = frozenset(named) or frozenset(scope for role in roles for scope in role.scopes)
        if not scopes:
            raise Refused(f"a token of the issuer with neither {self._role!r} nor {self._scopes!r} of ours")
        role = max(roles, key=list(Role).index) if roles and not named else None
        expires_at = expiry(claims)
        return Principal(tenant, scopes, f"token {subject}", role=role, expires_at=expires_at)

    def _verified(self, token: str) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise Refused(f"a token of the issuer: {error}") from error
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in {*RSA, *CURVES.values(), "EdDSA"}:
            raise Refused("a token of the issuer whose algorithm is not taken")
        reason = "signed with no key of the issuer"
        for each in self._keys.fitting(algorithm, key_id):
            try:
                return jwt.decode(
                    token,
                    each.key,
                    algorithms=[algorithm],
                    issuer=self.issuer,
                    audience=self._audience,
                    leeway=LEEWAY_SECONDS,
                    options={"require": ["iss", "aud", "sub", "exp"]},
                )
            except jwt.PyJWTError as error:
                reason = str(error)
        raise Refused(f"a token of the issuer: {reason}")


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a path with dots into claims that hold others, as ``realm_access.roles``."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _words(value: Any) -> Sequence[str]:
    """The words of a claim: one text with blanks, or a list of texts."""
    if isinstance(value, str):
        return value.split()
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else ()
