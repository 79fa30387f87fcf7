"""A headless Chromium over its DevTools protocol: opens a page at a width, says what it complained of, measures it."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60.0
"""Seconds to wait for it: on a busy machine it takes more than 10 to start."""


def executable() -> str:
    """Chromium's path; a test that needs one fails where there is none, it is not skipped."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "there is no Chromium: apt-get install chromium, or leave browser tests out with -m 'not browser'"
    return found


ABORTED = "net::ERR_ABORTED"
"""What becomes of a request that its own page gave up."""

KEY_CODES = {
    **{"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36},
    **{"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40},
}
WRITING_KEYS = {"Enter": "\r", " ": " "}


class Page:
    """One open page. ``complaints`` are the console's errors and warnings, exceptions and failed loads, in words."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        self.requested: list[str] = []
        self._loaded = False
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = self._next(PATIENCE)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def _next(self, timeout: float) -> dict[str, Any]:
        message = json.loads(self._socket.recv(timeout=timeout))
        told = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Runtime.exceptionThrown":
                self.complaints.append(told["exceptionDetails"]["text"])
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(told["args"]))
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.complaints.append(told["entry"]["text"])
            case "Network.loadingFailed" if told["errorText"] != ABORTED:
                self.complaints.append(told["errorText"])
            case "Network.requestWillBeSent":
                self.requested.append(told["request"]["url"])
        return message

    def open(self, url: str, *, width: int, height: int = 900) -> None:
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self._loaded = False
        self.call("Page.navigate", url=url)
        until = time.monotonic() + PATIENCE
        while not self._loaded and time.monotonic() < until:
            self._next(PATIENCE)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression; of a promise what it comes to."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """The value of an expression as soon as it is true of one; of an element ``True``."""
        until = time.monotonic() + PATIENCE
        told = f"(found => found instanceof Node || found)({expression})"
        while not (found := self.evaluate(told)):
            assert time.monotonic() < until, (expression, self.evaluate("document.body.innerText"))
            time.sleep(0.05)
        return found

    def press(self, *keys: str) -> None:
        """Press keys one after the other, by their names or what they write; ``Shift+Tab`` holds one down."""
        for key in keys:
            shift, name = key.startswith("Shift+"), key.removeprefix("Shift+")
            text = WRITING_KEYS.get(name, name if len(name) == 1 else "")
            told = {"key": name, "code": name, "windowsVirtualKeyCode": KEY_CODES.get(name, 0), "modifiers": 8 * shift}
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **told)
            self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    def write(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.call("Input.insertText", text=text)

    def tab_to(self, selector: str, *, most: int = 120) -> None:
        """Go on with Tab until the focus is on what a CSS selector names."""
        for _ in range(most):
            self.press("Tab")
            if self.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
                return
        raise AssertionError(f"Tab does not lead to {selector}")

    def screenshot(self, path: Path) -> None:
        """The whole page, not only what is in the window."""
        image = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(image))


@contextmanager
def browser() -> Iterator[Page]:
    """A page of a Chromium with a profile of its own, which is ended with it."""
    from websockets.sync.client import connect

    profile = Path(tempfile.mkdtemp(prefix="chromium-"))
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
    process = subprocess.Popen(
        [executable(), *options, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with connect(_page_url(profile, process), max_size=None, proxy=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)
        shutil.rmtree(profile, ignore_errors=True)


def _page_url(profile: Path, process: subprocess.Popen) -> str:
    from urllib.request import ProxyHandler, build_opener

    port_file, until = profile / "DevToolsActivePort", time.monotonic() + PATIENCE
    while not (port_file.exists() and len(port_file.read_text().splitlines()) == 2):
        assert process.poll() is None and time.monotonic() < until, "Chromium did not start"
        time.sleep(0.1)
    port = port_file.read_text().splitlines()[0]
    with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as answer:
        return next(each["webSocketDebuggerUrl"] for each in json.load(answer) if each["type"] == "page")
