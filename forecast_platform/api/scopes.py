"""What a credential may allow, and the roles of people. Imported by the command line, which answers at once: nothing
heavy belongs here.
"""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """What a credential allows within its tenant."""

    READ = "read"
    WRITE = "write"
    JOBS = "jobs"
    ADMIN = "admin"


class Role(StrEnum):
    """What a person does, and so may do: a name for scopes that go together."""

    VIEWER = "viewer"
    PLANNER = "planner"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def scopes(self) -> frozenset[Scope]:
        """Each role may do what the one before it may, and one thing more."""
        return frozenset(list(Scope)[: list(Role).index(self) + 1])
