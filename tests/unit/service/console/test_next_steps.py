"""The next steps of refusals, as the console says them."""

import pytest

from models.errors import EndcapError
from service.console.next_steps import for_the_console
from service.control.consent import Consent, check_jump, in_phase
from service.control.slots import check_share
from service.rollouts.definition import Rollout
from service.rollouts.layer import LayerShare

SMALL = Rollout(key="r", share=0.01)


def test_jump_and_new_phase_are_no_fields_to_send() -> None:
    """A page has no body to write `confirm` into."""
    with pytest.raises(EndcapError) as jumped:
        check_jump(SMALL, Rollout(key="r", share=0.5), Consent())
    told = for_the_console(jumped.value.message)
    assert told.endswith("of now; move the share on its page, which shows whom and asks once more")
    with pytest.raises(EndcapError) as dealt:
        in_phase(SMALL, Rollout(key="r", share=0.01, salt="new"), Consent())
    told = for_the_console(dealt.value.message)
    assert told.endswith("dealt anew; set the share to 0 first, or make another rollout")


def test_layer_is_made_under_its_section() -> None:
    """The known ones stay in the sentence."""
    with pytest.raises(EndcapError) as refused:
        check_share(LayerShare(key="l", slots=((0, 9),)), "user", None, ["a", "b"])
    assert for_the_console(refused.value.message) == (
        "layer 'l' is not configured; known: a, b; make it under Layers and holdout"
    )


@pytest.mark.parametrize(
    "message",
    [
        "rule 'a; b' is switched off; switch it on",
        "the key you signed in with has the scope 'support'; this page is for 'admin'",
        "item 'does not exist in x; known' is not in the catalogue",
    ],
)
def test_what_names_no_call_stays(message: str) -> None:
    """Also where an id looks like a part of a sentence."""
    assert for_the_console(message) == message
