"""Numbers for people: rates in MB/s, sizes in powers of 1000, lengths of time in their largest fitting unit."""

import math

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def rate(bytes_per_second: float) -> str:
    """Return `92.6 MB/s`."""
    megabytes = bytes_per_second / 1e6
    return f"{megabytes:.0f} MB/s" if megabytes >= 100 else f"{megabytes:.1f} MB/s"


def about(bytes_per_second: float) -> str:
    """Return a forecast with two digits, more would be a lie: `110 MB/s`, `4.1 MB/s`."""
    megabytes = bytes_per_second / 1e6
    if megabytes <= 0:
        return "0 MB/s"
    digits = 1 - math.floor(math.log10(megabytes))
    return f"{round(megabytes, digits):.{max(digits, 0)}f} MB/s"


def size(count: float) -> str:
    """Return `1.5 GB`."""
    number = float(count)
    for unit in _UNITS:
        if number < 1000 or unit == _UNITS[-1]:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}".replace(".0 ", " ")
        number /= 1000
    raise AssertionError("the last unit takes everything")


def length(seconds: float) -> str:
    """Return `3.4 s`, `250 ms`, `1.5 days`."""
    for unit_seconds, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit_seconds:
            return f"{seconds / unit_seconds:.1f} {unit}"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
