"""Tells crawlers from people by what they call themselves."""

from __future__ import annotations

import re
from functools import lru_cache

_ROBOT = re.compile(
    # A word that ends in "bot" is one, but for a maker of telephones named Cubot.
    r"(?<!cu)bot(?![a-z0-9])|crawl|spider|slurp|headless|lighthouse|phantomjs|prerender|"
    r"pingdom|uptime|monitor|facebookexternalhit|bingpreview|mediapartners|google-inspectiontool|"
    r"ia_archiver|archive\.org|validator|scraper|selenium|playwright|puppeteer|"
    # What draws a preview of a link, reads a feed or audits a site, without calling itself a bot.
    r"uripreview|google web preview|googleother|feedfetcher|meta-external(?:agent|fetcher)|"
    # People open links inside WhatsApp, too, in what calls itself Mozilla as every browser does.
    r"ahrefssiteaudit|^whatsapp/(?!.*mozilla)",
    re.IGNORECASE,
)


_LONGEST = 1_024
"""Characters that are looked at and remembered; a head may have 60,000, of whoever sends one."""


def is_robot(user_agent: str) -> bool:
    """Say whether a user agent names a crawler, a monitor or a browser without a person.

    A library for HTTP is not one: it is how a shop's server sends what its shoppers did.
    """
    return _is_robot(user_agent[:_LONGEST])


@lru_cache(maxsize=4096)
def _is_robot(user_agent: str) -> bool:
    return _ROBOT.search(user_agent) is not None
