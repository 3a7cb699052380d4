"""What is measured: every measurement with its tags and fields. docs/metrics.md is made of this.

A tag has few values, all of them known from the topology and from the words of ops-db: no ids, no names of packages
or people, no sentences. So the number of series has a bound (`most_series`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from include.ops_db.states import AttemptOutcome, Condition
from include.topology import LocationType, OperationKind, Topology

SEVERAL = "several"
"""The instrument of a transfer with packages of several."""
CONDITIONS = {condition: number for number, condition in enumerate(Condition)}
"""Of a location, as a number: the larger, the worse."""


class Tag(StrEnum):
    """By what series are told apart."""

    STAGE = "stage"
    SITE = "site"
    LOCATION = "location"
    LOCATION_TYPE = "location_type"
    INSTRUMENT = "instrument"
    ROUTE = "route"
    OUTCOME = "outcome"
    HOST = "host"
    COPY = "copy"

    @property
    def meaning(self) -> str:
        """For people."""
        return _TAGS[self]


_TAGS = {
    Tag.STAGE: "Kind of the operation: " + ", ".join(OperationKind) + ".",
    Tag.SITE: "Short name of the site where the work is done.",
    Tag.LOCATION: "Full name of the DataLocation, such as `cologne_archive`.",
    Tag.LOCATION_TYPE: ", ".join(LocationType) + ".",
    Tag.INSTRUMENT: f"Name of the instrument; `{SEVERAL}` of a transfer with packages of several.",
    Tag.ROUTE: "Two DataLocations, such as `ccat_buffer to cologne_buffer`; only of what goes from one to the other.",
    Tag.OUTCOME: ", ".join(AttemptOutcome) + ".",
    Tag.HOST: "Name of the worker host.",
    Tag.COPY: "`first`, `second` or `further`: the how-manieth archive copy of the package it is.",
}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A measurement of InfluxDB."""

    meaning: str
    when: str
    """When there is a point, and what its time is."""
    tags: tuple[Tag, ...]
    fields: Mapping[str, str]
    """What each means, with its unit; the name's end says it, too."""


EVENT = "One for each, at the time when it ended."
SAMPLE = "Every minute."

CATALOGUE: Mapping[str, Measurement] = {
    "dts_attempt": Measurement(
        meaning="An attempt at an operation: something that was done to data, or that did not succeed.",
        when=EVENT,
        tags=(Tag.STAGE, Tag.SITE, Tag.LOCATION, Tag.INSTRUMENT, Tag.ROUTE, Tag.OUTCOME),
        fields={
            "size_bytes": "Bytes moved or read.",
            "seconds": "How long it took.",
            "bytes_per_second": "Its rate; not where no bytes were moved.",
            "waited_seconds": "From when the operation was made until this attempt began; of first attempts only.",
        },
    ),
    "dts_archived": Measurement(
        meaning="A package reached an archive: the latency from end to end.",
        when=EVENT,
        tags=(Tag.SITE, Tag.LOCATION, Tag.INSTRUMENT, Tag.COPY),
        fields={
            "seconds": "From the filing of its first file until it was verified in this archive.",
            "size_bytes": "Size of the package.",
            "files": "How many files are in it.",
        },
    ),
    "dts_link": Measurement(
        meaning="How much of a route was used, against what its timetable allows.",
        when="For every five minutes, at their end; written three quarters of an hour later, when transfers that began"
        " in them have told how many bytes they moved (each is spread evenly over its time).",
        tags=(Tag.ROUTE, Tag.SITE),
        fields={
            "size_bytes": "Bytes moved in these five minutes.",
            "bytes_per_second": "The same as a rate.",
            "allowed_bytes_per_second": "What the timetable allows; not where the link is the limit.",
        },
    ),
    "dts_lane": Measurement(
        meaning="What is to be done at a lane.",
        when=SAMPLE,
        tags=(Tag.STAGE, Tag.SITE, Tag.LOCATION),
        fields={
            "pending": "Operations that wait.",
            "scheduled": "Operations that a worker takes next.",
            "running": "Operations in progress.",
            "failed": "Operations that wait for a person.",
            "oldest_seconds": "Age of the oldest one of all of these; 0: there is none.",
            "slots": "How many may run at once.",
        },
    ),
    "dts_location": Measurement(
        meaning="How full a DataLocation is.",
        when=SAMPLE,
        tags=(Tag.SITE, Tag.LOCATION, Tag.LOCATION_TYPE),
        fields={
            "total_bytes": "What may be filled; not where nobody knows.",
            "used_bytes": "What is used, other people's files included.",
            "free_bytes": "What is left.",
            "reserved_bytes": "What running operations have yet to write.",
            "stored_bytes": "Ours, by the catalogue.",
            "stored_copies": "Copies of files (SOURCE) or packages, by the catalogue.",
            "hours_left": "Until it is full at the present rate; not if it never is.",
            "condition": ", ".join(f"{number} {name}" for name, number in CONDITIONS.items()) + ".",
            "looked_at_seconds": "How long ago a host last looked at it.",
        },
    ),
    "dts_archive": Measurement(
        meaning="What is in an archive.",
        when="Every ten minutes.",
        tags=(Tag.SITE, Tag.LOCATION, Tag.INSTRUMENT),
        fields={
            "packages": "Packages that are present there.",
            "size_bytes": "Their size.",
            "damaged_packages": "Packages whose copy there is corrupt or missing.",
        },
    ),
    "dts_worker": Measurement(
        meaning="How a worker host is, by its own heartbeat.",
        when=SAMPLE,
        tags=(Tag.SITE, Tag.HOST),
        fields={
            "up": "1: its heartbeat is fresh; 0: it is missing.",
            "heartbeat_seconds": "How old its last heartbeat is.",
            "queues": "How many queues its worker listens to.",
            "clock_ahead_seconds": "How far its clock is ahead of that of ops-db.",
            "free_bytes": "What is left on the disk where it works (logs, temporary files).",
            "unreached": "How many of its locations it does not reach.",
        },
    ),
    "dts_system": Measurement(
        meaning="The system as a whole.",
        when=SAMPLE,
        tags=(),
        fields={
            "filings_waiting": "Filings that wait for their verdict.",
            "alarms": "Alarms that are open.",
            "critical_alarms": "Those of them that somebody should look at now.",
            "ops_db_bytes": "Size of ops-db.",
            "export_behind_seconds": "How far InfluxDB is behind what was done.",
        },
    ),
}


def most_series(topology: Topology) -> int:
    """Return how many series of a measurement and its tags there can ever be with this topology (fields apart)."""
    counts = {
        Tag.STAGE: len(OperationKind),
        Tag.SITE: 1,  # it follows from the location, the host or the route
        Tag.LOCATION: len(topology.data_locations),
        Tag.LOCATION_TYPE: 1,
        Tag.INSTRUMENT: len(topology.instruments) + 2,  # several, none
        Tag.ROUTE: len(topology.data_locations) + 1,  # from wherever to the location; none
        Tag.OUTCOME: len(AttemptOutcome),
        Tag.HOST: len(topology.hosts),
        Tag.COPY: 3,
    }
    total = 0
    for measurement in CATALOGUE.values():
        product = len(topology.data_locations) if measurement.tags == (Tag.ROUTE, Tag.SITE) else 1
        for tag in measurement.tags:
            product *= counts[tag]
        total += product
    return total
