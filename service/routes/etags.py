"""Whether a client has what would be sent to it."""

from __future__ import annotations


def has_already(if_none_match: str | None, etag: str) -> bool:
    """Say whether one of the tags that a client sent is that of the answer.

    Tags are compared weakly: a proxy that packs answers, as nginx does, marks ours as weak.
    """
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags
