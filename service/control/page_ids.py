"""Which ids a new document may not have, because its page in the console would have no address."""

from __future__ import annotations

from models.errors import IdError
from service.control.documents import DocumentKind

PAGE_WORDS = frozenset({".", "..", "new", "preview", "save"})
"""Something else of the console has the address, or browsers take it out of one."""
_WITH_PAGE: frozenset[DocumentKind] = frozenset({"placement", "banner", "rule", "rollout", "layer"})


def check_new_id(kind: DocumentKind, document_id: str) -> None:
    """Raise `IdError` unless a page can be opened by the id; one that exists already may stay."""
    if kind not in _WITH_PAGE:
        return
    if document_id in PAGE_WORDS:
        raise IdError(
            f"{kind} {document_id!r} would have no page: it is an address of the console itself; "
            "choose another id"
        )
    if not document_id.strip():
        raise IdError(f"{kind} {document_id!r} is blank; choose an id that can be seen")
