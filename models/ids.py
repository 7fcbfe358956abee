"""External ids: the rule that every id from outside obeys, and how errors list known ones."""

from __future__ import annotations

from collections.abc import Iterable

from models.errors import IdError

MAX_ID_BYTES = 256


def check_id(value: str, name: str = "id") -> str:
    """Return `value` if it is 1 to 256 bytes of UTF-8 without NUL, else raise `IdError`."""
    try:
        n_bytes = len(value.encode())
    except UnicodeEncodeError as error:
        raise IdError(
            f"{name} {value[:40]!r} is not valid UTF-8; send text without lone surrogates"
        ) from error
    if not 1 <= n_bytes <= MAX_ID_BYTES:
        shown = repr(value if n_bytes <= 40 else value[:40] + "…")
        raise IdError(
            f"{name} {shown} has {n_bytes} bytes; an id has 1 to {MAX_ID_BYTES} bytes of UTF-8; "
            "shorten or hash it"
        )
    if "\0" in value:
        raise IdError(f"{name} {value[:40]!r} contains a NUL character; remove it")
    return value


def list_known(ids: Iterable[str], limit: int = 10) -> str:
    """Write the first `limit` ids in order for an error message: ``known: a, b (and 3 more)``."""
    known = sorted(ids)
    if not known:
        return "none is known yet"
    more = f" (and {len(known) - limit} more)" if len(known) > limit else ""
    return "known: " + ", ".join(known[:limit]) + more
