"""Colours of the drawings: a name in the catalogue to five shades, and the walls behind."""

from __future__ import annotations

from colorsys import hls_to_rgb, rgb_to_hls
from dataclasses import dataclass

NAMED: dict[str, str] = {
    "sage": "#8fa58a", "ochre": "#d69a3a", "ink": "#3b4a6b", "chalk": "#e6dfd2",
    "rose": "#d98c93", "slate": "#6b7a86", "coral": "#ec7a5c", "moss": "#66763d",
    "sand": "#d5b98c", "plum": "#7d4d72", "sky": "#7fb0d4", "clay": "#b9694b",
}  # fmt: skip
"""Other names take one of these by their hash."""

WALLS: tuple[tuple[str, str], ...] = (
    ("#f3ece1", "#e4d8c5"), ("#e9eee6", "#d3ddcc"), ("#e6ecf2", "#cddae6"), ("#f5e6df", "#e9d0c3"),
    ("#eee8f0", "#dcd0e1"), ("#f6eed6", "#eaddb4"), ("#e3efee", "#c6dedb"), ("#f1e7e7", "#e2cfd0"),
)  # fmt: skip
"""What is behind an item: the wall and what is painted on it."""


@dataclass(frozen=True, slots=True)
class Shades:
    """One colour in four lightnesses."""

    main: str
    pale: str
    dark: str
    ink: str


def shades_of(colour: str) -> Shades:
    """Shade a colour that is written as ``#rrggbb``."""
    return Shades(
        main=colour, pale=_lighten(colour, 0.55), dark=_lighten(colour, -0.22), ink=_ink(colour)
    )


def _lighten(colour: str, by: float) -> str:
    """Move a colour towards white (0 to 1) or black (-1 to 0)."""
    hue, light, saturation = rgb_to_hls(*_parts(colour))
    moved = light + (1.0 - light) * by if by > 0 else light * (1.0 + by)
    return _text(hls_to_rgb(hue, moved, saturation * (1.0 if by > 0 else 0.72)))


def _ink(colour: str) -> str:
    hue, _, saturation = rgb_to_hls(*_parts(colour))
    return _text(hls_to_rgb(hue, 0.22, min(saturation, 0.35)))


def _parts(colour: str) -> tuple[float, float, float]:
    return (
        int(colour[1:3], 16) / 255,
        int(colour[3:5], 16) / 255,
        int(colour[5:7], 16) / 255,
    )


def _text(parts: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)
