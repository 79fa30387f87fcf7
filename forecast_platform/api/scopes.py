"""What a credential may allow. Imported by the command line, which answers at once: nothing heavy belongs here."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """What a credential allows within its tenant."""

    READ = "read"
    WRITE = "write"
    JOBS = "jobs"
    ADMIN = "admin"
