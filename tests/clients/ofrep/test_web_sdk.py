"""The npm packages of OpenFeature for the web, in Node, against a running server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.ofrep.flags import VALUES, flag_server
from tests.end_to_end.running_server import RunningServer

FOLDER = Path(__file__).parent
GETTERS = {"boolean": "Boolean", "string": "String", "object": "Object"}


class Page:
    """A page in Node."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, command: str, **options: Any) -> Any:
        """Send a command and return what it came to."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **options}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer
        return answer["ok"]

    def details(self, kind: str, key: str, fallback: Any) -> Any:
        """Evaluate a flag as the page would, with everything that is known of it."""
        return self.do("details", type=kind, key=key, fallback=fallback)


@pytest.fixture(scope="module")
def packages(require_tool: Callable[[str, str], Path], tmp_path_factory: Any) -> Path:
    """Install the pinned packages beside a copy of the page, outside the tree."""
    npm = require_tool("npm", "apt-get install nodejs npm")
    folder = Path(tmp_path_factory.mktemp("page"))
    for name in ("package.json", "client.mjs", "event_source.mjs"):
        shutil.copy(FOLDER / name, folder / name)
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    installed = subprocess.run(
        [npm, "install", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if installed.returncode and not os.environ.get("ENDCAP_CI"):
        pytest.skip("npm cannot install the OpenFeature packages; connect to its registry")
    assert installed.returncode == 0, installed.stderr
    return folder


@pytest.fixture(scope="module")
def server(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Start a server with the flags."""
    with flag_server(tmp_path_factory.mktemp("home")) as running:
        yield running


@contextmanager
def opened(packages: Path, address: str, key: str) -> Iterator[Page]:
    """Open a page that has not started its provider."""
    with subprocess.Popen(
        ["node", "client.mjs", address, key],
        cwd=packages,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Page(process)
        finally:
            process.kill()


@pytest.fixture
def page(packages: Path, server: RunningServer) -> Iterator[Page]:
    """Open a page of the shopper u1 in AE."""
    with opened(packages, server.address, server.keys["publishable"]) as made:
        made.do("start", context={"targetingKey": "u1", "country": "AE"})
        yield made
        made.do("stop")


def test_web_sdk_reads_every_type(page: Page) -> None:
    """Each type arrives as its value with variant, reason and metadata, never the fallback."""
    for key, (_, fallback, value) in VALUES.items():
        details = page.details(GETTERS.get(key, "Number"), key, fallback)
        assert (details["value"], details["reason"]) == (value, "STATIC")
        assert (details["variant"], details["flagMetadata"]["epoch"]) == ("on", 1)


def test_web_sdk_falls_back_where_it_should(page: Page) -> None:
    """The code's default, an unknown flag and a wrong type give the fallback and say why."""
    default = page.details("Boolean", "code_default", True)
    assert (default["value"], default["variant"], default.get("errorCode")) == (
        True,
        "control",
        None,
    )
    unknown = page.details("Boolean", "nope", True)
    assert (unknown["value"], unknown["errorCode"]) == (True, "FLAG_NOT_FOUND")
    mistyped = page.details("Boolean", "string", True)
    assert (mistyped["value"], mistyped["errorCode"]) == (True, "TYPE_MISMATCH")


def test_web_sdk_follows_the_country(page: Page) -> None:
    """The provider keeps its tag when the country changes; the server sees that all the same."""
    here = page.details("String", "country", "")
    assert (here["value"], here["reason"]) == ("here", "TARGETING_MATCH")
    (first,) = [one for one in page.do("requests") if one["status"] == 200][:1]
    page.do("context", context={"targetingKey": "u1", "country": "SA"})
    there = page.details("String", "country", "")
    assert (there["value"], there["reason"]) == ("elsewhere", "STATIC")
    second = page.do("requests")[-1]
    assert (second["etagSent"], second["status"]) == (first["etag"], 200)
    assert second["etag"] != first["etag"]


def test_web_sdk_gets_304_when_nothing_changed(page: Page) -> None:
    """The same context again costs no body."""
    page.do("context", context={"country": "AE", "targetingKey": "u1"})
    assert page.do("requests")[-1]["status"] == 304
    assert page.details("Boolean", "boolean", False)["value"] is True


def test_web_sdk_hears_of_a_kill(page: Page, server: RunningServer) -> None:
    """A kill reaches the page through the stream, without polling, and so does the resumption."""
    assert page.details("Boolean", "killable", False)["value"] is True
    for action, value, reason in (("kill", False, "DISABLED"), ("resume", True, "STATIC")):
        server.call("POST", f"/v1/rollouts/killable/{action}", scope="admin")
        page.do("change", flag="killable")
        details = page.details("Boolean", "killable", not value)
        assert (details["value"], details["reason"]) == (value, reason)
    assert any("flagConfigEtag=" in one["url"] for one in page.do("requests"))


def test_web_sdk_reports_a_wrong_key_and_a_missing_unit(
    packages: Path, server: RunningServer
) -> None:
    """A wrong key is fatal to the provider; a context without a unit is an error of the fetch."""
    with (
        opened(packages, server.address, "wrong") as strange,
        pytest.raises(AssertionError, match="PROVIDER_FATAL"),
    ):
        strange.do("start", context={"targetingKey": "u1"})
    with (
        opened(packages, server.address, server.keys["publishable"]) as nameless,
        pytest.raises(AssertionError, match="status: 400"),
    ):
        nameless.do("start", context={"country": "AE"})
