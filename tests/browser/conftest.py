"""Chromium, a server whose placements the pages ask for, and one with a shop for the console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.console_shop import copy_home, furnish, train_home, visit
from tests.end_to_end.running_server import RunningServer, run_server
from training.simulation.files import WorldFiles

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium(require_tool: Callable[[str, str], Path]) -> Iterator[Browser]:
    """Start Debian's Chromium.

    Ended with the module: while Playwright lives, its event loop keeps other tests from theirs.
    """
    path = require_tool("chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the home of the module's server."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[RunningServer]:
    """Start a server with a hero of one banner and a list low on the page."""
    with run_server(home, "--cors-origins", "*") as running:
        banner = {"title": "Sale", "image_url": "/sale.jpg", "link_url": "#sale"}
        running.put("/v1/banners/sale", banner)
        static = {"kind": "banners", "recipe": "static", "static_ids": ["sale"]}
        running.put("/v1/placements/hero", static)
        running.put("/v1/placements/low", {"kind": "items", "static_ids": ["mug"]})
        yield running


@pytest.fixture(scope="session")
def trained_home(small_world_files: WorldFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small model once for all modules."""
    home = tmp_path_factory.mktemp("trained")
    train_home(small_world_files, home)
    return home


@pytest.fixture(scope="session")
def shop(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Start a server with a model, keys of every scope, a rollout, and traffic on it.

    One for all modules: a test makes the documents it changes itself.
    """
    home = tmp_path_factory.mktemp("shop")
    copy_home(trained_home, home)
    with run_server(home, "--workers", "2") as running:
        furnish(running)
        visit(running)
        yield running
