"""The Airflow connections of the sandbox, as environment variables of the processes that need them.

The connection id of a DataLocation is its full name. What is in them:

* a disk (`conn_type` **sftp**): host, port, login = the site's account; extra `key_file` (private key of the *asking*
  site), `known_hosts` (a file), `host_key` (the same key, `ssh-ed25519 AAAA...`) and `no_host_key_check` false. SFTP
  paths are the absolute paths of the location's root in the topology.
* an archive (`conn_type` **aws**): login = key, password = secret; extra `endpoint_url`, `region_name`. The bucket is
  in the topology.
* `ops_db` (`conn_type` **postgres**): host, port, login, password, schema = the database. Everybody has it.

Each site's workers get the locations they work with and no others: their own; where the site receives transfers, the
buffers of the other sites; where it has PROCESSING or an archive, all archives (the nearest may turn out to be bad,
and one is repaired from another). No connection is in Airflow's database, so nobody can ask for more.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from include.sandbox.keys import KeyPair
from include.sandbox.s3 import S3
from include.sandbox.sftp import Sftp
from include.topology import DataLocation, LocationType, Topology

REGION = "us-east-1"


@dataclass(frozen=True)
class SiteIdentity:
    """What a site asks others with: its own SSH key and the host keys that it trusts."""

    short_name: str
    client_key: KeyPair
    known_hosts: Path


def variable(connection_id: str) -> str:
    """Return the environment variable of a connection."""
    return f"AIRFLOW_CONN_{connection_id.upper()}"


def ops_db_connection(url: str) -> dict[str, str]:
    """Return the variable of the connection `ops_db`."""
    parts = make_url(url)
    content = {
        "conn_type": "postgres",
        "host": parts.host,
        "port": parts.port,
        "login": parts.username,
        "password": parts.password,
        "schema": parts.database,
    }
    return {variable("ops_db"): json.dumps(content)}


def site_connections(
    site: SiteIdentity, *, topology: Topology, sftp: dict[str, Sftp], stores: dict[str, S3]
) -> dict[str, str]:
    """Return the variables of all locations that `site` works with.

    `sftp` are the servers by site, `stores` the S3 stores by full name of their location.
    """
    found: dict[str, str] = {}
    for location in needed_locations(site.short_name, topology=topology):
        if location.storage.type == "disk":
            content = _sftp(sftp[location.site], site=site)
        else:
            content = _s3(stores[location.full_name])
        found[variable(location.full_name)] = json.dumps(content)
    return found


def needed_locations(short_name: str, *, topology: Topology) -> tuple[DataLocation, ...]:
    """Return the locations that the workers of a site work with."""
    receives = short_name in topology.archive_sites
    return tuple(
        location
        for location in topology.data_locations
        if location.site == short_name
        or (receives and location.location_type is LocationType.BUFFER)
        or (location.storage.type == "s3" and (receives or _has_processing(short_name, topology.data_locations)))
    )


def _has_processing(short_name: str, locations: Iterable[DataLocation]) -> bool:
    return any(place.site == short_name and place.location_type is LocationType.PROCESSING for place in locations)


def _sftp(server: Sftp, *, site: SiteIdentity) -> dict[str, object]:
    extra = {
        "key_file": str(site.client_key.private),
        "known_hosts": str(site.known_hosts),
        "host_key": server.host_key.public,
        "no_host_key_check": False,
    }
    return {"conn_type": "sftp", "host": server.host, "port": server.port, "login": server.user, "extra": extra}


def _s3(store: S3) -> dict[str, object]:
    extra = {"endpoint_url": store.endpoint, "region_name": REGION}
    return {"conn_type": "aws", "login": store.key, "password": store.secret, "extra": extra}
