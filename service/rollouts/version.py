"""Order of versions as Semantic Versioning 2.0.0 has it, lenient in what is left out.

``v4.2`` is ``4.2.0``, a fourth number counts (apps have build numbers), and what follows ``+`` is
ignored. A pre-release comes before its release: ``4.2.0-rc.1 < 4.2.0``.
"""

from __future__ import annotations

import re
from functools import lru_cache

VersionKey = tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]

_VERSION = re.compile(
    r"[vV]?(?P<numbers>\d{1,18}(?:\.\d{1,18}){0,3})"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?",
    re.ASCII,
)
_N_NUMBERS = 4
MAX_VERSION_LENGTH = 64


@lru_cache(maxsize=4096)
def version_key(text: str) -> VersionKey | None:
    """Return a key that sorts as versions do, or nothing if the text is not a version."""
    found = _VERSION.fullmatch(text) if len(text) <= MAX_VERSION_LENGTH else None
    if found is None:
        return None
    numbers = tuple(int(number) for number in found["numbers"].split("."))
    pre = found["pre"]
    return (
        numbers + (0,) * (_N_NUMBERS - len(numbers)),
        pre is None,
        () if pre is None else tuple(_identifier(part) for part in pre.split(".")),
    )


def _identifier(part: str) -> tuple[bool, int, str]:
    return (False, int(part), "") if part.isdigit() else (True, 0, part)
