"""What a server does with sums that a newer release has made: leave them alone, say so once.

While machines of two releases share a database, each would otherwise make the other's tables anew,
and with every turn lose what was deleted from the log since.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import structlog

from models.errors import StoreError

if TYPE_CHECKING:  # it loads SQLAlchemy
    from service.stores.control import ControlStore

_log = structlog.get_logger(__name__)


class NewerSumsError(StoreError):
    """Sums in a database that machines share have tables of a newer release."""

    code: ClassVar[str] = "sums_newer"

    def __init__(self, name: str, found: int, own: int) -> None:
        super().__init__(
            f"the sums in the schema {name!r} were made by a newer release of Endcap (version "
            f"{found}; this one makes {own}) and are left alone; ask a server of that release, and "
            "run it on all machines. To go back to this one for good, stop the newer servers and "
            f"run DROP SCHEMA {name} CASCADE: what the log still has is added up again"
        )


def tell_once(error: NewerSumsError) -> None:
    """Log it, once for each message in a process."""
    _tell(error.message)


@cache
def _tell(message: str) -> None:
    _log.warning("sums_of_a_newer_release", detail=message)


@contextmanager
def left_to_newer(store: ControlStore, lease: str, holder: str) -> Iterator[None]:
    """Give a lease back where sums are of a newer release: a server of that one can do the work."""
    try:
        yield
    except NewerSumsError:
        with store.transaction() as transaction:
            transaction.leases.give_back(lease, holder)
        raise
