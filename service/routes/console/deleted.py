"""What was deleted lately, with the way back: a list's last card."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime

from service.control.trail import read_page
from service.routes.console.editing import Section
from service.routes.console.frame import ConsoleRequest
from service.services import services_of

MAX_CHANGES = 200
"""The newest changes of a kind, which are looked through."""
MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Deleted:
    """A document that is gone, for the template."""

    name: str
    undo_path: str
    revision: int
    """It as it was right before it was deleted."""
    actor: str
    at: datetime


def deleted_of(request: ConsoleRequest, section: Section, present: Container[str]) -> list[Deleted]:
    """List the documents of a section that went last, the newest first."""
    found: dict[str, Deleted | None] = {}
    store = services_of(request).control_store
    for one in read_page(store, before=None, limit=MAX_CHANGES, kind=section.kind).changes:
        if one.id in found or one.id in present:
            continue
        before = one.before if isinstance(one.before, dict) else {}
        is_gone = one.after is None and bool(before)
        found[one.id] = (
            Deleted(
                name=str(before.get("title") or before.get("name") or one.id),
                undo_path=f"{section.path_of(one.id)}/undo",
                revision=one.revision - 1,
                actor=one.actor,
                at=one.at,
            )
            if is_gone
            else None
        )
    return [one for one in found.values() if one is not None][:MAX_SHOWN]
