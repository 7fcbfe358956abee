"""What commands have in common: an option for each setting, and the control store of a home."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import rich_click as click

from service.settings import PREFIX, Settings
from service.stores.control import ControlStore

Command = TypeVar("Command", bound=Callable[..., Any])

as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on standard output."
)


def setting_option(name: str) -> Callable[[Command], Command]:
    """Make an option from a setting; its help is the setting's own description."""
    field = next(field for field in msgspec.structs.fields(Settings) if field.name == name)
    description = field.type.__metadata__[0].description
    default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    option = f"--{name.replace('_', '-')}"
    if isinstance(field.default, bool):
        return click.option(option, name, is_flag=True, default=None, help=f"{description}")
    return click.option(
        option,
        name,
        default=None,
        metavar=name.rsplit("_", maxsplit=1)[-1].upper(),
        help=f"{description} Else {PREFIX}{name.upper()}, else {default or 'none'}.",
    )


def all_settings(command: Command) -> Command:
    """Give a command an option for every setting."""
    for name in reversed(Settings.__struct_fields__):
        command = setting_option(name)(command)
    return command


@contextmanager
def open_store(settings: Settings) -> Iterator[ControlStore]:
    """Open the control store, and close it."""
    store = ControlStore(settings.control_place)
    try:
        yield store
    finally:
        store.close()
