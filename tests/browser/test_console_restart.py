"""The console over a restart of its server."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.console_pages import assert_sound, opened_console
from tests.end_to_end.running_server import reserved_port, run_server

pytestmark = [pytest.mark.browser, pytest.mark.untimed]


def test_open_page_survives_a_restart(chromium: Browser, tmp_path: Path) -> None:
    """It says that the server is gone; when it is back the session holds and the page follows."""
    with reserved_port() as free, run_server(tmp_path, "--port", port := str(free)) as first:
        first.put("/v1/rollouts/r", {"share": 0.1})
        with opened_console(chromium, first) as page:
            page.goto(f"{first.address}/console/rollouts/r")
            first.stop()
            expect(page.get_by_text("The server does not answer")).to_be_visible(timeout=15_000)
            with run_server(tmp_path, "--port", port, keys=first.keys) as second:
                expect(page.get_by_text("The server does not answer")).to_be_hidden(timeout=15_000)
                second.call("PATCH", "/v1/rollouts/r", {"share": 0.2}, scope="admin")
                expect(page.locator("#share-now")).to_contain_text("now 20 %")
                page.get_by_label("Share of the people who are treated", exact=True).fill("30")
                page.get_by_role("button", name="Move the share").click()
                expect(page.locator("#share-now")).to_contain_text("now 30 %")
                assert_sound(page)
