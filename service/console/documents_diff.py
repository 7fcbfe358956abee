"""What changed between two JSON documents, line by line, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from service.console.formatting import percent

SERVER_MANAGED = frozenset({"revision"})
SHARES = frozenset({"share", "explore_share"})
"""Fields that people type and read in percent."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two documents differ."""

    path: str
    kind: Literal["added", "removed", "changed"]
    before: str
    after: str


def diff_documents(before: Any, after: Any) -> list[Difference]:
    """Compare two decoded documents by path, in the order of the first; either may be missing."""
    found: list[Difference] = []
    _compare("", _plain(before), _plain(after), found)
    return found


def _plain(document: Any) -> Any:
    """Write tuples as the lists that they are in JSON."""
    return msgspec.json.decode(msgspec.json.encode(document))


def _compare(path: str, before: Any, after: Any, found: list[Difference]) -> None:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            if path or name not in SERVER_MANAGED:
                inner = f"{path}.{name}" if path else str(name)
                _compare(inner, before.get(name), after.get(name), found)
        return
    if before is None:
        found.append(Difference(path, "added", "", _write(path, after)))
    elif after is None:
        found.append(Difference(path, "removed", _write(path, before), ""))
    else:
        found.append(Difference(path, "changed", _write(path, before), _write(path, after)))


def _write(path: str, value: Any) -> str:
    if path.rpartition(".")[2] in SHARES and isinstance(value, int | float):
        return percent(value, 4)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
