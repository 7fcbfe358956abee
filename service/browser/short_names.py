"""Gives the names that a script makes for itself one letter each, which a browser needs no more of.

A name is the same everywhere in the script, so the same letter for all its places changes nothing.
Left alone is every word that may be something else in one of its places: a field of an object, a
part of a text or of a regular expression, or a name of the browser's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from string import ascii_letters

# A text, a regular expression behind what no value ends with, a word, or a bracket.
_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`"""
    r"""|(?<=[(!&|=>?:,])/(?:[^/\\\[]|\\.|\[[^\]]*\])+/\w*)"""
    r"""|(?P<word>[A-Za-z_]\w*)|(?P<bracket>[](){}[])"""
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_CODE_IN_TEXT = re.compile(r"\$\{([^{}]*)}")
# What something is assigned to, and what a function is given.
_MADE = re.compile(r"(?<![\w.])([A-Za-z_]\w*)=(?!=)|\(([\w,]+)\)=>")


def shorten_names(script: str) -> str:
    """Shorten the names of a script without spaces beside signs, as `compact` makes it.

    Code in a text in backticks holds no braces. The most frequent names come first.
    """
    made = {name for found in _MADE.finditer(script) for name in _WORD.findall(found[0])}
    kept = set(_kept(script))
    words = Counter(_WORD.findall(script))
    renamed = sorted(made - kept, key=lambda name: (-words[name], name))
    free = [letter for letter in ascii_letters if letter not in words]
    letters = dict(zip(renamed, free, strict=False))
    return _WORD.sub(lambda found: letters.get(found[0], found[0]), script)


def _kept(script: str) -> Iterator[str]:
    """Find the words that are something else than a name at least once."""
    open_brackets: list[str] = []
    for token in _TOKEN.finditer(script):
        kind, text = token.lastgroup, token[0]
        if kind == "bracket":
            if text in "([{":
                open_brackets.append(text)
            else:
                open_brackets.pop()
        elif kind == "text":
            yield from _WORD.findall(_CODE_IN_TEXT.sub(" ", text) if text[0] == "`" else text)
            for code in _CODE_IN_TEXT.finditer(text):
                yield from re.findall(r"(?<!\.)\.(\w+)", code[1])
        else:
            before, behind = script[: token.start()], script[token.end() : token.end() + 1]
            is_field = before.endswith(".") and not before.endswith("...")
            is_alone = before[-1:] in "{," and behind in ("}", ",")
            if is_field or behind == ":" or (is_alone and open_brackets[-1:] == ["{"]):
                yield text
