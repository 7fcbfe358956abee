"""A banner as fields of a form, and back."""

from __future__ import annotations

from typing import Any

import msgspec

from service.console.audience_form import read_audience, show_audience, typed_audience
from service.console.form import Form, FormError
from service.console.formatting import exact
from service.console.schedule_form import read_schedule, show_schedule
from service.control.documents import Banner

_TEXTS = (
    *("id", "title", "image_url", "link_url", "weight", "cap_views", "cap_hours"),
    *("starts_at", "ends_at", "time_zone", "find"),
)
_LISTS = ("categories", "attributes", "item_ids")

Fields = dict[str, Any]


def blank_banner() -> Fields:
    """Return the fields of a banner that is yet to be made."""
    return {
        **dict.fromkeys((*_TEXTS, *_LISTS), ""),
        "weight": "1",
        "time_zone": "UTC",
        "enabled": True,
        "audience": show_audience(None),
    }


def show_banner(banner: Banner) -> Fields:
    """Write a banner for the inputs."""
    cap = banner.cap
    return {
        **blank_banner(),
        **{name: "\n".join(getattr(banner, name)) for name in _LISTS},
        **show_schedule(banner.starts_at, banner.ends_at, banner.time_zone),
        "id": banner.id,
        "title": banner.title,
        "image_url": banner.image_url,
        "link_url": banner.link_url,
        "weight": exact(banner.weight),
        "cap_views": "" if cap is None else str(cap.max_views),
        "cap_hours": "" if cap is None else exact(cap.hours),
        "enabled": banner.enabled,
        "audience": show_audience(banner.audience),
    }


def typed_banner(form: Form) -> Fields:
    """Return what was typed, to show it again."""
    return {
        **{name: form.text(name) for name in (*_TEXTS, *_LISTS)},
        "enabled": form.is_on("enabled"),
        "audience": typed_audience(form),
    }


def read_banner(form: Form) -> Banner:
    """Make the banner that was typed.

    Raises
    ------
    FormError, msgspec.ValidationError
        If a field holds what it cannot hold, or fields contradict each other.
    """
    cap = None
    if form.text("cap_views"):
        views = form.number("cap_views", "how often")
        hours = form.number("cap_hours", "hours") if form.text("cap_hours") else 24.0
        if views != int(views):
            raise FormError("cap_views", f"how often: {views:g} is not a whole number")
        cap = {"max_views": int(views), "hours": hours}
    elif form.text("cap_hours"):
        raise FormError(
            "cap_views", "say after how many times it rests, or leave the hours empty too"
        )
    made: dict[str, Any] = {
        "title": form.text("title"),
        "image_url": form.text("image_url"),
        "link_url": form.text("link_url"),
        "weight": form.number("weight", "weight") if form.text("weight") else 1.0,
        "cap": cap,
        "audience": read_audience(form),
        "enabled": form.is_on("enabled"),
        **{name: form.lines(name) for name in _LISTS},
        **read_schedule(form),
    }
    return msgspec.convert(made, Banner)
