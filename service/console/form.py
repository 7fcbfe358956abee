"""What was typed into a form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from models.errors import InputError

MAX_NUMBER = 1e15
"""Whatever is larger was not meant; up to here a whole number is exact."""
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, as text."""

    fields: Mapping[str, tuple[str, ...]]
    files: Mapping[str, Upload]

    def text(self, name: str, default: str = "") -> str:
        """Return a field without the space around it; the last one if there are several."""
        values = self.fields.get(name)
        return values[-1].strip() if values else default

    def optional(self, name: str) -> str | None:
        """Return a field, or nothing if it is empty."""
        return self.text(name) or None

    def all(self, name: str) -> list[str]:
        """Return every value of a field that may be sent several times."""
        return [value.strip() for value in self.fields.get(name, ())]

    def lines(self, name: str) -> list[str]:
        """Return the lines of a text area that are not empty."""
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]

    def is_on(self, name: str) -> bool:
        """Say whether a box is ticked."""
        return self.text(name) in ("1", "on", "true", "yes")

    def number(self, name: str, label: str) -> float:
        """Read a number, which may be written with a comma; `FormError` if it is none."""
        typed = self.text(name)
        try:
            plain = plain_number(typed)
        except ValueError as error:
            raise FormError(name, f"{label}: {error}") from None
        try:
            number = float(plain)
        except ValueError:
            number = float("nan")
        if not abs(number) <= MAX_NUMBER:  # which nothing is that is no number
            shown = f"{typed[:40]!r} is not a number" if typed else "a number is missing"
            raise FormError(name, f"{label}: {shown}; write it as 12.5")
        return number

    def share(self, name: str, label: str) -> float:
        """Read a percentage as a share of 0..1; `FormError` if it is not between 0 and 100 %."""
        percent = self.number(name, label)
        if not 0 <= percent <= 100:
            raise FormError(name, f"{label}: {percent:g} % is not between 0 and 100 %")
        return percent / 100

    def file(self, name: str) -> Upload | None:
        """Return an uploaded file, unless none was chosen."""
        return self.files.get(name)


class FormError(InputError):
    """A field of a form holds what it cannot hold."""

    code = "form_invalid"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def plain_number(typed: str) -> str:
    """Write 12,5 and 1 200 and 1,200.50, as people and pages write them, as a program does.

    Raises
    ------
    ValueError
        If a comma may stand for thousands as well as for decimals.
    """
    plain = "".join(typed.split())
    if _EITHER.fullmatch(plain):
        whole, _, rest = plain.partition(",")
        raise ValueError(
            f"{typed!r} may be {whole}{rest} or {whole}.{rest}; write the one that you mean"
        )
    return plain.replace(",", "" if _GROUPED.fullmatch(plain) else ".")


def read_json(text: str, field: str) -> Any:
    """Read what was typed as JSON; `FormError` under the name of the field if it is none."""
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise FormError(field, "this JSON is nested too deeply; write it flatter") from None
    except msgspec.DecodeError as error:
        raise FormError(field, f"this is not JSON: {error}") from None


def words(text: str) -> list[str]:
    """Split what was typed with commas or lines between."""
    return [one for one in (part.strip() for part in text.replace("\n", ",").split(",")) if one]
