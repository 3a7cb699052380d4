"""What differs between two topologies, in lines for people."""

from collections.abc import Iterator, Mapping
from typing import Any

NAMES = {"sites": ("short_name",), "hosts": ("name",), "data_locations": ("site", "name"), "instruments": ("name",)}
"""Which keys name an entry of a list."""


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each thing that was added, removed or changed: `+ data_locations.us_buffer`."""
    for section, keys in NAMES.items():
        yield from _of_entries(section, _named(before, section, keys=keys), _named(after, section, keys=keys))
    yield from _of_entries("routes", _routes(before), _routes(after))
    yield from _of_values("policy", before.get("policy") or {}, after.get("policy") or {})
    yield from _of_values("housekeeping", before.get("housekeeping") or {}, after.get("housekeeping") or {})
    for rule, after_rule in (after.get("alarms") or {}).items():
        yield from _of_values(f"alarms.{rule}", (before.get("alarms") or {}).get(rule) or {}, after_rule)
    yield from _of_entries("notifications.channels", _channels(before), _channels(after))


def _of_entries(section: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"- {section}.{name}" for name in before if name not in after)
    for name, entry in after.items():
        if name not in before:
            yield f"+ {section}.{name}"
        else:
            yield from _of_values(f"{section}.{name}", before[name], entry)


def _of_values(where: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key, value in after.items():
        old = before.get(key)
        if old != value:
            yield f"  {where}.{key}: {_shown(old)} -> {_shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "unset" if value is None else str(value)


def _named(document: Mapping[str, Any], section: str, *, keys: tuple[str, ...]) -> dict[str, Any]:
    return {"_".join(entry[key] for key in keys): entry for entry in document.get(section) or ()}


def _channels(document: Mapping[str, Any]) -> dict[str, Any]:
    channels = (document.get("notifications") or {}).get("channels") or ()
    return {channel["name"]: channel for channel in channels}


def _routes(document: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{route['from_location']} to {route['to_location']}": route for route in document.get("routes") or ()}
