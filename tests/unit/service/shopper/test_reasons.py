"""Why a rollout gives what it gives, in words."""

from typing import get_args

import pytest

from service.rollouts.assignment import Detail
from service.shopper.reasons import why
from service.shopper.view import Arm


def arm(reason: str, detail: str | None = None, variant: str = "control") -> Arm:
    return Arm(key="r", variant=variant, reason=reason, detail=detail, epoch=1, share=0.25)


@pytest.mark.parametrize("detail", get_args(Detail))
def test_every_detail_has_words_of_its_own(detail: str) -> None:
    """No two of them are told alike, and none as the split."""
    told = {why(arm("SPLIT", other)) for other in get_args(Detail)}
    assert len(told) == len(get_args(Detail))
    assert "inside the share" not in why(arm("SPLIT", detail))


def test_reasons_without_a_detail() -> None:
    """In the share, switched off, and without an id to hash."""
    assert why(arm("SPLIT", variant="personal")) == "by the split, inside the share of 25.0%"
    assert why(arm("DISABLED")) == "the rollout is switched off"
    assert why(arm("NO_UNIT")) == why(arm("NO_UNIT", "NO_UNIT"))
