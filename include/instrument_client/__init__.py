"""Files an instrument's observations: one call, never lost, never twice, never in its way.

    from instrument_client import Client, read_settings

    client = Client(read_settings(Path("/etc/dts-file.ini")))
    with client.observation(module="mod280") as observation:
        observation.add("/data/primecam/17637/rfsoc01_drone1/1763769600_000.g3")

A call writes to a spool on this host's disk, and returns within milliseconds with the server up, slow or gone. A
thread sends what is in the spool, in order, for days if need be, and removes what the server has accepted. What is
refused stays there with the reason: `dts-file status` shows it. Standard library and httpx only.
"""

from .client import Client, Observation
from .errors import InstrumentClientError, SpoolError, SpoolFullError, WrongInputError
from .settings import Settings, read_settings
from .usage import Limits

__all__ = [
    "Client",
    "InstrumentClientError",
    "Limits",
    "Observation",
    "Settings",
    "SpoolError",
    "SpoolFullError",
    "WrongInputError",
    "read_settings",
]
