"""Options that the trainer's commands share, and how they print an object."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import rich_click as click

DEFAULT_HOME = "./.endcap"
FILE = click.Path(dir_okay=False, path_type=Path)

home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ENDCAP_HOME",
    default=DEFAULT_HOME,
    show_default=True,
    help="Folder of models, databases and logs.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and no text."
)


def print_json(value: object) -> None:
    """Print one object on a line of standard output."""
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()
