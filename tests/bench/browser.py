"""Headless Chromium by WebDriver's protocol: JSON over HTTP, with the standard library alone."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars"),
)
_START_S = 30.0


class Browser:
    """One page of one browser."""

    def __init__(self, address: str) -> None:
        self._session = address

    def open(self, path: Path, *, width: int, dark: bool) -> None:
        """Load a file in a viewport of some width, in one of the two colour schemes."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", {"features": [scheme]})
        call(f"{self._session}/url", {"url": path.resolve().as_uri()})

    def run(self, script: str) -> Any:
        """Return what a script returns."""
        return call(f"{self._session}/execute/sync", {"script": script, "args": []})

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        """Send a command of the DevTools protocol."""
        body = {"cmd": command, "params": parameters}
        return call(f"{self._session}/goog/cdp/execute", body)

    def console(self) -> list[str]:
        """Return what the page has written to the console since the last call."""
        return [entry["message"] for entry in call(f"{self._session}/se/log", {"type": "browser"})]

    def picture(self, path: Path) -> None:
        """Write a picture of the whole page."""
        taken = self.devtools("Page.captureScreenshot", {"captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(taken["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile, and end it."""
    driver = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        address = f"http://127.0.0.1:{_port(driver)}"
        options = {"args": [*_FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = call(f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})
        found = f"{address}/session/{session['sessionId']}"
        try:
            yield Browser(found)
        finally:
            call(found, method="DELETE")
    finally:
        driver.terminate()
        driver.communicate()


def _port(driver: subprocess.Popen[str]) -> int:
    assert driver.stdout is not None
    until = time.monotonic() + _START_S
    for line in driver.stdout:
        if "started successfully on port" in line:
            return int(line.rsplit(" ", 1)[1].rstrip(".\n"))
        if time.monotonic() > until:
            break
    raise RuntimeError("chromedriver did not start")


def call(address: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
    """Send one request of the protocol; an error of the browser's is raised with its words."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read().decode()) from error
