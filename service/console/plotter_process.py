"""Turns Vega-Lite specifications into SVG: a line of JSON in, a line of JSON out, until the end.

A process of its own, and no more than this file: the library runs a JavaScript engine, which takes
90 MB and holds the interpreter's lock while it draws, and pages are served meanwhile.
"""

from __future__ import annotations

import json
import sys

import vl_convert


def main() -> None:
    """Draw what is asked until whoever asks has gone."""
    # The first drawing takes a second or more, which passes while somebody types the next thing.
    vl_convert.vegalite_to_svg({"data": {"values": [{}]}, "mark": "point"})
    for line in sys.stdin:
        try:
            answer = {"svg": vl_convert.vegalite_to_svg(json.loads(line))}
        except Exception as error:  # the loop of a task: one odd picture must not end it
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
