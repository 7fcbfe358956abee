"""Which ids a new document may not have, because its page or its path would have no address."""

from __future__ import annotations

import unicodedata

from models.errors import IdError
from service.control.documents import DocumentKind

PAGE_WORDS = frozenset({".", "..", "new", "preview", "save"})
"""Something else of the console has the address, or browsers take it out of one."""
_WITH_PAGE: frozenset[DocumentKind] = frozenset({"placement", "banner", "rule", "rollout", "layer"})


def check_new_id(kind: DocumentKind, document_id: str) -> None:
    """Raise `IdError` unless a page can be opened by the id; one that exists already may stay."""
    if kind not in _WITH_PAGE:
        return
    wrong = fault_of_id(document_id)
    if wrong:
        raise IdError(f"{kind} {document_id!r} {wrong}; choose another id")


def fault_of_id(document_id: str) -> str:
    """Say why no new document may have the id, or nothing; the end of a sentence about it."""
    if document_id in PAGE_WORDS:
        return "is an address of the console"
    if not document_id.strip():
        return "is blank"
    if "/" in document_id or "\\" in document_id:
        # Proxies decode the one and browsers turn the other into it: either ends a part of a path.
        return "has a slash, which is the end of a name in an address"
    if any(unicodedata.category(sign) == "Cc" for sign in document_id):
        return "has a sign that cannot be seen, like the end of a line"
    return ""
