"""How things stand, as Prometheus reads it. What happened (attempts, arrivals) is in InfluxDB only."""

from collections.abc import Iterable, Iterator

from include.metrics.catalogue import CATALOGUE
from include.metrics.point import Point

CONTENT_TYPE = "text/plain; version=0.0.4"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exposed(points: Iterable[Point]) -> str:
    """Return points as gauges, `{measurement}_{field}`, without times: they are of now."""
    by_name: dict[tuple[str, str], list[str]] = {}
    for point in points:
        labels = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in point.known_tags.items())
        for field, value in point.known_fields.items():
            line = f"{point.measurement}_{field}{{{labels}}} {value!r}"
            by_name.setdefault((point.measurement, field), []).append(line)
    return "\n".join(_families(by_name)) + "\n"


def _families(by_name: dict[tuple[str, str], list[str]]) -> Iterator[str]:
    for (measurement, field), lines in by_name.items():
        name = f"{measurement}_{field}"
        yield f"# HELP {name} {CATALOGUE[measurement].fields[field]}"
        yield f"# TYPE {name} gauge"
        yield from lines
