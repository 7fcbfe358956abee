"""The generator of constant rate knows which pages it was itself late for."""

import numpy as np
import pytest

from tests.benchmarks.serve.open_loop import met


@pytest.mark.parametrize(
    ("due_s", "latency_s", "expected"),
    [
        (1.0, 0.5, False),  # answered before
        (1.9, 0.2, True),  # answered within
        (2.2, 0.1, True),
        (2.9, 3.0, True),  # due within
        (1.9, 1.1005, True),  # read right after it
        (1.0, 3.0, False),  # it was over when the answer came
        (3.0, 0.5, False),  # due when it was over
        (4.9, 0.2, True),
        (6.0, 1.0, False),
    ],
)
def test_page_meets_a_span_in_which_the_generator_was_held_up(
    due_s: float, latency_s: float, expected: bool
) -> None:
    """Sent late or read late; what lay between did nothing to it."""
    spans = [(2.0, 3.0), (5.0, 5.5)]
    assert met(np.array([due_s]), np.array([latency_s]), spans).tolist() == [expected]


def test_page_meets_nothing_where_nothing_was() -> None:
    """No span, no page held up."""
    assert met(np.array([1.0, 2.0]), np.array([1.0, 1.0]), []).tolist() == [False, False]
