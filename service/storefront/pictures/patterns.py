"""What is printed on an item, by its style: tiles of an SVG pattern, in one colour."""

from __future__ import annotations

PATTERNS: dict[str, str] = {
    "nordic": '<path d="M0 18l6-9 6 9zM12 6l6-9 6 9zM12 30l6-9 6 9z" fill="{c}"/>'
    '<path d="M0 22h24" stroke="{c}" stroke-width="1.5"/>',
    "rustic": '<path d="M0 6h24M0 18h24M6 0v24M18 0v24" stroke="{c}" stroke-width="4" '
    'stroke-opacity=".55"/>',
    "botanical": '<path d="M6 20c-5-6-2-12 3-15c3 6 1 12-3 15zM16 12c6-1 8-6 7-11c-6 1-9 5-7 11z" '
    'fill="{c}"/><path d="M6 20l3-15M16 12l7-11" stroke="{c}"/>',
    "retro": '<g fill="none" stroke="{c}" stroke-width="3"><circle cx="12" cy="24" r="10"/>'
    '<circle cx="12" cy="24" r="4"/></g>',
    "coastal": '<path d="M0 8c4-5 8-5 12 0s8 5 12 0M0 20c4-5 8-5 12 0s8 5 12 0" fill="none" '
    'stroke="{c}" stroke-width="2.5"/>',
    "bold": '<path d="M0 12L6 4L12 12L18 4L24 12V18L18 10L12 18L6 10L0 18z" fill="{c}"/>',
    "classic": '<path d="M4 0v24M16 0v24" stroke="{c}" stroke-width="2"/>',
    "minimal": "",
}
"""A tile is 24 wide and high. `minimal` is plain."""
