"""Writes a report as one HTML page to send around: the verdict as text, each table in a block.

The tables are those of the terminal, so both say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from rich.table import Table

from service.reports.report import Report
from service.reports.table import report_parts

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta name="viewport" content="width=device-width">
<title>{name}: report</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 16px auto; padding: 0 16px; max-width: 64rem; font: 1rem/1.5 sans-serif; }}
h1 {{ font-size: 1.4rem; margin-bottom: 0; }}
h2 {{ font-size: 1rem; margin: 24px 0 4px; }}
h1, h2, p {{ overflow-wrap: anywhere; }}
.verdict {{ font-size: 1.1rem; font-weight: bold; }}
/* A shadow at the side says that there is more, and a printed page shows all of it. */
.block {{
  overflow-x: auto;
  background:
    linear-gradient(to right, Canvas 40%, transparent) left / 36px 100% no-repeat local,
    linear-gradient(to left, Canvas 40%, transparent) right / 36px 100% no-repeat local,
    linear-gradient(to right, #8888, transparent) left / 12px 100% no-repeat scroll,
    linear-gradient(to left, #8888, transparent) right / 12px 100% no-repeat scroll;
}}
@media print {{ .block {{ overflow: visible; background: none; }} }}
table {{ border-collapse: collapse; font-size: .875rem; }}
th, td {{ padding: 4px 16px 4px 0; border-bottom: 1px solid #8886; text-align: left; }}
th, td {{ font-weight: normal; white-space: pre; }}
thead th {{ opacity: .8; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<main>
<h1>{name}</h1>
<p>Report of this rollout, {at:%Y-%m-%d %H:%M} UTC</p>
{parts}
</main>
</body>
</html>
"""


def report_page(report: Report) -> str:
    """Write the report as an HTML page that needs nothing else."""
    verdict, *parts = report_parts(report)
    blocks = [f'<p class="verdict">{escape(str(verdict))}</p>']
    blocks += [
        _block(part) if isinstance(part, Table) else f"<p>{escape(str(part))}</p>" for part in parts
    ]
    at = datetime.fromtimestamp(report.at_ms / 1000, UTC)
    return _PAGE.format(name=escape(report.rollout), at=at, parts="\n".join(blocks))


def _block(table: Table) -> str:
    """Write a table that scrolls by itself where it is wider than the window."""
    title = escape(str(table.title))
    kinds = [' class="number"' if one.justify == "right" else "" for one in table.columns]
    head = _row("th", table.columns[0].header, [one.header for one in table.columns[1:]], kinds)
    rows = "\n".join(
        _row("td", first, others, kinds)
        for first, *others in zip(*(one.cells for one in table.columns), strict=True)
    )
    return (
        f"<h2>{title}</h2>\n"
        f'<div class="block" role="region" aria-label="{title}" tabindex="0">\n'
        f"<table>\n<thead>{head}</thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _row(tag: str, first: object, others: Sequence[object], kinds: Sequence[str]) -> str:
    """Write a row; what stands in the first column names it."""
    cells = "".join(
        f"<{tag}{kind}>{escape(str(one))}</{tag}>"
        for one, kind in zip(others, kinds[1:], strict=True)
    )
    return f"<tr><th>{escape(str(first))}</th>{cells}</tr>"
