"""Passwords of people: which are refused, and their Argon2 hashes. Who has one is in ``users``.

The hash is slow on purpose, and takes 19 MiB: callers bound how many are made at once.
"""

from __future__ import annotations

import secrets
import unicodedata
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST, LONGEST = 12, 1024
FEWEST_CHARACTERS = 5
"""Different characters of a password: ``aaaaaaaaaaaa`` and ``abababababab`` are long and no better for it."""

COST = {"time_cost": 2, "memory_cost": 19 * 1024, "parallelism": 1}
"""What OWASP asks for at least (its Password Storage Cheat Sheet): 0.06 s of a processor. The library's own parameters
take 0.33 s, in which a server of two processors answers 500 requests; attempts are few, as failures are slowed."""

SHORTEST_NAME = 3
"""Of a name, or a part of one, that a password must not contain; shorter ones are in every other word."""


class PasswordRefused(ValueError):
    """A password is too easily guessed. The message says why, and does not repeat it."""


def require_good(password: str, *, name: str) -> None:
    """Refuse what is guessed first.

    Args:
        name: whose it is to be: it must not be in it, nor what stands before the ``@`` of an address.

    Raises:
        PasswordRefused: it is short, too long, holds the name, or has few different characters or only a row of them.
    """
    text = _normal(password)
    if len(text) < SHORTEST:
        raise PasswordRefused(f"a password has at least {SHORTEST} characters")
    if len(text) > LONGEST:
        raise PasswordRefused(f"a password has at most {LONGEST} characters")
    own = {name.casefold(), name.casefold().partition("@")[0]}
    if any(len(each) >= SHORTEST_NAME and each in text.casefold() for each in own):
        raise PasswordRefused("a password must not hold the name of its owner")
    if len(set(text)) < FEWEST_CHARACTERS or _is_a_row(text):
        raise PasswordRefused("a password needs more than a few characters again and again, or a row of them")


def generated() -> str:
    """A password of 120 random bits, for a person to use once and change."""
    return secrets.token_urlsafe(15)


def hashed(password: str) -> str:
    """The Argon2 hash, with its salt and parameters in it."""
    return _hasher().hash(_normal(password))


def matches(password: str, kept: str | None) -> bool:
    """Whether ``password`` is the one of a hash. Without a hash it is none, and that takes as long to say."""
    from argon2.exceptions import InvalidHashError, VerificationError

    nobodys = _nobodys()  # here, or the first name that nobody has would take twice as long
    try:
        return _hasher().verify(kept or nobodys, _normal(password)) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(kept: str) -> bool:
    """Whether a hash was made with weaker parameters than are used now."""
    return _hasher().check_needs_rehash(kept)


def _normal(password: str) -> str:
    """One form of what keyboards write in several ways, as an ö of one character or of two."""
    return unicodedata.normalize("NFKC", password)


def _is_a_row(text: str) -> bool:
    """``abcdefghijkl``, ``123456789012``: every character follows the one before (a 0 follows a 9)."""
    return all(ord(after) - ord(before) == 1 or (before, after) == ("9", "0") for before, after in pairwise(text))


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(**COST)


@cache
def _nobodys() -> str:
    return hashed(secrets.token_urlsafe())
