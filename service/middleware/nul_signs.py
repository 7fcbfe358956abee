"""Refuses a NUL in an address or a form: no name of ours has one, and PostgreSQL takes none.

What SQLite looks for and does not find would be told as a database that cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from litestar.connection import ASGIConnection

from models.errors import IdError, InputError
from service.middleware.problems import BodyError, FieldError

_NUL = "\0"
_RULE = "it contains a NUL character; remove it"


def refuse_nul(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Refuse an address with one, for whoever was let in.

    Raises
    ------
    IdError
        If a part of the path has one.
    BodyError
        If the query does.
    """
    if _NUL in connection.scope["path"]:
        for name, value in connection.path_params.items():
            if isinstance(value, str) and _NUL in value:
                raise IdError(
                    f"{name} {value[:40]!r} in the path contains a NUL character; remove it"
                )
    if b"%00" in connection.scope["query_string"]:
        for name, value in connection.query_params.multi_items():
            if _NUL in name or _NUL in str(value):
                path = f"query.{name[:40]}"
                raise BodyError(f"{path}: {_RULE}", (FieldError(path=path, message=_RULE),))


def refuse_nul_in_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Refuse a form with a text that has one; files are bytes, and have what they have.

    Raises
    ------
    InputError
        If there is one.
    """
    for name, value in fields:
        if isinstance(value, str) and (_NUL in value or _NUL in name):
            raise InputError(f"the field {name[:40]!r} of the form: {_RULE}")
