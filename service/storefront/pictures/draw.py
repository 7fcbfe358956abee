"""Draws an item and a banner as SVG: pure, from what the catalogue says of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from service.storefront.pictures.more_shapes import DESK, NURSERY, OUTDOORS, PARCEL
from service.storefront.pictures.nouns import NOUNS
from service.storefront.pictures.palette import NAMED, WALLS, Shades, shades_of
from service.storefront.pictures.patterns import PATTERNS
from service.storefront.pictures.shapes import BATH, FASHION, KITCHEN, Part

SHAPES: dict[str, tuple[Part, ...]] = {
    **KITCHEN, **FASHION, **BATH, **DESK, **OUTDOORS, **NURSERY,
}  # fmt: skip
_FIXED = {"gold": "#c9a14a", "wood": "#b98a5a", "cream": "#fbf6ea", "leaf": "#5f8a55"}
_VEILS = {"shade": ("#000", 0.14), "gleam": ("#fff", 0.34), "glow": ("#ffd65c", 0.5)}
_BACKDROPS: tuple[str, ...] = (
    '<circle cx="100" cy="96" r="74" fill="{c}"/>',
    '<path d="M36 172V96a64 64 0 0 1 128 0v76z" fill="{c}"/>',
    '<path d="M0 118h200v82H0z" fill="{c}"/>',
    '<path d="M0 200L200 20v180z" fill="{c}"/>',
    '<circle cx="146" cy="62" r="46" fill="{c}"/><path d="M0 168h200v32H0z" fill="{c}"/>',
    '<path d="M24 36h152v136H24z" fill="{c}"/>',
)


@dataclass(frozen=True, slots=True)
class Look:
    """What a drawing is made from."""

    id: str
    category: str | None = None
    attributes: tuple[str, ...] = ()
    """Such as ``colour:sage`` and ``style:nordic``."""
    title: str = ""


def draw_item(look: Look) -> str:
    """Draw one item before a wall, square."""
    chance = _chance(look.id)
    wall, painted = WALLS[chance[0] % len(WALLS)]
    backdrop = _BACKDROPS[chance[1] % len(_BACKDROPS)].format(c=painted)
    thing = _thing(look, "p", is_mirrored=chance[2] % 2 == 1)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200" width="600" height="600">'
        f'<rect width="200" height="200" fill="{wall}"/>{backdrop}'
        f"{_shadow(100, 172, 62)}{thing}</svg>"
    )


def draw_banner(banner_id: str, things: Sequence[Look]) -> str:
    """Draw up to five things on plinths, three times as wide as high, with room for a title."""
    chance = _chance(banner_id)
    wall, painted = WALLS[chance[2] % len(WALLS)]
    deep = shades_of(painted).dark
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1200 400" width="1800" height="600" '
        'preserveAspectRatio="xMaxYMid slice">'
        f'<rect width="1200" height="400" fill="{wall}"/>'
        f'<circle cx="{800 + chance[1] % 120}" cy="190" r="260" fill="{painted}"/>'
        f'<path d="M510 400V210a112 112 0 0 1 224 0v190z" fill="{deep}" fill-opacity=".45"/>'
        f'<rect y="346" width="1200" height="54" fill="{deep}" fill-opacity=".55"/>'
        f"{''.join(_on_plinths(things, wall, deep))}</svg>"
    )


def _on_plinths(things: Sequence[Look], wall: str, deep: str) -> Iterable[str]:
    spots = ((622, 0, 1.2), (1074, 0, 1.2), (862, 40, 1.6), (742, 0, 0.85), (976, 0, 0.85))
    for number, (look, (x, height, scale)) in enumerate(zip(things, spots, strict=False)):
        if height:
            yield (
                f'<rect x="{x - 120}" y="{352 - height}" width="240" height="{height + 8}" rx="6" '
                f'fill="{wall}"/><rect x="{x - 120}" y="{352 - height}" width="240" height="8" '
                f'rx="3" fill="{deep}" fill-opacity=".5"/>'
            )
        y = 358 - height
        yield _shadow(x, y, 60 * scale)
        left, top = x - 100 * scale, y - 168 * scale
        yield (
            f'<g transform="translate({left:.1f} {top:.1f}) scale({scale})">'
            f"{_thing(look, f'p{number}')}</g>"
        )


def _shadow(x: float, y: float, width: float) -> str:
    return (
        f'<ellipse cx="{x}" cy="{y}" rx="{width:.0f}" ry="{width / 8:.1f}" fill="#000" '
        'fill-opacity=".16"/>'
    )


def _thing(look: Look, pattern_id: str, *, is_mirrored: bool = False) -> str:
    words = _words(look.attributes)
    chance = _chance(look.id)
    colours = list(NAMED.values())
    colour = NAMED.get(words.get("colour", ""), colours[chance[3] % len(colours)])
    styles = list(PATTERNS)
    style = words.get("style", "")
    tile = PATTERNS.get(style, PATTERNS[styles[chance[4] % len(styles)]])
    shades = shades_of(colour)
    flip = ' transform="translate(200 0) scale(-1 1)"' if is_mirrored else ""
    printed = ""
    if tile:
        colour_of_print = shades.pale if chance[5] % 3 else shades.dark
        printed = (
            f'<pattern id="{pattern_id}" width="24" height="24" patternUnits="userSpaceOnUse" '
            f'patternTransform="scale({0.8 + chance[6] % 5 * 0.15:.2f})">'
            f"{tile.format(c=colour_of_print)}</pattern>"
        )
    parts = _shape(look)
    drawn = "".join(_part(paint, path, shades, pattern_id if tile else "") for paint, path in parts)
    return f"{printed}<g{flip}>{drawn}</g>"


def _shape(look: Look) -> tuple[Part, ...]:
    """Find what to draw: by a noun in the title, else by the last part of the category."""
    title = look.title.lower()
    for noun, parts in NOUNS.items():
        if noun in title:
            return parts
    return SHAPES.get((look.category or "").rpartition(" > ")[2].strip().lower(), PARCEL)


def _part(paint: str, path: str, shades: Shades, pattern_id: str) -> str:
    name, _, width = paint.partition(" ")
    if name in _VEILS:
        colour, opacity = _VEILS[name]
        veil = f'-opacity="{opacity}"'
    else:
        colour, veil = _FIXED.get(name) or getattr(shades, name), ""
    if width:
        veiled = f" stroke{veil}" if veil else ""
        return (
            f'<path d="{path}" fill="none" stroke="{colour}"{veiled} stroke-width="{width}" '
            'stroke-linecap="round" stroke-linejoin="round"/>'
        )
    veiled = f" fill{veil}" if veil else ""
    drawn = f'<path d="{path}" fill="{colour}"{veiled}/>'
    if name == "main" and pattern_id:
        drawn += f'<path d="{path}" fill="url(#{pattern_id})" fill-opacity=".5"/>'
    return drawn


def _words(attributes: Iterable[str]) -> dict[str, str]:
    """Read ``name:value`` attributes."""
    pairs = (attribute.lower().partition(":") for attribute in attributes)
    return {name.replace("color", "colour"): value for name, _, value in pairs}


def _chance(text: str) -> bytes:
    """Draw eight numbers below 256 that are always the same for a text."""
    return blake2b(text.encode(), digest_size=8).digest()
