"""Tables on a terminal: what is printed is whole, and nothing in it moves the cursor."""

from io import StringIO

import pytest
from rich.console import Console
from rich.table import Table

from models.terminal import print_table, visible


def _print(width: int, *, is_terminal: bool) -> list[str]:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("id", no_wrap=True)
    table.add_column("name", overflow="fold")
    table.add_row("key_0123456789ab", "a name of words " * 8)
    console = Console(width=width, file=StringIO(), force_terminal=is_terminal, no_color=True)
    print_table(table, console)
    assert console.width == width
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_table_in_a_pipe_has_a_line_a_row() -> None:
    """However narrow Rich believes that a pipe is."""
    _, row = _print(10, is_terminal=False)
    assert row.rstrip() == "key_0123456789ab " + ("a name of words " * 8).rstrip()


@pytest.mark.parametrize("width", [10, 20, 40, 80])
def test_table_on_a_terminal_keeps_ids_whole(width: int) -> None:
    """A name is wrapped; a terminal that is too narrow even so gets wider lines."""
    lines = _print(width, is_terminal=True)
    assert sum("key_0123456789ab" in line for line in lines) == 1
    assert "…" not in "".join(lines)


def test_table_on_a_terminal_keeps_words_beside_an_unwrapped_column() -> None:
    """What may not be wrapped takes its 8 columns, so the date beside it is given its own 10."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("id", no_wrap=True)
    table.add_column("made")
    table.add_row("abc live", "2026-08-01 12:00")
    console = Console(width=10, file=StringIO(), force_terminal=True, color_system=None)
    print_table(table, console)
    assert isinstance(console.file, StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert lines == ["id       made", "abc live 2026-08-01", "         12:00"]


def test_visible_escapes_what_a_terminal_obeys() -> None:
    """Letters of any script, and blanks, stay as they are; right-to-left marks do not."""
    assert visible("b\x1b[31m\n\x7f\x9b") == r"b\x1b[31m\n\x7f\x9b"
    assert visible("\u202e" + "Käse 👟 日本") == r"\u202e" + "Käse 👟 日本"
