"""The command line: `endcap COMMAND`. A command is imported when it is called.

The only module that knows both sides, service and training, and it holds no logic.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import rich_click as click

from models.errors import EndcapError
from models.handed import Handed
from models.past import PastRows
from models.pseudonym import Pseudonymiser

COMMANDS = {
    "train": ("training.cli:train", "Clean, fit, evaluate, gate and publish a model."),
    "evaluate": (
        "training.cli:evaluate",
        "Measure every recommender on a given split.",
    ),
    "models": (
        "training.version_cli:models",
        "List, show, promote and roll back model versions.",
    ),
    "segments": (
        "training.version_cli:segments",
        "Count the segments of users and say how each buys.",
    ),
    "policy": (
        "training.policy.cli:policy",
        "Estimate what another choice of banners would have earned.",
    ),
    "serve": ("service.cli.server:serve", "Answer requests over HTTP."),
    "keys": (
        "service.cli.server:keys",
        "Create, list and revoke the keys of the HTTP interface.",
    ),
    "audit": ("service.cli.audit:audit", "Check the audit trail."),
    "control": (
        "service.cli.control:control",
        "Move the control plane to where several machines share it.",
    ),
    "events": (
        "service.cli.events:events",
        "Import, export and reconcile the stored events.",
    ),
    "recommend": (
        "service.cli.recommend:recommend",
        "Write the lists of a file of users, for e-mail and push.",
    ),
    "report": (
        "service.cli.events:report",
        "Print units, click-through and revenue of a rollout.",
    ),
    "plan": (
        "service.cli.plan:plan",
        "Tell how many units and days it takes to see a lift.",
    ),
    "users": (
        "service.cli.users:users",
        "Copy or erase what is kept of one person.",
    ),
    "demo": (
        "training.simulation.cli:demo",
        "Run a simulated shop with live shoppers.",
    ),
}
"""Command name, ``module:attribute`` of its click command, the sentence that `--help` shows."""

_CANNOT_PRINT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class LazyGroup(click.RichGroup):
    """Imports a command when it is called, so that `serve` never loads the trainer."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command, without importing one."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Stand in for a command with the sentence that the help prints."""
        if cmd_name not in COMMANDS:
            return None
        return click.RichCommand(name=cmd_name, help=COMMANDS[cmd_name][1])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the command that is called."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None:
            return name, command, rest
        module, attribute = COMMANDS[name][0].split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return name, command, rest


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="endcap")
@click.pass_context
def endcap(context: click.Context) -> None:
    """Decide which banners and products stand in each placement of a shop's pages."""
    context.obj = Handed(read_past, load_key)


def read_past(source: str, mapping: Path | None, until_ms: int) -> PastRows:
    """Hand the trainer's reader to the service, which may not import it."""
    from training.past import read_past as read  # loads Polars

    return read(source, mapping, until_ms)


def load_key(home: Path) -> Pseudonymiser:
    """Hand the service's way to the key of a home to the trainer, which may not import it."""
    from service.home_key import load_home_key  # loads SQLAlchemy
    from service.stores.event_log import event_log

    return load_home_key(home, event_log(home))


def main() -> None:
    """Run the command line; a refusal is one line on standard error and exit code 2."""
    try:
        try:
            endcap.main(prog_name="endcap")
        finally:
            sys.stdout.flush()
    except EndcapError as error:
        _refuse(error.message)
    except OSError as error:
        # One that names a file is a mistake of ours, to be seen with its place.
        if error.errno not in _CANNOT_PRINT or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else it is tried again
        _refuse(f"cannot write the output: {error.strerror}; make room where it goes to")


def _refuse(message: str) -> NoReturn:
    print(f"endcap: {message}", file=sys.stderr)  # noqa: T201  # the command line's own output
    sys.exit(2)


if __name__ == "__main__":
    main()
