"""The list of model versions, for a terminal and for a program."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.artifact import ArtifactStore
from models.terminal import print_table
from training.gate import METRIC


class VersionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One version in the list."""

    version: str
    is_live: bool
    created_at_ms: int
    parent: str | None
    verdict: str
    reason: str
    users: int
    items: int
    metrics: dict[str, float]
    """Of the hybrid."""


class VersionList(msgspec.Struct, frozen=True, kw_only=True):
    """All versions, the newest first."""

    live: str | None
    versions: list[VersionLine]


def list_of_versions(store: ArtifactStore) -> VersionList:
    """Read every manifest of a store."""
    live = store.live_version()
    lines = [
        VersionLine(
            version=manifest.version,
            is_live=manifest.version == live,
            created_at_ms=manifest.created_at_ms,
            parent=manifest.parent,
            verdict=manifest.gate.verdict,
            reason=manifest.gate.reason,
            users=manifest.counts.get("users", 0),
            items=manifest.counts.get("items", 0),
            metrics=manifest.metrics.get("hybrid", {}),
        )
        for manifest in store.versions()
    ]
    return VersionList(live=live, versions=lines)


def print_versions(listed: VersionList, console: Console) -> None:
    """Print the list, and below it what the gate said: in a pipe a line a version."""
    table = Table()
    for name in ("version", "made (UTC)", "users", "items", METRIC, "gate"):
        # On a terminal of 80 columns the time goes below the date.
        table.add_column(name, no_wrap=name != "made (UTC)")
    for line in listed.versions:
        made = datetime.fromtimestamp(line.created_at_ms / 1000, UTC)
        table.add_row(
            f"{line.version} live" if line.is_live else line.version,
            f"{made:%Y-%m-%d %H:%M}",
            str(line.users),
            str(line.items),
            f"{line.metrics.get(METRIC, 0.0):.4f}",
            line.verdict,
        )
    print_table(table, console)
    for line in listed.versions:
        reason = Text(f"{line.version} {line.verdict}: {line.reason}")
        console.print(reason, soft_wrap=not console.is_terminal)
