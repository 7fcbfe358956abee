"""The command about policies: evaluate. Nothing here computes."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from rich.console import Console

from models.errors import ConfigError
from models.terminal import print_table
from training.options import home_option, json_option, print_json


@click.group()
def policy() -> None:
    """Estimate what another choice of banners would have earned."""


@policy.command()
@home_option
@click.option("--placement", help="Only slates of this placement.")
@click.option("--rollout", help="Only slates that a split of this rollout decided.")
@click.option("--log", "log", help="Another log: path or glob; Parquet, CSV or JSON Lines.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME=COLUMN",
    help="A file's name for action, propensity, reward, position, unit, context or probability.",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    type=click.Choice(["uniform", "affinity", "click_rate", "as_logged"]),
    help="What to estimate; may be given more than once. By default all that the log allows.",
)
@click.option(
    "--policy-file", "policy_files", multiple=True, help="Probabilities of actions, with --log."
)
@click.option(
    "--policy-log",
    "policy_logs",
    multiple=True,
    help="Another log, whose shares of actions by position are the policy, with --log.",
)
@click.option(
    "--clip",
    type=click.FloatRange(min=0, min_open=True),
    help="Largest weight of a decision: less variance, more bias.",
)
@json_option
def evaluate(
    *,
    home: Path,
    placement: str | None,
    rollout: str | None,
    log: str | None,
    columns: tuple[str, ...],
    policies: tuple[str, ...],
    policy_files: tuple[str, ...],
    policy_logs: tuple[str, ...],
    clip: float | None,
    as_json: bool,
) -> None:
    """Estimate the click rate of policies from a log in which chance had a say."""
    from training.policy.evaluate import (  # noqa: PLC0415  # fast --help
        evaluate_file,
        evaluate_home,
        list_warnings,
        show_evaluation,
    )
    from training.policy.files import parse_columns  # noqa: PLC0415  # as above

    if log is None:
        if columns or policy_files or policy_logs:
            raise ConfigError("--column, --policy-file and --policy-log go with --log")
        found = evaluate_home(home, policies, placement=placement, rollout=rollout, clip=clip)
    else:
        if placement or rollout:
            raise ConfigError("--placement and --rollout are of Endcap's own log, not of --log")
        found = evaluate_file(
            log,
            policies,
            columns=parse_columns(columns),
            policy_files=policy_files,
            policy_logs=policy_logs,
            clip=clip,
        )
    if as_json:
        print_json(found)
        return
    print_table(show_evaluation(found), Console())
    for text in list_warnings(found):
        Console(stderr=True).print(f"warning: {text}")
