"""`endcap policy evaluate`: reads a log, estimates policies, and shows them as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from rich.table import Table

from models.errors import ConfigError
from training.policy.decisions import Decisions
from training.policy.endcap_log import read_endcap_log
from training.policy.estimators import Estimated, Value, estimate, measured
from training.policy.files import observed, read_log, read_probabilities

OF_ENDCAP = ("uniform", "affinity", "click_rate", "as_logged")
OF_FILE = ("uniform", "as_logged")


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What policies would have earned."""

    decisions: int
    units: int
    rewards: float
    left_out: Annotated[int, Meta(description="Slates without chance, or rows that were bad.")]
    logged: Annotated[Value, Meta(description="What the logging policy earned, measured.")]
    policies: tuple[Estimated, ...]


def evaluate_home(
    home: Path,
    policies: Sequence[str],
    *,
    placement: str | None,
    rollout: str | None,
    clip: float | None,
) -> Evaluation:
    """Estimate policies from Endcap's own log.

    Raises
    ------
    EndcapError
        As `read_endcap_log` says.
    """
    log = read_endcap_log(home, placement=placement, rollout=rollout)
    makers = {"uniform": log.uniform, "affinity": log.affinity, "click_rate": log.click_rate}
    wanted = [makers[name]() for name in policies or OF_ENDCAP if name != "as_logged"]
    found = [estimate(log.decisions, policy, clip=clip) for policy in wanted]
    return _evaluation(log.decisions, log.n_left_out, found)


def evaluate_file(
    source: str,
    policies: Sequence[str],
    *,
    columns: Mapping[str, str],
    policy_files: Sequence[str],
    policy_logs: Sequence[str],
    clip: float | None,
) -> Evaluation:
    """Estimate policies from a log in a file.

    Raises
    ------
    EndcapError
        If a policy needs what a file has not, or a file cannot be read.
    """
    for name in policies:
        if name not in OF_FILE:
            raise ConfigError(
                f"--policy {name} needs the candidates of Endcap's own log; of a file take "
                f"{' or '.join(OF_FILE)}, --policy-file or --policy-log"
            )
    log = read_log(source, columns)
    wanted = [log.uniform()] if "uniform" in policies or not policies else []
    wanted += [
        log.as_given(Path(one).name, read_probabilities(one, columns)) for one in policy_files
    ]
    wanted += [
        log.as_given(f"as in {Path(one).name}", observed(one, columns)) for one in policy_logs
    ]
    found = [estimate(log.decisions, policy, clip=clip) for policy in wanted]
    return _evaluation(log.decisions, log.n_bad, found)


def show_evaluation(evaluation: Evaluation) -> Table:
    """Make a table for the terminal."""
    table = Table(
        title=f"{evaluation.decisions:,} decisions of {evaluation.units:,} units, "
        f"{evaluation.rewards:,.0f} rewards; {evaluation.left_out:,} left out",
        caption="reward per filled position, with 95 % intervals",
    )
    for heading in ("policy", "SNIPS", "IPS", "doubly robust", "effective decisions"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    logged = _show(evaluation.logged)
    table.add_row("as_logged (measured)", logged, logged, logged, f"{evaluation.decisions:,}")
    for one in evaluation.policies:
        shown = [_show(value) for value in (one.snips, one.ips, one.dr)]
        table.add_row(one.policy, *shown, f"{one.effective_sample_size:,.0f}")
    return table


def list_warnings(evaluation: Evaluation) -> list[str]:
    """Name each policy's warnings."""
    return [f"{one.policy}: {text}" for one in evaluation.policies for text in one.warnings]


def _evaluation(decisions: Decisions, n_left_out: int, found: list[Estimated]) -> Evaluation:
    return Evaluation(
        decisions=len(decisions),
        units=len(set(decisions.unit.tolist())),
        rewards=float(decisions.reward.sum()),
        left_out=n_left_out,
        logged=measured(decisions),
        policies=tuple(found),
    )


def _show(value: Value) -> str:
    return f"{value.value:.3%} [{value.low:.3%}, {value.high:.3%}]"
