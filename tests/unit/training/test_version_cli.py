"""Versions and segments on a terminal and in a pipe: no id and no figure is cut."""

from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from models.artifact import ArtifactStore
from models.manifest import Gate, SegmentSummary
from models.terminal import print_table
from tests.unit.models.small_snapshot import make_snapshot
from training.segment_tables import show_segments
from training.version_cli import models, segments
from training.versions import list_of_versions, print_versions

REASON = "better than popularity by 0.0412 [0.0391, 0.0433], no worse than the live version by more"
SUMMARY = SegmentSummary(
    users=1_234_567,
    orders=9_876_543,
    average_order_value=12_345.67,
    items_per_order=12.5,
    orders_per_month=1.25,
    channel_share={"marketplace": 0.5, "newsletter": 0.3, "[red]shop\x1b[31m": 0.2},
)
SEGMENTS = {"lifecycle:at_risk": SUMMARY, "basket:[many]": SUMMARY}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """Return a store with two versions, one of them live."""
    store = ArtifactStore(tmp_path)
    counts = {"users": 1_234_567, "items": 123_456}
    gate = Gate(verdict="passed", reason=REASON)
    versions = [
        store.publish(make_snapshot(data_until_ms=day, counts=counts, gate=gate, segments=SEGMENTS))
        for day in (1, 2)
    ]
    store.promote(versions[1])
    return store


def on_a_terminal(width: int) -> Console:
    return Console(width=width, file=StringIO(), force_terminal=True, color_system=None)


def lines_of(console: Console) -> list[str]:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_versions_in_a_pipe_are_a_line_each(store: ArtifactStore, tmp_path: Path) -> None:
    """One in the table, and one with all that the gate said."""
    text = CliRunner().invoke(models, ["list", "--home", str(tmp_path)]).stdout
    lines = [line.rstrip() for line in text.splitlines()]
    for one in store.versions():
        assert f"{one.version} passed: {REASON}" in lines
        [row] = [line for line in lines if f"│ {one.version}" in line]
        assert "1970-01-01 00:00" in row
        assert all(figure in row for figure in ("1234567", "123456", "0.5000", "passed"))


@pytest.mark.parametrize("width", [40, 80])
def test_versions_on_a_terminal_are_whole(store: ArtifactStore, width: int) -> None:
    """On one of 80 columns the table fits, with the time below the date; a narrower one wraps."""
    console = on_a_terminal(width)
    print_versions(list_of_versions(store), console)
    lines = lines_of(console)
    text = "\n".join(lines)
    assert "…" not in text
    assert f"{store.live_version()} live" in text
    assert text.count("│ 1234567 │ 123456 │ 0.5000  │ passed │") == 2
    assert max(map(len, lines)) <= max(80, width)


def test_segments_in_a_pipe_are_a_line_each(store: ArtifactStore, tmp_path: Path) -> None:
    """What the shop named is shown as it is: no markup, and nothing that a terminal obeys."""
    text = CliRunner().invoke(segments, ["--home", str(tmp_path)]).stdout
    assert str(store.live_version()) in text
    channels = r"marketplace 50%, newsletter 30%, [red]shop\x1b[31m 20%"
    for key in SEGMENTS:
        [row] = [line for line in text.splitlines() if key in line]
        assert channels in row
        assert all(figure in row for figure in ("1,234,567", "12,345.67", "12.50", "1.25"))


@pytest.mark.parametrize("width", [40, 80])
def test_segments_on_a_terminal_are_whole(width: int) -> None:
    """Only channels are wrapped, between words."""
    console = on_a_terminal(width)
    print_table(show_segments("0123456789abcdef", SEGMENTS), console)
    text = "\n".join(lines_of(console))
    assert "…" not in text
    for key in SEGMENTS:
        assert f"│ {key}" in text
    words = ("1,234,567", "12,345.67", "12.50", "1.25", "marketplace", r"[red]shop\x1b[31m")
    for word in words:
        assert text.count(word) == 2
