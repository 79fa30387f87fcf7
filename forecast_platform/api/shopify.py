"""Whose webhook it is: the shop that a signature proves.

There is no other credential: a body that a tenant's secret has signed comes from its shop, and reaches this tenant and
no other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from forecast_platform.settings import SettingsError
from forecast_platform.sources.base import SourceError, resolve_url
from forecast_platform.sources.shopify import Shopify

log = logging.getLogger(__name__)

SHORTEST_SECRET = 16


@dataclass(frozen=True)
class Shop:
    """A shop that a tenant's settings name, with what it signs with."""

    tenant: str
    settings: Shopify
    secrets: tuple[bytes, ...]


class Shops:
    """The shops of all tenants, by their domain.

    Args:
        settings: of each tenant that has a shop.
        variables: the environment.
    """

    def __init__(self, settings: Mapping[str, Shopify], variables: Mapping[str, str]) -> None:
        found = [Shop(name, each, _secrets(name, each, variables)) for name, each in settings.items()]
        domains = Counter(shop.settings.shop for shop in found)
        shared = Counter(secret for shop in found for secret in set(shop.secrets))
        self._shops: dict[str, Shop] = {}
        for shop in found:
            if domains[shop.settings.shop] > 1:
                log.error("tenant %s: its Shopify shop is another tenant's too; neither is served", shop.tenant)
            elif any(shared[secret] > 1 for secret in shop.secrets):
                log.error(
                    "tenant %s: its Shopify secret is another tenant's too, so that a signature does not tell them"
                    " apart; neither is served: give each an app of its own",
                    shop.tenant,
                )
            elif shop.secrets:
                self._shops[shop.settings.shop] = shop
        self._nobody = (secrets.token_bytes(32),)

    def signed_by(self, domain: str | None, signature: str | None, body: bytes) -> Shop | None:
        """The shop of a domain, if the signature of ``body`` is its own; the same time is spent where there is none."""
        shop = self._shops.get((domain or "").strip().lower())
        given = (signature or "").strip().encode("utf-8", "replace")
        valid = False
        for secret in shop.secrets if shop is not None else self._nobody:
            expected = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest())
            valid |= hmac.compare_digest(expected, given)
        return shop if valid else None


def _secrets(tenant: str, shop: Shopify, variables: Mapping[str, str]) -> tuple[bytes, ...]:
    """What a shop signs with; nothing where one is not set, or can be guessed."""
    try:
        texts = [resolve_url(each, variables) for each in shop.secrets]
        if any(len(text) < SHORTEST_SECRET for text in texts):
            raise SettingsError(f"a secret has fewer than {SHORTEST_SECRET} characters")
    except (SourceError, SettingsError) as error:
        log.error("tenant %s: webhooks of its Shopify shop are refused: %s", tenant, error)
        return ()
    return tuple(text.encode() for text in texts)
