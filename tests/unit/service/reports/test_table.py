"""A report on a terminal of 80 columns."""

from io import StringIO

from rich.console import Console
from rich.table import Table

from models.vocabulary import Vocabulary
from service.reports.epochs import Opened
from service.reports.report import make_report
from service.reports.table import print_report, report_parts
from service.rollouts.definition import Rollout
from service.stores.rollout_sums import ArmSums, People, RolloutSums


def sums(epoch: int, variant: str, n_clicked: int) -> ArmSums:
    """Let 123,456 units see a slate each, and some click or buy for 10."""
    n = 123_456
    money = 10.0 * n_clicked
    return ArmSums(
        epoch, variant, n, 0, n, n_clicked, n, n_clicked, n_clicked, n_clicked, 0,
        n_clicked, n_clicked, n_clicked, money, 10 * money,
    )  # fmt: skip


def test_report_fits_on_a_terminal() -> None:
    """Each arm, difference, epoch and note is there, and nothing is cut off at 80 columns."""
    arms = [
        sums(epoch, variant, n)
        for epoch in (1, 2)
        for variant, n in (("control", 9_000), ("personal", 9_900))
    ]
    opened = {epoch: Opened(at_ms=0, rollout=Rollout(key="r", share=0.5)) for epoch in (1, 2)}
    people = dict.fromkeys(("control", "personal"), People(246_912))
    sums_of_all = RolloutSums(arms, people, {"NO_UNIT": 7}, n_shown={"control": {"p1": 9, "b": 1}})
    catalogue = Vocabulary.from_ids(["p1", "p2", "p3"])
    report = make_report("home_recs", sums_of_all, opened, at_ms=0, catalogue=catalogue)
    console = Console(width=80, file=StringIO())
    print_report(report, console)
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "…" not in text
    for expected in ("246,912", "7.29 %", "8.02 %", "50.0 %", "epoch 2", "7 NO_UNIT", "+10.00 % [",
                     "1 of 3", "33.3 %"):  # fmt: skip
        assert expected in text, text


def test_baskets_are_counted() -> None:
    """6,000 of 123,456 units put something by: 4.86 %."""
    arm = sums(1, "control", 9)._replace(n_carters=6_000)
    found = RolloutSums([arm], {"control": People(123_456, n_carters=6_000)}, {})
    table = next(
        part
        for part in report_parts(make_report("r", found, {}, at_ms=0))
        if isinstance(part, Table) and str(part.title).startswith("clicks, baskets")
    )
    cells = {str(one.header): [str(cell) for cell in one.cells] for one in table.columns}
    assert (cells["baskets"], cells["rate"]) == (["6,000"], ["4.86 %"])


def test_share_of_the_only_epoch_stands_with_the_arms() -> None:
    """Over two epochs, which may have had two shares, there is none to show."""
    rollout = Rollout(key="r", share=0.2)
    for epochs, shares in (((1,), ["80.0 %", "20.0 %"]), ((1, 2), ["", ""])):
        opened = {epoch: Opened(at_ms=0, rollout=rollout) for epoch in epochs}
        arms = [sums(epoch, name, 9) for epoch in epochs for name in ("control", "personal")]
        people = dict.fromkeys(("control", "personal"), People(9))
        report = make_report("r", RolloutSums(arms, people, {}), opened, at_ms=0)
        table = next(part for part in report_parts(report) if isinstance(part, Table))
        assert [str(cell) for cell in table.columns[1].cells] == shares


def test_report_shows_brackets_of_names() -> None:
    """A key or a variant in brackets is a name, and no markup of the terminal."""
    arms = [sums(1, "[red]", 9), sums(1, "[/b]", 9)]
    people = dict.fromkeys(("[red]", "[/b]"), People(9))
    console = Console(width=80, file=StringIO())
    print_report(make_report("[/i]", RolloutSums(arms, people, {}), {}, at_ms=0), console)
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert all(name in text for name in ("[/i]: all epochs", "[red]", "[/b]"))
