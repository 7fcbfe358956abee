"""A report as a page to send around."""

from html.parser import HTMLParser

from service.reports.report import Report, make_report
from service.reports.report_page import report_page
from service.stores.rollout_sums import People, RolloutSums
from tests.unit.service.reports.test_table import sums


def report(key: str, *variants: str) -> Report:
    found = RolloutSums(
        [sums(1, name, 9) for name in variants], dict.fromkeys(variants, People(9)), {}
    )
    return make_report(key, found, {}, at_ms=90_061_000)  # a day, an hour, a minute and a second


class Read(HTMLParser):
    """Keeps the text of each paragraph and the cells of each row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.paragraphs: list[str] = []
        self.rows: list[list[str]] = []
        self._into: list[str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("p", "th", "td"):
            self._into = self.paragraphs if tag == "p" else self.rows[-1]
            self._into.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "th", "td"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[-1] += data


def test_page_begins_with_name_time_and_verdict() -> None:
    """They are paragraphs, which wrap; a name with markup stays text."""
    found = report("<b>", "control")
    page = report_page(found)
    assert "<title>&lt;b&gt;: report</title>" in page
    assert "<h1>&lt;b&gt;</h1>" in page
    assert "<b>" not in page
    assert '<html lang="en">' in page
    read = Read(page)
    assert read.paragraphs[0] == "Report of this rollout, 1970-01-02 01:01 UTC"
    assert read.paragraphs[1] == found.verdict.sentence
    assert read.paragraphs[1].startswith("Too early")


def test_page_holds_the_tables_of_the_terminal() -> None:
    """Each row begins with its variant and has as many cells as its table has columns."""
    read = Read(report_page(report("r", "control", "<i>")))
    assert read.rows[0][:3] == ["variant", "share", "units"]
    assert [row[0] for row in read.rows[1:3]] == ["control", "<i>"]
    assert {len(row) for row in read.rows[:3]} == {9}
