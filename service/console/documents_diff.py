"""What changed between two JSON documents, line by line, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

SERVER_MANAGED = frozenset({"revision"})


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
    _compare("", before, after, found)
    return found


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
        found.append(Difference(path, "added", "", _write(after)))
    elif after is None:
        found.append(Difference(path, "removed", _write(before), ""))
    else:
        found.append(Difference(path, "changed", _write(before), _write(after)))


def _write(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
