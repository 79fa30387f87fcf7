"""Settings of well-known data sets, ready to be put into a tenant's YAML.

Each file beside this one has a ``source`` section (sales) and, where the data set has them, a ``facts`` section. Only
``url`` has to be changed. They are examples of every setting that ``shapes`` offers; no code reads them by name.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any


def shipped_names() -> tuple[str, ...]:
    """The data sets there are settings for."""
    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def load_shipped(name: str) -> dict[str, Any]:
    """Give the sections of a data set as they stand in its YAML: ``source`` and perhaps ``facts``.

    Raises:
        ValueError: there is none of that name.
    """
    import yaml

    if name not in shipped_names():
        raise ValueError(f"no settings are shipped for {name!r}; there are {', '.join(shipped_names())}")
    return yaml.safe_load((files(__name__) / f"{name}.yaml").read_text("utf-8"))
