"""The npm packages of Segment and RudderStack, unchanged, against a running server."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.stores.event_schema import KIND_NAMES
from tests.end_to_end.running_server import RunningServer, run_server

pytestmark = pytest.mark.untimed

FOLDER = Path(__file__).parent
ORDER = [("purchase", "cup", 1.0, 3.0, "1001"), ("purchase", "mug", 2.0, 6.5, "1001")]
ADDED = ("add_to_cart", "mug", 2.0, 6.5, None)
VIEWED = ("view", "mug", None, None, None)
CLICKED = ("click", "mug", None, None, None)


@pytest.fixture(scope="module")
def packages(require_tool: Callable[[str, str], Path], tmp_path_factory: Any) -> Path:
    """Install the pinned packages beside a copy of the script, outside the tree."""
    npm = require_tool("npm", "apt-get install nodejs npm")
    folder = Path(tmp_path_factory.mktemp("clients"))
    for name in ("package.json", "phone.cjs", "send.mjs"):
        shutil.copy(FOLDER / name, folder / name)
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    # React Native itself, which one of them wants beside it, is large, and played by phone.cjs.
    options.append("--legacy-peer-deps")
    installed = subprocess.run(
        [npm, "install", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert installed.returncode == 0, installed.stderr
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a home of its own for each test."""
    return tmp_path


@pytest.fixture
def server(packages: Path, home: Path) -> Iterator[RunningServer]:
    """Start a server that pages of any origin may call."""
    with run_server(home, "--cors-origins", "*") as running:
        yield running


def send(packages: Path, server: RunningServer, library: str) -> None:
    """Let a library send its visit."""
    sent = subprocess.run(
        ["node", "send.mjs", library, server.address, server.keys["publishable"]],
        cwd=packages,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (sent.returncode, sent.stderr) == (0, ""), sent.stdout + sent.stderr


def stored(home: Path) -> list[tuple[Any, ...]]:
    """Return the kind, item, quantity, price and order of every event, sorted."""
    with sqlite3.connect(home / "events.sqlite") as connection:
        rows = connection.execute("SELECT kind, item_id, quantity, price, order_id FROM events")
        return sorted(((KIND_NAMES[kind], *rest) for kind, *rest in rows), key=str)


@pytest.mark.parametrize(
    ("library", "first"),
    [("rudder-node", ADDED), ("segment-node", VIEWED)],
)
def test_node_library_is_understood(
    packages: Path, server: RunningServer, home: Path, library: str, first: tuple[Any, ...]
) -> None:
    """A visit and an order arrive; the same visit sent again stores nothing twice."""
    expected = sorted([first, *ORDER], key=str)
    for _ in range(2):
        send(packages, server, library)
        assert stored(home) == expected
    with sqlite3.connect(home / "events.sqlite") as connection:
        found = Counter(dict(connection.execute("SELECT name, value FROM counters")))
    assert (found["received"], found["accepted"], found["duplicate"]) == (6, 3, 3)


@pytest.mark.parametrize(
    "library", ["rudder-browser", "rudder-beacon", "segment-browser", "segment-phone"]
)
def test_library_on_a_device_is_understood(
    packages: Path, server: RunningServer, home: Path, library: str
) -> None:
    """It fetches its configuration here, and sends one call a request, or several at once."""
    send(packages, server, library)
    assert stored(home) == sorted([CLICKED, *ORDER], key=str)
