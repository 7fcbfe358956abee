"""What a line says of an exception: where it went by, and nothing that a client sent."""

import sqlite3
from typing import Any

from service.telemetry.logs import show_exception


def shown(error: BaseException) -> dict[str, Any]:
    try:
        raise error
    except type(error):
        return dict(show_exception(None, "exception", {"event": "failed", "exc_info": True}))


def test_exception_is_shown_by_type_and_place() -> None:
    """The message of a wrong value may hold an id, so it is left out."""
    line = shown(ValueError("erika@example.org is no number"))
    assert line["exception"] == "ValueError"
    assert line["at"][-1].endswith(" shown")
    assert "exc_info" not in line
    assert "erika" not in str(line)


def test_fault_of_a_store_says_why() -> None:
    """A store's own words name no person."""
    line = shown(sqlite3.OperationalError("disk I/O error"))
    assert (line["exception"], line["reason"]) == ("OperationalError", "disk I/O error")


def test_line_without_exception_stays() -> None:
    """Nothing is added."""
    assert show_exception(None, "info", {"event": "ready"}) == {"event": "ready"}
