"""The commands of the guides, as somebody who pastes them would send them."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.unit.service.routes.samples import Shop

GUIDES = Path(__file__).parents[4] / "docs" / "guides"
SCOPES = {"KEY": "publishable", "MERCHANDISER": "merchandiser", "ADMIN": "admin"}
_COMMAND = re.compile(
    r"""^[ ]*(?:gzip\ \|\ )?curl\ (?P<rest>(?:'[^']*'|"[^"]*"|\\\n|[^'"\\\n])*)$""", re.M | re.X
)
_METHOD = re.compile(r"-X (\w+)")
_PATH = re.compile(r"(?:localhost:8080|\$ENDCAP|\$URL)(/[^\s\"'?]*)")
_KEY = re.compile(r"(?:X-API-Key:|Bearer) \$(?:OTHER_)?(\w+)")


def commands() -> Iterator[tuple[str, str]]:
    """List each command with the guide where it stands."""
    for guide in sorted(GUIDES.glob("*.md")):
        for found in _COMMAND.finditer(guide.read_text(encoding="utf-8")):
            yield guide.name, found["rest"]


def test_commands_are_found() -> None:
    """As many as lines that begin with the word: none is too odd to be read."""
    text = "\n".join(one.read_text(encoding="utf-8") for one in sorted(GUIDES.glob("*.md")))
    n = len(re.findall(r"^ *(?:gzip \| )?curl ", text, re.M))
    assert len(list(commands())) == n > 30


def test_key_of_a_command_may_do_it(strict_shop: Shop) -> None:
    """The name of the key says its scope, and that scope is let in."""
    for guide, command in commands():
        path, key = _PATH.search(command), _KEY.search(command)
        assert path is not None, (guide, command)
        assert key is not None, (guide, command)
        method = _METHOD.search(command)
        way = method[1] if method else "POST" if re.search(" (-d|--data)", command) else "GET"
        answer = strict_shop.call(way, path[1], scope=SCOPES[key[1]])
        assert answer.status_code not in (401, 403, 405), (guide, command, answer.text)


def test_answer_of_a_command_ends_its_line() -> None:
    """A prompt does not stand behind it."""
    assert [one for one in commands() if not one[1].endswith("; echo")] == []
