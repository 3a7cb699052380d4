"""Writing to InfluxDB 2, or to whatever takes its write API."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from include.errors import BadInputError, TransientError

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10
REFUSED = range(400, 429)
"""What is wrong with the request or the token: the same again would be refused again."""
TOO_OLD = 422
"""Points from before what the bucket keeps were dropped, the others taken."""

Write = Callable[[Sequence[str]], None]
"""Write lines. Raises TransientError: not now; BadInputError: a person must change something."""


@dataclass(frozen=True, kw_only=True)
class InfluxAddress:
    """Where, and with which token."""

    url: str
    """`https://host:8086`."""
    organization: str
    bucket: str
    token: str = field(repr=False)


def writer(address: InfluxAddress) -> Write:
    """Return what writes there; one HTTP request a call."""
    from influxdb_client.client.influxdb_client import InfluxDBClient
    from influxdb_client.client.write_api import SYNCHRONOUS
    from influxdb_client.rest import ApiException
    from urllib3.exceptions import HTTPError

    def write(lines: Sequence[str]) -> None:
        try:
            with InfluxDBClient(
                url=address.url,
                token=address.token,
                org=address.organization,
                timeout=TIMEOUT_SECONDS * 1000,
                enable_gzip=True,
            ) as client:
                client.write_api(write_options=SYNCHRONOUS).write(bucket=address.bucket, record="\n".join(lines))
        except ApiException as error:
            said = f"InfluxDB at {address.url} answered {error.status} {error.reason}"
            if error.status == TOO_OLD:
                logger.warning("%s: some points are older than the bucket %s keeps them.", said, address.bucket)
                return
            if error.status in REFUSED:
                raise BadInputError(
                    f"{said}: look at organization, bucket {address.bucket} and token of the connection influxdb."
                ) from None
            raise TransientError(f"{said}.") from None
        except (HTTPError, OSError) as error:
            raise TransientError(f"InfluxDB at {address.url} does not answer ({type(error).__name__}).") from None

    return write
