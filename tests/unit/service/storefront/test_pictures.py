"""Drawings: whole SVG, the same for the same item, another one for another."""

from xml.etree import ElementTree

import pytest

from service.storefront.pictures.draw import SHAPES, Look, draw_banner, draw_item
from service.storefront.pictures.nouns import NOUNS
from service.storefront.pictures.palette import NAMED, shades_of
from service.storefront.pictures.patterns import PATTERNS

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("kind", [*SHAPES, *NOUNS, "umbrellas", ""])
def test_every_category_is_drawn(kind: str) -> None:
    """Each known category, and any other, gives a square SVG with at least three parts."""
    root = ElementTree.fromstring(
        draw_item(Look("p1", f"Home > {kind.title()}", ("style:nordic",)))
    )
    assert root.tag == f"{SVG}svg"
    assert root.get("viewBox") == "0 0 200 200"
    assert len(list(root.iter(f"{SVG}path"))) >= 3


def test_drawing_depends_on_the_item_and_nothing_else() -> None:
    """Twice the same item is twice the same picture; a colour makes another one."""
    mug = Look("p1", "Home > Kitchen > Mugs", ("style:minimal", "colour:sage"))
    red = Look("p1", "Home > Kitchen > Mugs", ("style:minimal", "colour:rose"))
    assert draw_item(mug) == draw_item(mug) != draw_item(red)
    assert NAMED["sage"] in draw_item(mug)
    assert "<pattern" not in draw_item(mug)  # minimal is plain


def test_noun_in_the_title_comes_before_the_category() -> None:
    """A tumbler among the bottles is drawn as one, a bottle is not."""
    bottle, tumbler, flask = (
        draw_item(Look("p1", "Sport > Outdoor > Bottles", (), f"Acme Retro {noun}, Sky"))
        for noun in ("Bottle", "Tumbler", "Flask")
    )
    assert len({bottle, tumbler, flask}) == 3


@pytest.mark.parametrize("style", PATTERNS)
def test_every_style_is_printed(style: str) -> None:
    """Each style, on each colour, is whole SVG."""
    for colour in NAMED:
        ElementTree.fromstring(
            draw_item(Look("x", "A > Vases", (f"style:{style}", f"colour:{colour}")))
        )


def test_hostile_words_do_not_get_into_the_drawing() -> None:
    """An id, a category or an attribute is never written into the SVG."""
    evil = '"/><script>alert(1)</script>'
    drawn = draw_item(Look(evil, f"A > {evil}", (f"style:{evil}", f"colour:{evil}")))
    drawn += draw_banner(evil, [Look(evil, evil, (evil,))])
    assert "script" not in drawn


def test_banner_holds_what_it_advertises() -> None:
    """A banner is three times as wide as high, with a group for each of at most five things."""
    things = [Look(f"p{n}", "A > Mugs") for n in range(7)]
    root = ElementTree.fromstring(draw_banner("sale", things))
    assert root.get("viewBox") == "0 0 1200 400"
    assert len(root.findall(f"{SVG}g")) == 5
    assert len(ElementTree.fromstring(draw_banner("sale", [])).findall(f"{SVG}g")) == 0


def test_shades_go_from_pale_to_ink() -> None:
    """A grey of 128 has the shades 199, 100 and 56: half to white, a fifth to black, ink."""
    shades = shades_of("#808080")
    assert (shades.pale, shades.main, shades.ink) == ("#c6c6c6", "#808080", "#383838")
    assert shades.dark == "#646464"
