"""A breath for whoever else wants the interpreter while a thread has much to do.

Each time the event loop reads or sends, it hands the interpreter lock over, and waits up to a
switch interval until a busy thread gives it back: a page takes five times as long meanwhile.
"""

from __future__ import annotations

import time

BREATH_S = 0.002


def breathe() -> None:
    """Let others work for a moment; call it after a piece of a millisecond or so."""
    time.sleep(BREATH_S)


def no_breath() -> None:
    """Go on at once: nobody else wants anything yet."""
