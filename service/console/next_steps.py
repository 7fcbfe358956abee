"""The next step of a refusal, as people at the console take it.

Messages are written for callers of the API and name its calls; at the console there are pages.
"""

from __future__ import annotations

import re

_PLACES = {
    "placements": "Placements",
    "banners": "Banners",
    "rules": "Rules",
    "rollouts": "Rollouts",
    "layers": "Layers and holdout",
}
_END = r"(?=;|, or |$)"
"""Where a step ends: ids hold neither."""


def _make_it(found: re.Match[str]) -> str:
    return f"make it under {_PLACES[found[1]]}"


_STEPS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), step)
    for pattern, step in (
        (r"see GET /v1/rollouts/.*?/proposals$", "its page shows what waits"),
        (r"list the banners with GET /v1/banners$", "look under Banners for those there are"),
        (r"look for it with GET /v1/catalogue\?search=\.\.\.", "look for it under Catalogue"),
        (
            r"upload it with PUT /v1/segments/.*?/members, or make it by a rule with PUT "
            r"/v1/segments/.*$",
            "ask whoever connects the shop to upload it, or name another",
        ),
        (r"upload it with POST /v1/pictures$", "upload it on the form of the banner"),
        (
            r"or is a path: upload the picture with POST /v1/pictures and write the path in the "
            r"answer$",
            "or /, or choose a file to upload",
        ),
        (r'propose it with PATCH \{"killed": false\}$', "press Resume again, which proposes it"),
        (
            r'propose PATCH \{"approval": false\} first$',
            "take “Changes want a second pair of eyes” off under Edit first, which another key "
            "approves",
        ),
        (
            r"its history lists the revisions, and DELETE removes it$",
            "choose a later change of its history, or delete it",
        ),
        (
            r"see who with POST /v1/rollouts/.*/preview-change, then send \"confirm\": true$",
            "move the share on its page, which shows whom and asks once more",
        ),
        (
            r'send "new_phase": true to open phase \d+, or make another rollout$',
            "set the share to 0 first, or make another rollout",
        ),
        (r"GET /v1/layers/.*/slots says what is free$", "Layers and holdout shows what is free"),
        (
            r"look at its current state, then send the change again with that revision$",
            "look at it as it is now, then change it again",
        ),
        (
            r"send the shop's own id in the body of POST /v1/shoppers/look-up$",
            "type the shop's own id under Shoppers",
        ),
        (r"percent-encode UTF-8( bytes)?$", "take the links of the pages"),
        (r"see the paths in /schema$", "begin from the menu"),
        (
            r"^[A-Z]+ is not a method of (.*); see /schema$",
            r"\1 is where a form is sent to and no page; begin from the menu",
        ),
        (r"see /schema$", "take the links and buttons of the pages"),
        (
            r"see 'endcap models list' and choose one with 'endcap models promote VERSION'$",
            "choose one in the list and promote it",
        ),
        # The folder is the operator's business.
        (r"^(model version \S+ does not exist) in .*(?=; (known|none) )", r"\1"),
        (r"see 'endcap models list'$", "look under Models for those there are"),
        (r"go back with 'endcap models rollback' or train again$", "roll back or train again"),
    )
)
_MAKE = re.compile(rf"add it with PUT /v1/({'|'.join(_PLACES)})/.*?{_END}")


def for_the_console(message: str) -> str:
    """Write what is wrong with steps that the console has; what names no call stays as it is."""
    message = _MAKE.sub(_make_it, message)
    for pattern, step in _STEPS:
        message = pattern.sub(step, message)
    return message
