"""On which state a change was based: `If-Match`, `If-None-Match: *`, or the body's own revision."""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import ConflictError, InputError
from service.control.documents import Document


class RevisionError(ConflictError):
    """The document has changed since the caller read it; `current` is its state now."""

    code = "revision_mismatch"

    def __init__(self, message: str, current: Document | None) -> None:
        super().__init__(message)
        self.current = current


@dataclass(frozen=True, slots=True)
class Precondition:
    """What the caller expects; by default nothing."""

    revisions: frozenset[int] | None = None
    """One of these must be the current one."""
    must_exist: bool = False
    must_be_new: bool = False

    @classmethod
    def from_headers(cls, if_match: str | None, if_none_match: str | None) -> Precondition:
        """Parse the two headers; an entity tag is a revision in quotes, as the answers give it."""
        if if_none_match is not None and if_none_match.strip() != "*":
            raise InputError(
                f"If-None-Match {if_none_match[:40]!r} does not fit a change; only * does, "
                "which creates and never replaces; use If-Match to replace a known revision"
            )
        must_be_new = if_none_match is not None
        if if_match is None:
            return cls(must_be_new=must_be_new)
        if if_match.strip() == "*":
            return cls(must_exist=True, must_be_new=must_be_new)
        return cls(
            revisions=frozenset(_revision(tag) for tag in if_match.split(",")),
            must_exist=True,
            must_be_new=must_be_new,
        )

    def check(self, name: str, current: Document | None) -> None:
        """Raise `RevisionError` unless `current`, called `name`, is what the caller expects."""
        if current is None:
            if self.must_exist:
                raise RevisionError(f"{name} does not exist (any more); create it", None)
            return
        if self.must_be_new:
            raise RevisionError(
                f"{name} exists already, at revision {current.revision}; "
                "leave If-None-Match out to replace it",
                current,
            )
        if self.revisions is not None and current.revision not in self.revisions:
            expected = ", ".join(str(revision) for revision in sorted(self.revisions))
            raise RevisionError(
                f"{name} is at revision {current.revision}, not {expected}; "
                "look at its current state, then send the change again with that revision",
                current,
            )


def _revision(tag: str) -> int:
    text = tag.strip().removeprefix("W/").strip('"')
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InputError(
            f'If-Match {tag.strip()[:40]!r} is not a revision; send the ETag of an answer: "17"'
        )
    return int(text)
