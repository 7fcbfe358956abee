"""What the forms of documents share: saving on a known state, what differs, history, undo."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from service.console.documents_diff import Difference, diff_documents
from service.console.form import Form, FormError
from service.control.documents import Document, DocumentKind
from service.control.page_ids import PAGE_WORDS, fault_of_id
from service.control.plane import ControlPlane
from service.control.precondition import Precondition, RevisionError
from service.control.trail import AuditRecord, read_page
from service.control.writing import Change
from service.middleware.access import principal_of
from service.routes.console.frame import ConsoleRequest, Page, page
from service.routes.documents import check_path_id
from service.services import services_of

MAX_CHANGES = 30
_MAX_ID = 64


@dataclass(frozen=True, slots=True)
class Section:
    """Where the documents of a kind are in the console."""

    kind: DocumentKind
    title: str
    path: str

    def path_of(self, document_id: str) -> str:
        """Return the page of a document."""
        return f"{self.path}/{quote(document_id, safe='')}"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One change, for the template."""

    revision: int
    at: Any
    actor: str
    note: str | None
    before: Any
    after: Any
    differences: list[Difference]


def save_document(
    request: ConsoleRequest, section: Section, document_id: str, document: Document, form: Form
) -> Document:
    """Write what a form holds, if the document is still as it was when the form was opened.

    Raises
    ------
    RevisionError
        If it is not; the form of a new document is told with `FormError` that the id is taken.
    """
    revision = form.text("revision")
    known = frozenset({int(revision)}) if revision.isdigit() and revision != "0" else None
    expected = Precondition(known, must_exist=known is not None, must_be_new=known is None)
    try:
        changed = _plane(request).put(_change(request, section, document_id, expected), document)
    except RevisionError as error:
        if known is None:
            raise FormError("id", f"{document_id!r} is taken; choose another id") from error
        raise
    return changed.document


def seen_revision(stored: Document | None, form: Form | None) -> str:
    """Return the revision that a form was opened with, also where it is shown again.

    With that of now, saving it would take back in silence what somebody else has saved meanwhile.
    """
    if form is not None:
        return form.text("revision")
    return "" if stored is None else str(stored.revision)


def delete_document(request: ConsoleRequest, section: Section, document_id: str) -> None:
    """Delete, whatever its state."""
    _plane(request).delete(_change(request, section, document_id))


def undo_document(
    request: ConsoleRequest, section: Section, document_id: str, form: Form
) -> Document:
    """Write it as it was after a change of its history."""
    revision = int(form.number("revision", "revision"))
    return _plane(request).undo(_change(request, section, document_id), revision).document


def switch_document(
    request: ConsoleRequest, section: Section, document_id: str, *, enabled: bool
) -> Document:
    """Switch it on or off."""
    change = _change(request, section, document_id)
    return _plane(request).patch(change, {"enabled": enabled}).document


def history_of(request: ConsoleRequest, section: Section, document_id: str) -> list[HistoryEntry]:
    """Read the newest changes of a document."""
    found = read_page(
        services_of(request).control_store,
        before=None,
        limit=MAX_CHANGES,
        kind=section.kind,
        document_id=document_id,
    )
    return [_entry(record) for record in found.changes]


def show_conflict(
    request: ConsoleRequest,
    section: Section,
    error: RevisionError,
    mine: Document,
    form: Form,
) -> Page:
    """Show what differs between what was typed and what someone else has saved meanwhile."""
    document_id = form.text("id")
    history = history_of(request, section, document_id)
    newest = history[0] if history else None
    before = None if error.current is None else msgspec.to_builtins(error.current)
    after = msgspec.to_builtins(mine) | {"id": document_id}
    return page(
        request,
        "documents/conflict.html",
        title="Somebody else was quicker",
        status=412,
        section_title=section.title,
        list_path=section.path,
        path=section.path_of(document_id),
        save_path=f"{section.path}/save",
        name=document_id,
        current=error.current,
        revision="" if error.current is None else error.current.revision,
        changed_by="Somebody" if newest is None else _name(request, newest.actor),
        changed_at="" if newest is None else f"at {newest.at:%H:%M UTC}",
        differences=diff_documents(before, after),
        typed=[
            (name, value)
            for name, values in form.fields.items()
            for value in values
            if name != "revision"
        ],
        is_upload=False,
    )


def new_id(form: Form, taken: set[str], *, fallback: str) -> str:
    """Return the id that was typed, else one made of the name that nothing has yet."""
    typed = form.text("id")
    if typed:
        return check_page_id(typed, "id")
    name = unicodedata.normalize("NFKD", form.text("name") or form.text("title"))
    slug = re.sub(r"[^a-z0-9]+", "-", name.encode("ascii", "ignore").decode().lower()).strip("-")
    stem = slug[:_MAX_ID] or fallback
    refused = taken | PAGE_WORDS
    candidates = (stem if n == 1 else f"{stem}-{n}" for n in range(1, len(refused) + 2))
    return next(one for one in candidates if one not in refused)


def check_page_id(typed: str, field: str) -> str:
    """Check the id of a new document, whose page has it in its address.

    Raises
    ------
    FormError
        If another page, or none, has that address, or nobody could type it.
    """
    wrong = fault_of_id(typed)
    if wrong:
        raise FormError(field, f"{typed!r} {wrong}; choose another")
    return check_path_id(typed, f"the {field}")


def changed_by(history: list[HistoryEntry], request: ConsoleRequest) -> str:
    """Name who made the newest change."""
    return _name(request, history[0].actor) if history else ""


def _name(request: ConsoleRequest, actor: str) -> str:
    name: str = services_of(request).console.key_names.of(actor)
    return name


def _entry(record: AuditRecord) -> HistoryEntry:
    return HistoryEntry(
        revision=record.revision,
        at=record.at,
        actor=record.actor,
        note=record.note,
        before=record.before,
        after=record.after,
        differences=diff_documents(record.before, record.after)
        if record.before is not None and record.after is not None
        else [],
    )


def _plane(request: ConsoleRequest) -> ControlPlane:
    return services_of(request).control


def _change(
    request: ConsoleRequest,
    section: Section,
    document_id: str,
    expected: Precondition | None = None,
) -> Change:
    return Change(
        section.kind,
        check_path_id(document_id, "the id"),
        principal_of(request).key_id,
        expected or Precondition(),
    )
