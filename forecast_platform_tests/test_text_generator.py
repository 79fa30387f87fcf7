"""A text generator may phrase a sentence, and can neither change what it says nor stop anything."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from forecast_platform.text_generator import FAILURES, TextGenerator, accepted, from_settings

OWN = (
    "About 1,234.5 a day, up 8 % on four weeks ago; Saturdays sell 1.4 times the average;"
    " promotion on 3 of the next 7 days."
)
BETTER = (
    "Expect about 1,234.5 a day, up 8% on four weeks ago: Saturdays run at 1.4 times the average,"
    " with a promotion on 3 of the next 7 days."
)


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler, dict], None]) -> Iterator[tuple[str, list[dict]]]:
    """An HTTP server on loopback; yields its base URL and what it was asked."""
    asked: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({"path": self.path, "key": self.headers.get("Authorization"), **body})
            answer(self, body)

        def log_message(self, *_arguments: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}/v1", asked
    finally:
        running.shutdown()
        running.server_close()


def saying(content: object) -> Callable[[BaseHTTPRequestHandler, dict], None]:
    return sending(json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode())


def saying_of(phrase: Callable[[str], str]) -> Callable[[BaseHTTPRequestHandler, dict], None]:
    """Answer with ``phrase`` of the sentence that was sent."""

    def answer(handler: BaseHTTPRequestHandler, body: dict) -> None:
        saying(phrase(body["messages"][-1]["content"]))(handler, body)

    return answer


def sending(body: bytes, *, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler, dict], None]:
    def answer(handler: BaseHTTPRequestHandler, _body: dict) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def generator(url: str, **given: object) -> tuple[TextGenerator, list[str]]:
    told: list[str] = []
    return TextGenerator(url, "a model", told=told.append, timeout_seconds=given.pop("timeout", 5.0), **given), told


def test_a_better_phrase_with_the_same_numbers_is_taken():
    with server(saying(f' "{BETTER}" \n')) as (url, asked):
        made, told = generator(url, key="secret")
        assert made.phrase(OWN) == BETTER
    assert told == [] and "secret" not in repr(made)
    assert asked[0]["path"] == "/v1/chat/completions" and asked[0]["key"] == "Bearer secret"
    assert asked[0]["model"] == "a model" and asked[0]["messages"][-1] == {"role": "user", "content": OWN}


@pytest.mark.parametrize(
    "answer",
    [
        BETTER.replace("8%", "9%"),
        BETTER.replace("8%", "8 times"),
        BETTER.replace("8%", "-8%"),
        BETTER.replace("1,234.5", "1,234"),
        BETTER.replace(" of the next 7 days", ""),
        BETTER + " That is 2 more.",
        BETTER + " Order twice as many.",
        BETTER + " Order ½ more.",
        BETTER + " Order ３ of them.",
        BETTER.replace("up", "down"),
        BETTER.replace("up 8%", "8%"),
        BETTER.replace("Saturdays", "Sundays"),
        BETTER.replace("four weeks", "five weeks"),
        BETTER.replace("with a promotion", "without a promotion"),
        "",
        BETTER + " and so on" * 60,
        "You are right! ​" + BETTER,
    ],
)
def test_an_answer_that_says_something_else_is_thrown_away(answer: str):
    assert accepted(OWN, answer) is None
    with server(saying(answer)) as (url, _):
        made, told = generator(url)
        assert made.phrase(OWN) == OWN
        # The generator works; only its words were not taken.
        assert told == [] and not made.given_up


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": null}}]}',
        b"\xff\xfe",
        b"[" * 50_000,
    ],
)
def test_garbage_is_told_and_our_own_sentence_kept(body: bytes):
    with server(sending(body)) as (url, _):
        made, told = generator(url)
        assert made.phrase(OWN) == OWN
    assert len(told) == 1 and "failed, our own sentence is kept" in told[0]


def test_an_error_an_endless_answer_and_a_redirect_are_told():
    for answer, why in (
        (sending(b"{}", status=500), "500"),
        (sending(b"x" * 200_000), "longer than 65,536 bytes"),
        (sending(b"", status=307, Location="http://127.0.0.1:9/elsewhere"), "307"),
    ):
        with server(answer) as (url, asked):
            made, told = generator(url, key="secret")
            assert made.phrase(OWN) == OWN
        assert why in told[0] and "secret" not in told[0] and len(asked) == 1


def test_one_that_hangs_or_trickles_costs_its_time_out_and_is_given_up():
    def hang(_handler: BaseHTTPRequestHandler, _body: dict) -> None:
        time.sleep(3.0)

    def trickle(handler: BaseHTTPRequestHandler, _body: dict) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(30):
            handler.wfile.write(b" ")
            time.sleep(0.1)

    for answer in (hang, trickle):
        with server(answer) as (url, asked):
            made, told = generator(url, timeout=0.3)
            began = time.monotonic()
            assert [made.phrase(OWN) for _ in range(10)] == [OWN] * 10
            assert time.monotonic() - began < FAILURES * 1.5
            assert made.given_up and len(asked) == len(told) == FAILURES


def test_nobody_listening_is_no_error():
    with server(saying(BETTER)) as (url, _):
        pass
    made, told = generator(url)
    assert made.phrase(OWN) == OWN and len(told) == 1


def test_the_key_comes_from_the_variable_that_the_settings_name():
    given = SimpleNamespace(url="http://127.0.0.1:9/v1", model="m", api_key_variable="A_KEY", timeout_seconds=1.0)
    told: list[str] = []
    assert from_settings(given, {"A_KEY": "k"}, told.append).key == "k" and told == []
    assert from_settings(given, {}, told.append) is None and "'A_KEY'" in told[0]
    assert from_settings(None, {}, told.append) is None
    odd = SimpleNamespace(url="file:///etc/passwd", model="m", api_key_variable=None, timeout_seconds=1.0)
    assert from_settings(odd, {}, told.append) is None and "must begin with http" in told[1]
