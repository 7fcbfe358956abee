"""Reads the body of a form as browsers write it: a few fields, in UTF-8, remembered nowhere.

The framework's own reader keeps the last 1,024 forms in memory, however long, with the keys and ids
that were typed. And it decodes a part as whatever a sender calls it, which may take minutes.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from multipart import (  # type: ignore[import-untyped]  # it has types, and no sign that says so
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
)

from models.errors import InputError
from service.console.form import Upload

MAX_FIELDS = 5_000
"""The form of a rollout has a box for each of up to a thousand forced units."""

Sent = list[tuple[str, str | Upload]]
"""Names and values, in the order in which they were sent."""


def read_form_body(body: bytes, media_type: str, boundary: str | None) -> Sent:
    """Read a form of either type; nothing of a body of another one.

    Raises
    ------
    InputError
        If it has more than `MAX_FIELDS` fields, or its parts cannot be told apart.
    """
    if media_type == "application/x-www-form-urlencoded":
        return [*read_fields(body)]
    return _read_parts(body, boundary) if media_type == "multipart/form-data" and body else []


def read_fields(body: bytes) -> list[tuple[str, str]]:
    """Read the fields of a form without files.

    Raises
    ------
    InputError
        If there are more than `MAX_FIELDS`.
    """
    try:
        # A browser writes nothing but ASCII, and %C3%A9 for an é.
        return parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InputError(
            f"the form has more than {MAX_FIELDS} fields; open the page again and send that"
        ) from error


def _read_parts(body: bytes, boundary: str | None) -> Sent:
    sent: Sent = []
    part: Any = None
    content = bytearray()
    try:
        with PushMultipartParser(boundary or "", max_segment_count=MAX_FIELDS) as parser:
            for found in parser.parse(body):
                if isinstance(found, MultipartSegment):
                    part, content = found, bytearray()
                elif found:
                    content += found
                else:
                    sent.append((part.name or "", _value_of(part, bytes(content))))
    except MultipartError as error:
        raise InputError(
            f"the form cannot be read: {error}; open the page again and send that"
        ) from error
    return sent


def _value_of(part: MultipartSegment, content: bytes) -> str | Upload:
    if part.filename:
        return Upload(part.filename, part.content_type or "text/plain", content)
    return content.decode("utf-8", errors="replace")
