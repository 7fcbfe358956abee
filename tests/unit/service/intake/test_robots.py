"""Crawlers are told from people, and flagged."""

import pytest

from models.events import View
from models.pseudonym import Pseudonymiser
from service.intake import robots
from service.intake.identify import store_form
from service.intake.robots import is_robot
from service.stores.event_schema import EventFlag

NOW_MS = 1_800_000_000_000
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0)",
        "facebookexternalhit/1.1",
        "Mozilla/5.0 (compatible; Yahoo! Slurp)",
        CHROME.replace("Chrome", "HeadlessChrome"),
        "AhrefsBot/7.0",
        "AhrefsSiteAudit/6.1",
        "WhatsApp/2.23.18.78 i",
        "WhatsApp/2.16.42 A",
        "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
        CHROME.replace("AppleWebKit/537.36", "AppleWebKit/537.36 (like Gecko; Google Web Preview)"),
        "GoogleOther",
        f"{CHROME} (compatible; GoogleOther)",
        "GoogleOther-Image/1.0",
        "FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)",
        "meta-externalfetcher/1.1",
        "meta-externalagent/1.1",
    ],
)
def test_crawler_is_a_robot(user_agent: str) -> None:
    """By the name it gives itself."""
    assert is_robot(user_agent)


@pytest.mark.parametrize(
    "user_agent",
    [
        "",
        CHROME,
        "Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 20) AppleWebKit/537.36",
        f"{CHROME} WhatsApp/2.24.3.78",
        f"WhatsApp/2.2037.6 {CHROME}",
        "python-httpx/0.28",
        "analytics-node-next/latest",
    ],
)
def test_person_and_server_are_none(user_agent: str) -> None:
    """Neither a telephone named Cubot, a link opened inside WhatsApp, nor the shop's own server."""
    assert not is_robot(user_agent)


def test_only_the_beginning_of_a_long_name_is_remembered() -> None:
    """Whoever sends other ones of 60,000 characters fills no memory."""
    robots._is_robot.cache_clear()
    for number in range(3):
        assert is_robot(f"{'x' * 1_000} bot/1.0 {'y' * 60_000}{number}")
        assert not is_robot(f"{CHROME} {'y' * 60_000}{number} bot/1.0")
    assert robots._is_robot.cache_info().currsize == 2


@pytest.mark.parametrize(
    ("fields", "sender", "flags"),
    [
        ({}, CHROME, 0),
        ({}, "Googlebot", EventFlag.BOT),
        ({"user_agent": CHROME}, "Googlebot", 0),
        ({"user_agent": "Googlebot"}, "httpx", EventFlag.BOT),
        ({"preview": True}, CHROME, EventFlag.PREVIEW),
    ],
)
def test_event_is_flagged(fields: dict[str, object], sender: str, flags: int) -> None:
    """By its own browser, else by its sender's; a preview says so itself."""
    event = View(event_id="e", item_id="p", timestamp=NOW_MS, **fields)  # type: ignore[arg-type]  # one dict for every field
    stored = store_form(
        event, pseudonymiser=Pseudonymiser(b"k" * 32), received_ms=NOW_MS, user_agent=sender
    )
    assert stored.flags == flags
