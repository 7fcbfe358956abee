"""Whom a visitor may be: both arms are among them, whatever the seed."""

from training.simulation.personas import N_PERSONAS, Persona, choose_personas, mix
from training.simulation.world import World

FOUR = [Persona(user_id=one, name=one.upper(), about="") for one in "abcd"]


def _ids(personas: list[Persona]) -> str:
    return "".join(persona.user_id for persona in personas)


def test_mix_takes_the_arms_in_turn() -> None:
    """Of a, b, c, d with c and d treated it is c, a, d, b; one arm alone keeps its order."""
    assert _ids(mix(FOUR, {"c", "d"})) == "cadb"
    assert _ids(mix(FOUR, {"b"})) == "bacd"
    assert _ids(mix(FOUR, set())) == "abcd"
    assert mix([], {"a"}) == []
    many = [Persona(user_id=str(n), name="", about="") for n in range(9)]
    assert len(mix(many, {"8"})) == N_PERSONAS
    assert mix(many, {"8"})[0].user_id == "8"


def test_personas_are_regulars_with_tastes_that_differ(small_world: World) -> None:
    """Each has been here before, and likes something else most."""
    personas = choose_personas(small_world)
    shoppers, leaves = small_world.shoppers, small_world.shop.leaves
    rows = [shoppers.user_ids.index(persona.user_id) for persona in personas]
    assert all(shoppers.first_seen_ms[row] >= 0 for row in rows)
    best = [leaves[int(shoppers.leaf_taste[row].argmax())].split(" > ")[0] for row in rows]
    assert len(set(best)) == len(best) >= 2
    assert len({persona.name for persona in personas}) == len(personas)
