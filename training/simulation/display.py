"""What a person sees while the shoppers browse: pure, from a state to something rich can draw."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from models.plural import plural
from training.simulation.counters import Counters
from training.simulation.office import Ledger
from training.simulation.result import DemoResult
from training.simulation.truth import ArmTruth, measured_lift, relative_lift

CONTROL = "control"
TREATED = "personal"
TIER_COLOURS = {"personal": "green", "segment": "cyan", "popular": "yellow", "static": "magenta"}
_SPARKS = "▁▂▃▄▅▆▇█"
_TIER_BAR = 16
_ARM_BAR = 12
_KEPT_SECONDS = 30


@dataclass(slots=True)
class Scene:
    """The state of the demo, kept up to date by `demo`."""

    counters: Counters
    headline: str
    addresses: list[tuple[str, str]]
    """What to open, by its name."""
    elapsed_s: float = 0.0
    seconds: float | None = None
    """When it ends by itself."""
    ledger: Ledger = field(default_factory=Ledger)
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_SECONDS))
    """Calls per second, the newest last."""
    news: list[str] = field(default_factory=list)
    """What happened, the newest last."""


def draw(scene: Scene) -> RenderableType:
    """Draw the whole scene."""
    clock = f"{scene.elapsed_s:.0f} s" + (f" of {scene.seconds:.0f} s" if scene.seconds else "")
    return Panel(
        Group(
            Text(scene.headline, style="dim"),
            Text(),
            _traffic(scene),
            Text(),
            _arms(scene.counters),
            _lift_line(scene.counters),
            Text(),
            _open(scene),
        ),
        title="[bold]endcap demo[/] · a simulated shop, live",
        subtitle=f"[dim]{clock} · Ctrl-C stops",
        box=box.ROUNDED,
        border_style="blue",
        padding=(0, 2),
    )


def _traffic(scene: Scene) -> Table:
    counters, ledger = scene.counters, scene.ledger
    table = _grid()
    rate = scene.rates[-1] if scene.rates else 0.0
    errors = plural(counters.n_errors, "error")
    if counters.n_errors:
        errors = f"[bold red]{errors}[/]"
    table.add_row(
        "calls",
        f"[bold]{rate:,.0f}[/]/s  [blue]{_sparkline(scene.rates)}[/]  "
        f"{counters.n_calls:,}, {errors}",
    )
    waits = [counters.latency_ms("serve", quantile) for quantile in (0.5, 0.99)]
    if waits[0] is not None and waits[1] is not None:
        table.add_row("a page takes", f"[bold]{waits[0]:.1f}[/] ms, 99 % within {waits[1]:.1f} ms")
    table.add_row("how personal", _tiers(counters))
    stored = f"{ledger.exposures_stored:,} of {ledger.exposures_assigned:,} on disk"
    lost = f", [red]{ledger.exposures_dropped:,} dropped[/]" if ledger.exposures_dropped else ""
    table.add_row("exposures", stored + lost)
    table.add_row(
        "events",
        f"{ledger.events_accepted:,} accepted, {ledger.events_duplicate:,} duplicate, "
        f"{ledger.events_rejected:,} rejected",
    )
    for fault in counters.faults[:2]:
        table.add_row("[red]fault", Text(fault, style="red", overflow="ellipsis", no_wrap=True))
    return table


def _tiers(counters: Counters) -> Text:
    total = counters.tiers.total()
    bar, words = Text(), Text()
    for tier, colour in TIER_COLOURS.items():
        share = counters.tiers[tier] / total if total else 0.0
        bar.append("█" * round(share * _TIER_BAR), style=colour)
        if share >= 0.005:
            words.append(f" {tier} {share:.0%}", style=colour)
    return bar + words


def _arms(counters: Counters) -> Table:
    arms = {name: counters.truth.newest(name) for name in (CONTROL, TREATED)}
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column(_arms_title(counters), min_width=22, no_wrap=True)
    for name in ("slates", "clicked", "measured", "planted"):
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True, overflow="crop")
    peak = max(*(_share(arm) for arm in arms.values()), 1e-9)
    for (name, arm), shown, colour in zip(
        arms.items(), ("best sellers", "per shopper"), ("magenta", "green"), strict=True
    ):
        table.add_row(
            f"{name} [dim]({shown})[/]",
            f"{arm.n_slates:,}",
            f"{arm.clicked_slates:,}",
            f"[bold]{_share(arm):.2%}[/]",
            f"{arm.click_through:.2%}" if arm.n_slates else "–",
            Text("█" * round(_share(arm) / peak * _ARM_BAR), style=colour),
        )
    return table


def _arms_title(counters: Counters) -> str:
    epoch = counters.truth.newest_epoch
    return f"home_recs, epoch {epoch}" if epoch else "home_recs"


def _lift_line(counters: Counters) -> Text:
    control, treated = counters.truth.newest(CONTROL), counters.truth.newest(TREATED)
    lift = measured_lift(
        (treated.clicked_slates, control.clicked_slates), (treated.n_slates, control.n_slates)
    )
    planted = relative_lift(treated.click_through, control.click_through)
    if lift is None or planted is None:
        return Text("lift: waiting for clicks in both arms", style="dim")
    return Text.from_markup(
        f"[dim]click-through[/] [bold green]{lift.value:+.0%}[/]  "
        f"[dim]95 % interval[/] {lift.low:+.0%} to {lift.high:+.0%}  "
        f"[dim]planted[/] {planted:+.0%}"
    )


def _open(scene: Scene) -> Group:
    table = _grid()
    for name, address in scene.addresses:
        table.add_row(name, Text(address, style="underline"))
    return Group(table, *(Text(f"• {line}", style="dim") for line in scene.news[-3:]))


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", min_width=14, no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _share(arm: ArmTruth) -> float:
    return arm.clicked_slates / arm.n_slates if arm.n_slates else 0.0


def _sparkline(values: Iterable[float]) -> str:
    shown = list(values)
    peak = max(shown, default=0.0) or 1.0
    return "".join(_SPARKS[min(7, int(value / peak * 7.99))] for value in shown)


def tell(result: DemoResult) -> RenderableType:
    """Sum a finished run up."""
    table = _grid()
    served, lift = result.served, result.lift
    table.add_row(
        "visits",
        f"{served.n_visits:,} on {plural(served.n_pages, 'page')}, "
        f"{plural(result.errors.n, 'error')}",
    )
    for fault in result.errors.first:
        table.add_row("failed", fault)
    table.add_row(
        "exposures", f"{result.exposures.assigned:,} assigned, {result.exposures.stored:,} on disk"
    )
    table.add_row("events", f"{result.events.accepted:,} accepted")
    table.add_row("orders", f"{served.n_purchases:,}, worth {served.revenue:,.2f}")
    if lift.measured is not None and lift.planted is not None:
        table.add_row(
            "lift",
            f"click-through {lift.measured.value:+.1%} "
            f"({lift.measured.low:+.1%} to {lift.measured.high:+.1%}), planted {lift.planted:+.1%}",
        )
    if result.retrain is not None:
        table.add_row("retrained", result.retrain.in_words)
    return table
