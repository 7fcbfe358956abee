"""Takes the pictures of the README from a running demo: `make pictures`.

It starts `endcap demo` on a home of its own, lets shoppers come until there is something to see,
and photographs the shop and the console in Chromium. Pictures are WebP, small enough for Git.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import rich_click as click
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.console_pages import sign_in

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
MAX_PICTURE_BYTES = 150_000
MAX_ALL_BYTES = 1_000_000
OPENS_WITHIN_S = 180.0
PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36"
QUALITIES = (86, 78, 68, 55, 40)
RECS = '[data-endcap-placement="home_recs"]'


@dataclass(frozen=True)
class Demo:
    """A running demo."""

    url: str
    key: str
    home: Path

    def persona(self) -> str:
        """Return the user id of the first persona."""
        sign = json.loads((self.home / "storefront.json").read_text())
        return str(sign["personas"][0]["user_id"])


@dataclass(frozen=True)
class Shot:
    """One picture: a page, and what is done on it first."""

    name: str
    path: str
    prepare: Callable[[Page, Demo], None] = lambda _page, _demo: None
    width: int = 1440
    height: int = 900
    scheme: Literal["light", "dark"] = "light"


def be_first_persona(page: Page, _demo: Demo) -> None:
    """Become the persona that the menu lists first, who is in the share."""
    page.wait_for_selector(f"{RECS}[data-tier]")
    page.locator("#who summary").click()
    page.locator("#who button").first.click()
    page.wait_for_selector(f"{RECS}[data-tier=personal]")


def click_around(page: Page, demo: Demo) -> None:
    """Look at two things, and come back to the page."""
    be_first_persona(page, demo)
    for number in (0, 2):
        page.locator(f"{RECS} .card").nth(number).click()
        page.wait_for_selector("[data-endcap-placement][data-tier]")
        page.goto("/demo")
        page.wait_for_selector(f"{RECS}[data-tier]")


def try_a_cap(page: Page, demo: Demo) -> None:
    """See what a cap on each category would do to the first persona's slate; nothing is saved."""
    page.get_by_text("Look as…").click()
    page.locator("[name=as_user]").fill(demo.persona())
    page.locator("[name=max_per_category]").fill("2")
    page.locator("[name=max_per_category]").blur()
    page.get_by_text("As it is now").wait_for()
    page.get_by_text("Look as…").click()
    page.evaluate("scrollTo(0, 0)")


def look_up_persona(page: Page, demo: Demo) -> None:
    """Look the first persona up in the console."""
    page.locator("input[name=id]").fill(demo.persona())
    page.locator("input[name=id]").press("Enter")
    page.wait_for_url("**/console/shoppers/user/*")


SHOTS = (
    Shot("shop", "/demo", click_around),
    Shot("shop-dark", "/demo", be_first_persona, scheme="dark"),
    Shot("shop-phone", "/demo", width=390, height=780),
    Shot("overview", "/console"),
    Shot("rollout", "/console/rollouts/home_recs", height=1240),
    Shot("placement", "/console/placements/home_recs", try_a_cap),
    Shot("shopper", "/console/shoppers", look_up_persona),
    Shot("models", "/console/models"),
)


def main() -> None:
    """Read the options and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=150.0, help="how long shoppers come first")
    parser.add_argument("--only", nargs="*", default=[], help="names of pictures; else all")
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    shots = [shot for shot in SHOTS if not options.only or shot.name in options.only]
    options.output.mkdir(parents=True, exist_ok=True)
    with running_demo() as demo, chromium() as browser:
        click.echo(f"the demo is open at {demo.url}; shoppers come for {options.seconds:.0f} s")
        time.sleep(options.seconds / 2)
        widen(demo)
        time.sleep(options.seconds / 2)
        for shot in shots:
            size = take(browser, demo, shot, options.output / f"{shot.name}.webp")
            click.echo(f"{shot.name}.webp  {size / 1000:.0f} KB")
    total = sum(picture.stat().st_size for picture in options.output.glob("*.webp"))
    if total > MAX_ALL_BYTES:
        raise SystemExit(f"all pictures together are {total} bytes, over {MAX_ALL_BYTES}")


@contextmanager
def running_demo() -> Iterator[Demo]:
    """Run `endcap demo` until the pictures are taken; it says what to open."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "demo"
        options = ["--home", str(home), "--port", "0", "--share", "0.2", "--rate", "40"]
        command = [sys.executable, "-m", "endcap", "demo", *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
            try:
                yield read_invitation(run, home)
            finally:
                run.send_signal(signal.SIGINT)
                run.communicate(timeout=60)


def read_invitation(run: subprocess.Popen[str], home: Path) -> Demo:
    """Read what the demo says until both addresses and the key are known."""
    assert run.stdout is not None
    said = ""
    end = time.monotonic() + OPENS_WITHIN_S
    while time.monotonic() < end:
        line = run.stdout.readline()
        said += line
        url = re.search(r"the console +(http\S+)/console", said)
        key = re.search(r"its key +(\S+)", said)
        if url and key:
            return Demo(url[1], key[1], home)
        if not line and run.poll() is not None:
            break
    raise SystemExit(f"the demo did not open: {said}")


def widen(demo: Demo) -> None:
    """Move the share up, so that there are two epochs to look at."""
    headers = {"X-API-Key": demo.key}
    change = {"share": 0.5, "confirm": True}
    url = f"{demo.url}/v1/rollouts/home_recs"
    httpx.patch(url, json=change, headers=headers, timeout=10).raise_for_status()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("chromium is not installed; apt-get install chromium")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


def take(browser: Browser, demo: Demo, shot: Shot, to: Path) -> int:
    """Take one picture in a profile of its own, and return its size in bytes."""
    context = browser.new_context(
        base_url=demo.url,
        user_agent=PERSON,
        viewport={"width": shot.width, "height": shot.height},
        color_scheme=shot.scheme,
        reduced_motion="reduce",
    )
    page = context.new_page()
    if shot.path.startswith("/console"):
        page.goto("/console")
        sign_in(page, demo.key)
        page.wait_for_url("**/console")
    answer = page.goto(shot.path)
    assert answer is not None
    if not answer.ok:
        raise SystemExit(f"{shot.path} was answered {answer.status}")
    shot.prepare(page, demo)
    page.wait_for_timeout(1_200)  # pictures load, times settle
    picture = encode(context, page)
    to.write_bytes(picture)
    context.close()
    return len(picture)


def encode(context: BrowserContext, page: Page) -> bytes:
    """Photograph the window as WebP, as well as it fits into `MAX_PICTURE_BYTES`."""
    session = context.new_cdp_session(page)
    picture = b""
    for quality in QUALITIES:
        options = {"format": "webp", "quality": quality}
        picture = base64.b64decode(session.send("Page.captureScreenshot", options)["data"])
        if len(picture) <= MAX_PICTURE_BYTES:
            return picture
    raise SystemExit(f"a picture is {len(picture)} bytes at the lowest quality")


if __name__ == "__main__":
    main()
