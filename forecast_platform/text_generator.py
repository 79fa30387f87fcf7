"""A text generator behind an OpenAI-compatible URL that may phrase a sentence better. It never changes what it says.

What belongs here is one HTTP call, and the rules by which an answer is taken or thrown away. Off unless a tenant's
settings name a URL; whatever goes wrong, the sentence that was given stays.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

MOST_BYTES = 65_536
"""An answer longer than this is no sentence; it is not read to its end."""

MOST_TIMES_LONGER = 2.5
"""How much longer than the given sentence an answer may be, with room for 80 characters."""

FAILURES = 2
"""Calls that fail one after the other, after which no more are made: a generator that hangs costs two time-outs, not
one for each series."""

INSTRUCTION = (
    "You rephrase one sentence about a demand forecast for the person who plans purchases. Keep every number exactly as"
    " it is written, with its unit, and every weekday. Add no number, no advice and no fact. Answer with one sentence."
)

NUMBER = re.compile(r"[-−–]?\d+(?:,\d{3})+(?:\.\d+)?|[-−–]?\d+(?:\.\d+)?")
UNIT = re.compile(r"\s*(%|percent|per cent|times|days?)\b|\s*(%)")
UNITS = {"percent": "%", "per cent": "%", "day": "days"}
WEEKDAY = re.compile(r"\b(mon|tues|wednes|thurs|fri|satur|sun)days?\b", re.IGNORECASE)
NUMBER_WORD = re.compile(
    r"\b(zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty"
    r"|seventy|eighty|ninety|hundreds?|thousands?|millions?|dozens?|half|halve[sd]?|thirds?|quarters?|once|twice"
    r"|thrice|doubl\w+|tripl\w+|quadrupl\w+|second|fourth|fifth|sixth|seventh)\b",
    re.IGNORECASE,
)
RISING = re.compile(
    r"\b(up|more|higher|above|ris\w+|rose|increas\w+|grow\w+|grew|gain\w*|climb\w*|over|exceed\w*)\b", re.IGNORECASE
)
FALLING = re.compile(
    r"\b(down|less|lower|below|fall\w*|fell|decreas\w+|declin\w+|drop\w*|shr[iau]nk\w*|fewer|under|reduc\w+)\b",
    re.IGNORECASE,
)
NEGATION = re.compile(r"\b(no|not|never|nothing|none|hardly|without)\b|n't\b", re.IGNORECASE)


def numbers(text: str) -> Counter[tuple[float, str]]:
    """The numbers of a text, each with the unit that follows it, and how often each is there.

    Digits of other scripts, fractions and superscripts count as numbers that no sentence of ours has.
    """
    found: Counter[tuple[float, str]] = Counter()
    for match in NUMBER.finditer(text):
        said = match.group().replace(",", "")
        value = float(said.lstrip("-−–")) * (-1.0 if said[0] in "-−–" else 1.0)
        unit = UNIT.match(text, match.end())
        word = next((part for part in unit.groups() if part), "") if unit else ""
        found[value, UNITS.get(word, word)] += 1
    for character in text:
        if not character.isascii() and character.isnumeric():
            found[float("inf"), character] += 1
    return found


def accepted(given: str, answer: str) -> str | None:
    """``answer`` as one line, if it says what ``given`` says; else ``None``.

    The same numbers with their units, the same number words and weekdays, up or down likewise, and nothing denied that
    was not.
    """
    said = " ".join(answer.split()).strip("\"“”'` ")
    if not said or len(said) > MOST_TIMES_LONGER * len(given) + 80 or not said.isprintable():
        return None
    if numbers(said) != numbers(given):
        return None
    for pattern in (NUMBER_WORD, WEEKDAY):
        if _words(pattern, said) != _words(pattern, given):
            return None
    for pattern in (RISING, FALLING, NEGATION):
        if bool(pattern.search(said)) != bool(pattern.search(given)):
            return None
    return said


def _words(pattern: re.Pattern[str], text: str) -> Counter[str]:
    return Counter(match.group(1).lower() for match in pattern.finditer(text))


class GeneratorFailed(RuntimeError):
    """The generator gave no answer that can be read. The message says why."""


class _NoRedirect(HTTPRedirectHandler):
    """A key is sent to the URL of the settings and nowhere else."""

    def redirect_request(self, *_arguments: object) -> None:
        return None


@dataclass
class TextGenerator:
    """One generator, for the length of a run.

    Attributes:
        url: base URL, to which ``/chat/completions`` is added.
        model: the generator's name for its model.
        key: sent as a bearer token; ``None`` for none. Never logged.
        timeout_seconds: for one whole call.
        told: called with what went wrong, in words.
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 20.0
    told: Callable[[str], None] = lambda message: None
    failures: int = 0

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"text_generator.url is {self.url!r}; it must begin with http:// or https://")

    @property
    def given_up(self) -> bool:
        """Whether too many calls failed, one after the other, for another one to be made."""
        return self.failures >= FAILURES

    def phrase(self, sentence: str) -> str:
        """``sentence`` in better words, or as it is. Raises nothing that the generator could cause."""
        if self.given_up:
            return sentence
        try:
            answer = self.ask(sentence)
        except GeneratorFailed as error:
            self.failures += 1
            self.told(f"the text generator at {_host(self.url)} failed, our own sentence is kept: {error}")
            return sentence
        self.failures = 0
        return accepted(sentence, answer) or sentence

    def ask(self, sentence: str) -> str:
        """What the generator makes of ``sentence``, whatever that is.

        Raises:
            GeneratorFailed: no answer in time, an error, or nothing that can be read.
        """
        asked = {
            "model": self.model,
            "temperature": 0,
            "messages": [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": sentence}],
        }
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        request = Request(self.url.rstrip("/") + "/chat/completions", json.dumps(asked).encode(), headers)
        try:
            content = json.loads(self._read(request))["choices"][0]["message"]["content"]
        except (URLError, HTTPException, OSError) as error:
            raise GeneratorFailed(f"{type(error).__name__}: {error}") from error
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise GeneratorFailed("its answer is no chat completion") from error
        if not isinstance(content, str):
            raise GeneratorFailed("its answer is no text")
        return content

    def _read(self, request: Request) -> bytes:
        """The body of the answer. The time-out of a socket starts anew with every byte; the deadline does not."""
        deadline = time.monotonic() + self.timeout_seconds
        body = b""
        with _opener(self.url).open(request, timeout=self.timeout_seconds) as response:
            while part := response.read1(4096):
                body += part
                if len(body) > MOST_BYTES:
                    raise GeneratorFailed(f"its answer is longer than {MOST_BYTES:,} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no whole answer within {self.timeout_seconds:g} seconds")
        return body


def _opener(url: str) -> OpenerDirector:
    """No redirects; no proxy for a generator on this machine."""
    local = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    return build_opener(_NoRedirect, *([ProxyHandler({})] if local else []))


def _host(url: str) -> str:
    """The URL without whatever else it may hold."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def from_settings(given: object, variables: Mapping[str, str], told: Callable[[str], None]) -> TextGenerator | None:
    """The generator that a tenant's settings (``tenant.TextGenerator``) name; ``None`` where there is none to be had.

    A key that is not set or a URL that cannot work is told and costs the better words only.
    """
    if given is None:
        return None
    key = None if given.api_key_variable is None else variables.get(given.api_key_variable)
    if given.api_key_variable is not None and not key:
        told(f"the variable {given.api_key_variable!r} of the text generator's key is not set: our sentences are kept")
        return None
    try:
        return TextGenerator(given.url, given.model, key=key, timeout_seconds=given.timeout_seconds, told=told)
    except ValueError as error:
        told(f"{error}: our sentences are kept")
        return None
