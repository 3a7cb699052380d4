"""Look at an archive of this site, with a temporary object."""

from include.doctor.connections import Connections, s3_address
from include.doctor.finding import Area, Finding, Verdict, not_measured
from include.doctor.judge_archive import judge_archive
from include.doctor.judge_clock import judge_offset
from include.doctor.limits import Limits
from include.doctor.s3_speed import s3_clock, s3_speed
from include.errors import BadInputError, DtsError
from include.topology import DataLocation, S3Storage


def look_at_archive(location: DataLocation, *, connections: Connections, limits: Limits) -> list[Finding]:
    """Return what is found about its speed and its clock."""
    assert isinstance(location.storage, S3Storage)
    name = location.full_name
    try:
        connection = connections.need(name)
        address = s3_address(connection, connection_id=name, bucket=location.storage.bucket)
    except BadInputError as error:
        return [not_measured(Area.ARCHIVE, f"{name}, put and get", why=str(error))]
    try:
        clock = judge_offset(name, s3_clock(address))
        speed = s3_speed(address, seconds=limits.seconds, most_bytes=limits.most_bytes)
    except DtsError as error:
        return [
            Finding(
                area=Area.ARCHIVE,
                what=f"{name}, reached",
                verdict=Verdict.BAD,
                sentence=f"It cannot be used: {error}.",
                advice=f"Is the store up, and is the connection {name} right?",
            )
        ]
    return [clock, *judge_archive(name, speed, need=limits.need)]
