"""ObsCore 1.1: how an archived package describes itself to the Virtual Observatory.

Source of names, units and rules: IVOA Recommendation "Observation Data Model Core Components and its Implementation in
the Table Access Protocol", version 1.1, 2017-05-09 (https://www.ivoa.net/documents/ObsCore/20170509/), tables 1 and 4
(mandatory fields, which are null where nothing is known) and the sections named below.
"""

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

COLLECTION = "CCAT"
FACILITY = "FYST"

# Ours: CCAT has no registered IVOA authority yet. The identifier must not change once published (section 4.5).
PUBLISHER = "ivo://ccat/raw"

MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
"""Modified Julian Date 0: JD 2400000.5 (IAU 1973)."""

SECONDS_A_DAY = 86_400


class ObsCore(BaseModel):
    """The mandatory fields of ObsCore 1.1, and `dataproduct_subtype`. Units: deg, arcsec, d (MJD), s, m, kbyte."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataproduct_type: str | None = None
    """Null: no proposed type describes a tar of an instrument's own files; the subtype does (section 3.3.1)."""
    dataproduct_subtype: str = "raw data package"
    calib_level: Literal[0] = 0
    """0: raw instrumental data, in an internal format that needs instrument specific tools (section 3.3.2)."""
    obs_collection: str = COLLECTION
    obs_id: str
    """The same for all packages of an observation (section 4.4)."""
    obs_publisher_did: str
    access_url: str
    access_format: str = "application/x-tar"
    access_estsize: int
    target_name: str | None = None
    s_ra: float | None = None
    s_dec: float | None = None
    s_fov: float | None = None
    s_region: str | None = None
    s_xel1: int | None = None
    s_xel2: int | None = None
    s_resolution: float | None = None
    t_min: float | None
    t_max: float | None
    t_exptime: float | None
    t_resolution: float | None = None
    t_xel: int | None = None
    em_min: float | None = None
    em_max: float | None = None
    em_res_power: float | None = None
    em_xel: int | None = None
    o_ucd: str | None = None
    pol_states: str | None = None
    pol_xel: int | None = None
    facility_name: str = FACILITY
    instrument_name: str


def obscore_of(
    *,
    package: str,
    observation: UUID,
    instrument: str,
    started_at: datetime,
    finished_at: datetime | None,
    size_bytes: int,
    bucket: str,
    key: str,
) -> ObsCore:
    """Describe a package at an archive; times are UTC, `finished_at` is None while the observation goes on."""
    return ObsCore(
        obs_id=str(observation),
        obs_publisher_did=f"{PUBLISHER}?{package}",
        access_url=f"s3://{bucket}/{key}",
        access_estsize=kilobytes(size_bytes),
        t_min=modified_julian_date(started_at),
        t_max=modified_julian_date(finished_at) if finished_at else None,
        # Section 4.15: for simple exposures t_max - t_min in seconds. From the times themselves: a double in days is
        # good to a microsecond only.
        t_exptime=(finished_at - started_at).total_seconds() if finished_at else None,
        instrument_name=instrument,
    )


def modified_julian_date(moment: datetime) -> float:
    """Return days since 1858-11-17T00:00, on the UTC scale (a leap second is not counted); good to about 1 µs."""
    return (moment - MJD_EPOCH).total_seconds() / SECONDS_A_DAY


def kilobytes(size_bytes: int) -> int:
    """Return an estimated size in kbyte (1000 bytes, VOUnits 1.0), rounded up: nothing but nothing has size 0."""
    return -(-size_bytes // 1000)
