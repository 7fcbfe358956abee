"""What is wrong with a document, in words for people who have never read its schema.

The rules themselves are the types of the documents, and msgspec names them in Python's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "yes or no",
    "array": "a list",
    "object": "a group of fields",
    "null": "nothing",
    "datetime": "a date and time",
}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}
_NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_.:-]*$"


def _length(found: re.Match[str]) -> str:
    kind, bound, n = found[1], found[2], found[3]
    if bound == ">=" and n == "1":
        return "this is empty; write something"
    what = {"str": "characters", "array": "entries"}.get(kind, "entries")
    return f"this has {_BOUNDS[bound]} {int(n):,} {what}"


def _bound(found: re.Match[str]) -> str:
    return f"{_TYPES[found[1]]} {_BOUNDS[found[2]]} {float(found[3]):g} is wanted here"


def _pattern(found: re.Match[str]) -> str:
    if found[1] == _NAME_PATTERN:
        return "letters, digits, _ . : - only, and a letter or a digit first"
    return "this is not written as it has to be"


def _type(found: re.Match[str]) -> str:
    wanted = [_TYPES.get(one, one) for one in found[1].split(" | ") if one != "null"]
    return f"{' or '.join(wanted)} is wanted here, not {_TYPES.get(found[2], found[2])}"


_WORDS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"Expected `(\w+)` of length (>=|<=) (\d+)"), _length),
    (re.compile(r"Expected `(int|float)` (>=|<=|>|<) ([-\d.e+]+)"), _bound),
    (re.compile(r"Expected `str` matching regex '(.*)'"), _pattern),
    (re.compile(r"Expected `([\w |]+)`, got `(\w+)`"), _type),
    (
        re.compile(r"Object missing required field `(\w+)`"),
        lambda found: f"“{found[1]}” is missing here",
    ),
    (
        re.compile(r"Object contains unknown field `(.+)`"),
        lambda found: f"nothing is called “{found[1]}” here; look at how it is written",
    ),
    (
        re.compile(r"Invalid (?:enum )?value '?(.*?)'?"),
        lambda found: f"“{found[1]}” is none of the choices",
    ),
    (
        re.compile(r"\w+ holds (.*) twice; list each once"),
        lambda found: f"{found[1]} stands here twice; list each once",
    ),
    (
        re.compile(r"price_below (\S+) is not above price_at_least (\S+); (.*)"),
        lambda found: f"a price below {found[1]} is never from {found[2]} up; {found[3]}",
    ),
    (
        re.compile(r"(.*); say in select which items or banners are meant"),
        lambda found: f"{found[1]}; say below which are meant",
    ),
)


def in_plain_words(message: str) -> str:
    """Write what a rule of a document says for people; what is plain already stays."""
    for pattern, write in _WORDS:
        found = pattern.fullmatch(message)
        if found is not None:
            return write(found)
    return message
