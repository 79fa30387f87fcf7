"""Signing in: a name and a password become a user, or are refused, slowly and without saying what was wrong."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from fastapi import Request

from forecast_platform.api.attempts import TooManyAttempts, network_of
from forecast_platform.api.passwords import PasswordRefused
from forecast_platform.api.platform import Platform
from forecast_platform.api.problems import Problem
from forecast_platform.api.users import User, normal_name

log = logging.getLogger(__name__)

T = TypeVar("T")


async def signed_in(request: Request, name: str, password: str) -> User:
    """The user whose name and password these are.

    Raises:
        Problem: 401, they are nobody's; 429, there were too many attempts, and this one was not looked at.
    """
    platform: Platform = request.app.state.platform
    address = request.client.host if request.client else "unknown"
    await platform.sign_ins.spend(f"address {network_of(address)}")
    return await slowly(platform, lambda: _looked_at(platform, normal_name(name), password, address))


async def password_changed(request: Request, user: User, password: str) -> User:
    """The user with another password; tokens that were given out before are over.

    Raises:
        Problem: 422, it is too easily guessed.
    """
    platform: Platform = request.app.state.platform
    try:
        return await slowly(platform, lambda: platform.users.set_password(user.name, password))
    except PasswordRefused as error:
        wrong = [{"where": "body.new_password", "message": str(error)}]
        raise Problem(422, "password-refused", str(error), extra={"errors": wrong}) from error


async def slowly(platform: Platform, work: Callable[[], T]) -> T:
    """What ``work`` gives, which makes hashes that are slow on purpose: a few at once, and no other request waits."""
    return await anyio.to_thread.run_sync(work, limiter=platform.hashing)


def _looked_at(platform: Platform, name: str, password: str, address: str) -> User:
    try:
        platform.attempts.begin(name, address)
    except TooManyAttempts as error:
        _refused(platform, name, address, "too many attempts")
        wait = max(1, math.ceil(error.wait.total_seconds()))
        raise Problem(
            429,
            "too-many-attempts",
            "too many attempts to sign in have failed; Retry-After says when the next one is looked at",
            headers={"Retry-After": str(wait)},
        ) from error
    user = platform.users.known(name, password)
    if user is None:
        _refused(platform, name, address, "not this name and password, or disabled")
        raise Problem(
            401,
            "sign-in-refused",
            "there is no user of this name and password who may sign in",
            headers={"WWW-Authenticate": 'Bearer realm="forecast-platform"'},
        )
    platform.attempts.succeeded(name, address)
    extra = {"client": address, "tenant": user.tenant, "security": "signed-in"}
    log.info("%s signed in as %s", user.name, user.role, extra=extra)
    return user


def _refused(platform: Platform, name: str, address: str, reason: str) -> None:
    """Name whom it was tried for, if there is such a user: some write their password where the name goes."""
    named = name if platform.users.exists(name) else "an unknown name"
    extra = {"client": address, "security": "sign-in-refused"}
    log.warning("%s was not signed in: %s", named, reason, extra=extra)
