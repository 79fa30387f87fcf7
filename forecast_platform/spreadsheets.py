"""Texts in files that people open in a spreadsheet: what begins like a formula must not be run as one."""

from __future__ import annotations

import re

FORMULA = r"^[=+\-@\t\r]"
"""How a text begins that a spreadsheet takes for a formula."""


def no_formula(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would run it."""
    return f"'{text}" if re.match(FORMULA, text) else text
