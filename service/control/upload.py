"""Reads an uploaded list piece by piece: CSV or JSON Lines in, pseudonyms out, mistakes counted.

The first line decides: an object in JSON is JSON Lines, anything else is the header of a CSV. The
column or field `user_id` or `anonymous_id` holds the ids; others are ignored.
"""

from __future__ import annotations

import csv
import zlib
from array import array
from collections import Counter
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from models.errors import IdError, InputError
from models.ids import check_id
from models.pseudonym import Pseudonymiser
from service.rollouts.bucketing import UnitKind
from service.rollouts.segment import NUMBER_DIGITS

MAX_LINE_BYTES = 65_536
MAX_SHOWN = 20
MAX_REJECTED_SHARE = 0.05
KINDS: tuple[UnitKind, UnitKind] = ("user_id", "anonymous_id")
_GZIP = b"\x1f\x8b"
_PIECE = 16_384
"""Bytes that are unpacked at a time: what is left of them at the end of a part is copied."""


class UploadError(InputError):
    """The list as a whole cannot be used; what was there before stays."""

    code = "upload_invalid"


class UploadSizeError(UploadError):
    """The list is longer than the settings allow."""

    code = "body_too_large"


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line that was left out."""

    line: Annotated[int, Meta(description="1-based")]
    message: str


class MemberReader:
    """Collects the members of one list; feed it, then finish it."""

    def __init__(self, pseudonymiser: Pseudonymiser, *, max_bytes: int, max_members: int) -> None:
        self._pseudonymiser = pseudonymiser
        self._max_bytes = max_bytes
        self._max_members = max_members
        self._unzip: zlib._Decompress | None = None
        self._n_bytes = 0
        self._head = b""
        self._rest = b""
        self._column = -1
        self._is_json = False
        self._n_lines = 0
        self._numbers = array("Q")
        self.unit: UnitKind | None = None
        self.n_received = 0
        self.reasons: Counter[str] = Counter()
        self.shown: list[BadLine] = []

    @property
    def n_rejected(self) -> int:
        """Lines that were left out."""
        return self.reasons.total()

    def feed(self, piece: bytes) -> None:
        """Read a piece of the body, which may end anywhere; gzip is unpacked.

        Raises
        ------
        UploadError
            If the list is too long, or its first line does not say where the ids are.
        """
        if self._n_bytes == 0 and self._unzip is None:
            piece = self._head + piece
            if len(piece) < len(_GZIP):
                self._head = piece
                return
            if piece.startswith(_GZIP):
                self._unzip = zlib.decompressobj(wbits=31)
        if self._unzip is None:
            self._take(piece)
        else:
            self._unpack(memoryview(piece))

    def finish(self) -> NDArray[np.uint64]:
        """Return the distinct members, ascending, after the last piece.

        Raises
        ------
        UploadError
            If there was no first line, or more than 5 % of the lines are wrong.
        """
        if self._unzip is not None and not self._unzip.eof:
            raise UploadError("the body is a gzip that ends too early; send it again")
        if self._rest:
            rest, self._rest = self._rest, b""
            self._read(rest)
        if self.unit is None:
            raise UploadError(
                "the body is empty; its first line is a header with user_id or anonymous_id"
            )
        if self.n_rejected > MAX_REJECTED_SHARE * self.n_received:
            first = self.shown[0]
            raise UploadError(
                f"{self.n_rejected} of {self.n_received} lines are wrong, more than "
                f"{MAX_REJECTED_SHARE:.0%}; line {first.line}: {first.message}; nothing was changed"
            )
        return np.unique(np.frombuffer(self._numbers, dtype=np.uint64))

    def _unpack(self, rest: memoryview) -> None:
        """Unpack part after part: packed files that were put together are one list."""
        assert self._unzip is not None
        while rest:
            if self._unzip.eof:
                self._unzip = zlib.decompressobj(wbits=31)
            piece = rest[:_PIECE]
            try:
                unpacked = self._unzip.decompress(piece, 1 << 20)
            except zlib.error as error:
                raise UploadError(f"the body is no gzip: {error}; send it again") from error
            n_left = len(self._unzip.unconsumed_tail) + len(self._unzip.unused_data)
            rest = rest[len(piece) - n_left :]
            self._take(unpacked)

    def _take(self, piece: bytes) -> None:
        self._n_bytes += len(piece)
        if self._n_bytes > self._max_bytes:
            raise UploadSizeError(
                f"the list is longer than {self._max_bytes} bytes (ENDCAP_SEGMENT_LIMIT_BYTES)"
            )
        whole, newline, rest = piece.rpartition(b"\n")
        if newline:
            self._read(self._rest + whole)
            self._rest = rest
        else:
            self._rest += rest
        if len(self._rest) > MAX_LINE_BYTES:
            raise UploadError(
                f"line {self._n_lines + 1} is longer than {MAX_LINE_BYTES} bytes; "
                "send one id a line"
            )

    def _read(self, block: bytes) -> None:
        """Read whole lines."""
        lines = block.decode("utf-8", errors="surrogateescape").split("\n")
        if self.unit is None:
            lines = self._after_first(lines)
        if self._is_json:
            self._read_json(lines)
        else:
            self._read_csv(lines)
        if len(self._numbers) > self._max_members:
            raise UploadSizeError(f"the list has more than {self._max_members} members; split it")

    def _after_first(self, lines: list[str]) -> list[str]:
        """Read the first line with something in it, and return those that follow."""
        for place, line in enumerate(lines, 1):
            self._n_lines += 1
            first = line.strip("\ufeff \t\r")
            if first:
                self._begin(first)
                return lines[place:]
        return []

    def _begin(self, first: str) -> None:
        if first.startswith("{"):
            self._is_json = True
            fields = _object(first) or {}
            self.unit = next((kind for kind in KINDS if kind in fields), None)
            if self.unit is not None:
                self.n_received += 1
                self._add(fields.get(self.unit), self._n_lines)
        else:
            columns = [name.strip() for name in _cells(first) or ()]
            self.unit = next((kind for kind in KINDS if kind in columns), None)
            self._column = -1 if self.unit is None else columns.index(self.unit)
        if self.unit is None:
            raise UploadError(
                f"the first line {first[:60]!r} names neither user_id nor anonymous_id; "
                'begin with a CSV header, or send lines such as {"user_id": "u1"}'
            )

    def _read_json(self, lines: list[str]) -> None:
        assert self.unit is not None
        for number, line in enumerate(lines, self._n_lines + 1):
            if line.strip():
                self.n_received += 1
                fields = _object(line)
                if fields is None:
                    self._reject(number, "is no JSON object")
                else:
                    self._add(fields.get(self.unit), number)
        self._n_lines += len(lines)

    def _read_csv(self, lines: list[str]) -> None:
        column, number = self._column, self._n_lines
        for number, line in enumerate(lines, self._n_lines + 1):
            text = line.rstrip("\r")
            if not text.strip():
                continue
            self.n_received += 1
            if '"' in text or "," in text:
                row = _cells(text)
                if row is None:
                    self._reject(number, "is no line of a CSV")
                    continue
                text = row[column] if column < len(row) else ""
            elif column:
                text = ""
            self._add(text, number)
        self._n_lines = max(number, self._n_lines)

    def _add(self, value: object, line: int) -> None:
        assert self.unit is not None
        if not isinstance(value, str) or not value:
            self._reject(line, f"has no {self.unit}")
            return
        if len(value) > 64 or not value.isascii() or "\0" in value:
            try:
                check_id(value, self.unit)
            except IdError as error:
                self._reject(line, f"has an id that is none: {error.message.split(';')[0]}")
                return
        pseudonym = self._pseudonymiser.pseudonym(self.unit, value)
        self._numbers.append(int(pseudonym[:NUMBER_DIGITS], 16))

    def _reject(self, line: int, message: str) -> None:
        self.reasons[message.split(":", maxsplit=1)[0]] += 1
        if len(self.shown) < MAX_SHOWN:
            self.shown.append(BadLine(line=line, message=message))


def _cells(line: str) -> list[str] | None:
    """Take a line of a CSV apart; nothing if it is none, as with another line's end inside."""
    try:
        return next(csv.reader([line]))
    except csv.Error:
        return None


def _object(line: str) -> dict[str, object] | None:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
