"""Numbers, times, forms, differences and tables, as pages show them."""

import pytest

from models.errors import InputError
from service.console.documents_diff import Difference, diff_documents
from service.console.figure import share_bar, write_csv
from service.console.form import Form, FormError
from service.console.formatting import (
    ago,
    count,
    milliseconds,
    moment,
    percent,
    signed_percent,
    span,
    total,
)
from service.console.pages import make_environment


def test_numbers_are_written_for_people() -> None:
    """No digits that say nothing, and a dash for what is not known."""
    assert [percent(0.125), percent(0.5), percent(0.0), percent(None)] == [
        *("12.5 %", "50 %", "0 %", "–"),
    ]
    assert [signed_percent(0.03), signed_percent(-0.031), signed_percent(0.0)] == [
        *("+3 %", "−3.1 %", "±0 %"),
    ]
    assert signed_percent(790_595.997) == "+79,059,599.7 %"
    assert [count(1234567), count(0), count(None)] == ["1,234,567", "0", "–"]
    assert [milliseconds(0.9123), milliseconds(1500)] == ["0.912 ms", "1.5 s"]
    assert [total(0.4), total(999.5), total(1000.4), total(0)] == [
        *("0.40", "999.50", "1,000", "0.00"),
    ]


def test_times_are_written_in_their_largest_unit() -> None:
    """Past and to come."""
    assert [span(90_000), span(86_400_000 * 3.5), span(4_000)] == ["1 minute", "3 days", "4 s"]
    assert ago(0, 7_200_000) == "2 hours ago"
    assert ago(7_200_000, 0) == "in 2 hours"
    assert ago(1_000, 2_000) == "just now"
    assert moment(0) == '<time datetime="1970-01-01T00:00:00Z">1970-01-01 00:00 UTC</time>'


def test_difference_names_the_place() -> None:
    """By path; the revision, which always differs, is left out."""
    before = {"share": 0.1, "revision": 3, "audience": {"country": ["AE"]}, "old": 1, "same": (1,)}
    after = {
        "share": 0.2,
        "revision": 4,
        "audience": {"country": ["AE", "SA"]},
        "new": "x",
        "same": [1],
    }
    assert diff_documents(before, after) == [
        Difference("share", "changed", "10 %", "20 %"),
        Difference("audience.country", "changed", '["AE"]', '["AE","SA"]'),
        Difference("old", "removed", "1", ""),
        Difference("new", "added", "", "x"),
    ]
    assert diff_documents(None, {"a": 1}) == [Difference("", "added", "", '{"a":1}')]


def test_form_reads_what_was_typed() -> None:
    """Space around it is dropped; a comma is a decimal point; what is no number is said so."""
    form = Form({"a": (" x ", "y"), "n": ("12,5",), "lines": ("one\n\n two",), "on": ("1",)}, {})
    assert (form.text("a"), form.all("a"), form.text("none", "z")) == ("y", ["x", "y"], "z")
    assert form.number("n", "Share") == 12.5
    assert form.lines("lines") == ["one", "two"]
    assert (form.is_on("on"), form.is_on("a"), form.optional("none")) == (True, False, None)
    with pytest.raises(FormError, match="Share: 'y' is not a number") as raised:
        form.number("a", "Share")
    assert raised.value.field == "a"


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("1 200", 1200),
        ("1\u202f200,5", 1200.5),
        ("1,234,567", 1234567),
        ("1,234.5", 1234.5),
        ("0,125", 0.125),
        ("12,50", 12.5),
        ("1234,567", 1234.567),
    ],
)
def test_number_is_read_as_people_write_it(typed: str, number: float) -> None:
    """With thousands apart, as pages write them, and with either decimal sign."""
    assert Form({"n": (typed,)}, {}).number("n", "n") == number


@pytest.mark.parametrize("typed", ["1,200", "-12,000", "999,999"])
def test_number_that_may_be_two_is_asked_again(typed: str) -> None:
    """1,200 is not 1.2 because nobody asked: the message has both, to choose from."""
    whole = typed.replace(",", "")
    with pytest.raises(FormError, match=rf"may be {whole} or {typed.replace(',', '.')}"):
        Form({"n": (typed,)}, {}).number("n", "n")


@pytest.mark.parametrize("typed", ["NaN", "-inf", "1e400", "99999999999999999999", "\x00", ""])
def test_number_of_a_form_is_finite(typed: str) -> None:
    """What could not be made a whole number of is refused, as a mistake of the request."""
    with pytest.raises(FormError, match="n: ") as raised:
        Form({"n": (typed,)}, {}).number("n", "n")
    assert isinstance(raised.value, InputError)


def test_csv_runs_no_formula() -> None:
    """A title that a spreadsheet would compute is text; numbers stay numbers."""
    assert write_csv(["a"], [["\t=1+1"], [""]]) == 'a\r\n\'\t=1+1\r\n""\r\n'
    assert write_csv(["a", "b"], [["=1+1", -2], ["x,y", None]]) == 'a,b\r\n\'=1+1,-2\r\n"x,y",\r\n'


def test_csv_runs_no_formula_where_semicolons_divide() -> None:
    """Excel in German divides a file at them, whatever is quoted there; a title keeps its text."""
    rows = [["p1", "Mug;=1+1"], ["p2", 'Mug;"@SUM(1)'], ["p3", "Mug; 1 - 2"], ["p4", "a=b;c"]]
    assert write_csv(["+a", "b;-1"], rows).splitlines() == [
        "'+a,b;'-1",
        "p1,Mug;'=1+1",
        'p2,"Mug;\'""@SUM(1)"',
        "p3,Mug; 1 - 2",
        "p4,a=b;c",
    ]


@pytest.mark.parametrize(
    ("figure", "size"),
    [("1,234,567", ""), ("12,345,678", " long"), ("12,345,678.90", " longer"), ("3 days ago", "")],
)
def test_figure_of_many_digits_is_written_smaller(figure: str, size: str) -> None:
    """It would break in the middle of a number; words break between them."""
    template = '{% import "parts.html" as ui with context %}{{ ui.stat("Value", figure) }}'
    drawn = make_environment().from_string(template).render(figure=figure)
    assert f'<div class="stat {size}">' in drawn


def test_share_bar_says_its_shares() -> None:
    """Names are escaped, widths add up to the whole."""
    bar = share_bar([("<personal>", 3), ("static", 1)])
    assert 'aria-label="&lt;personal&gt; 75%, static 25%"' in bar
    assert 'width="75.000"' in bar
    assert 'x="75.000" width="25.000"' in bar
