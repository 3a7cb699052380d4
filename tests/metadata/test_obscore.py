"""ObsCore fields against values known from elsewhere."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest

from include.metadata.obscore import kilobytes, modified_julian_date, obscore_of
from include.metadata.sidecar import sidecar_key

TABLE_1 = {
    "dataproduct_type",
    "calib_level",
    "obs_collection",
    "obs_id",
    "obs_publisher_did",
    "access_url",
    "access_format",
    "access_estsize",
    "target_name",
    "s_ra",
    "s_dec",
    "s_fov",
    "s_region",
    "s_xel1",
    "s_xel2",
    "s_resolution",
    "t_min",
    "t_max",
    "t_exptime",
    "t_resolution",
    "t_xel",
    "em_min",
    "em_max",
    "em_res_power",
    "em_xel",
    "o_ucd",
    "pol_states",
    "pol_xel",
    "facility_name",
    "instrument_name",
}
"""The mandatory fields of ObsCore 1.1."""


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(1858, 11, 17, tzinfo=UTC), 0.0),
        (datetime(2000, 1, 1, 12, tzinfo=UTC), 51544.5),  # J2000.0 is JD 2451545.0
        (datetime(1970, 1, 1, tzinfo=UTC), 40587.0),
        (datetime(2000, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))), 51544.5),
    ],
)
def test_modified_julian_dates(moment, expected):
    assert modified_julian_date(moment) == expected


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 1), (1000, 1), (1001, 2), (50 * 10**9, 50_000_000)])
def test_sizes_are_in_thousands_of_bytes_rounded_up(size, expected):
    assert kilobytes(size) == expected


def test_what_nobody_knows_is_null_and_what_must_not_be_null_is_not():
    fields = obscore_of(
        package="one",
        observation=uuid4(),
        instrument="chai",
        started_at=datetime(2026, 4, 1, tzinfo=UTC),
        finished_at=None,
        size_bytes=10,
        bucket="archive",
        key="chai/one.tar",
    ).model_dump()
    assert set(fields) == TABLE_1 | {"dataproduct_subtype"}
    unknown = {"dataproduct_type", "target_name", "t_max", "t_exptime", "t_resolution", "t_xel", "o_ucd"}
    unknown |= {name for name in fields if name.startswith(("s_", "em_", "pol_"))}
    assert {name for name, value in fields.items() if value is None} == unknown


def test_a_sidecar_lies_beside_its_package():
    assert sidecar_key("chai/20260401/one.tar") == "chai/20260401/one.json"
