"""Tables and names on a terminal, for the commands of both sides: nothing cut, nothing raw."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_UNBOUNDED = 10_000
_PIPE_WIDTH = 400


def visible(text: str) -> str:
    r"""Write what a terminal would obey instead of showing it as an escape: ``\x1b[31m``."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def wide_console() -> Console:
    """Make a console that does not take a pipe for a terminal of 80 columns."""
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def print_table(table: Table, console: Console) -> None:
    """Print a table whose words are whole: a line a row in a pipe, else wrapped between words.

    Rich cuts them to the width of the terminal, and takes that of a pipe for 80.
    """
    options = console.options.update_width(_UNBOUNDED)
    for column in table.columns:
        if column.no_wrap:
            # Rich takes the longest word of such a column for the least that it needs.
            cells = (column.header, *column.cells)
            column.min_width = max(Measurement.get(console, options, one).maximum for one in cells)
    needed = Measurement.get(console, options, table)
    before = console.width
    # The width that `print` takes itself is no wider than the console.
    console.width = max(before, needed.minimum) if console.is_terminal else needed.maximum
    try:
        console.print(table)
    finally:
        console.width = before
