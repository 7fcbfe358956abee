"""Files that a page of the console gives away."""

from __future__ import annotations

import re
from urllib.parse import quote

from litestar import Response

from models.errors import NotFoundError
from models.ids import list_known
from service.console.figure import write_csv
from service.console.tables import Table

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]")
BYTE_ORDER_MARK = "\ufeff"
"""Without it Excel takes a CSV for one in the encoding of the computer: KÃ¶ln for Köln."""


def csv_file(name: str, table: Table) -> Response[str]:
    """Answer with a table as a file that spreadsheets open as it is: UTF-8, and says so."""
    content = BYTE_ORDER_MARK + write_csv(table.columns, table.rows)
    return attachment(f"{name}.csv", content, "text/csv")


def attachment(name: str, content: str, media_type: str) -> Response[str]:
    """Answer with a file, which a browser saves and does not show."""
    return Response(
        content,
        media_type=media_type if media_type.startswith("text/") else f"{media_type}; charset=utf-8",
        headers={"Content-Disposition": _disposition(name)},
    )


def _disposition(name: str) -> str:
    """Name a file, of which a header may hold the plain letters only (RFC 6266)."""
    plain = _NOT_PLAIN.sub("_", name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{exact}'


def table_name(file: str) -> str:
    """Read which table a file of an address means.

    Raises
    ------
    NotFoundError
        If it is no CSV.
    """
    name, _, suffix = file.rpartition(".")
    if suffix != "csv":
        raise NotFoundError(f"file {file[:40]!r} does not exist; take the link of the page")
    return name


def find_table(tables: dict[str, Table], name: str) -> Table:
    """Return a table by the name that its address has.

    Raises
    ------
    NotFoundError
        If the page has no such table.
    """
    if name not in tables:
        raise NotFoundError(
            f"table {name[:40]!r} does not exist; {list_known(tables)}; take the link of the page"
        )
    return tables[name]
