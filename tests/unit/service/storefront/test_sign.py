"""The sign over the door: read from the home, plain without it, a clear refusal if it is wrong."""

from pathlib import Path

import pytest

from models.errors import ConfigError
from service.storefront.sign import Sign, read_sign
from training.simulation.personas import choose_personas, write_sign
from training.simulation.world import World


def test_shop_without_a_sign_is_plain(tmp_path: Path) -> None:
    """No file, no personas; an id is a persona all the same."""
    sign = read_sign(tmp_path)
    assert sign == Sign()
    somebody = sign.persona("u7")
    assert somebody is not None
    assert (somebody.user_id, somebody.name) == ("u7", "u7")
    assert sign.persona("") is sign.persona(None) is None


def test_sign_of_the_demo_is_read(small_world: World, tmp_path: Path) -> None:
    """What `endcap demo` writes is what the storefront reads: personas who have been here."""
    write_sign(choose_personas(small_world), tmp_path)
    sign = read_sign(tmp_path)
    shoppers = small_world.shoppers
    assert len(sign.personas) >= 2
    assert len({persona.user_id for persona in sign.personas}) == len(sign.personas)
    for persona in sign.personas:
        assert shoppers.first_seen_ms[shoppers.user_ids.index(persona.user_id)] >= 0
        assert sign.persona(persona.user_id) == persona


def test_wrong_sign_is_refused(tmp_path: Path) -> None:
    """The refusal names the file and what to do."""
    (tmp_path / "storefront.json").write_text('{"nme": 1}')
    with pytest.raises(ConfigError, match=r"storefront\.json does not describe a shop"):
        read_sign(tmp_path)
