"""Files that a page of the console gives away."""

from __future__ import annotations

from litestar import Response

from models.errors import NotFoundError
from models.ids import list_known
from service.console.figure import write_csv
from service.console.tables import Table


def csv_file(name: str, table: Table) -> Response[str]:
    """Answer with a table as a file."""
    return attachment(f"{name}.csv", write_csv(table.columns, table.rows), "text/csv")


def attachment(name: str, content: str, media_type: str) -> Response[str]:
    """Answer with a file, which a browser saves and does not show."""
    return Response(
        content,
        media_type=media_type if media_type.startswith("text/") else f"{media_type}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


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
