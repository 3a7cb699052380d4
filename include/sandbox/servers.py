"""PostgreSQL, Redis, and each site's SFTP server and S3 store, started side by side."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from psycopg import sql
from sqlalchemy.orm import Session

from include.ops_db.apply import apply_topology
from include.ops_db.engine import ops_db_engine
from include.ops_db.migrate import upgrade
from include.sandbox.accounts import private_file, private_folder
from include.sandbox.accounts_of_sites import Accounts
from include.sandbox.connections import SiteIdentity
from include.sandbox.house import House
from include.sandbox.keys import KeyPair
from include.sandbox.layout import Layout
from include.sandbox.ports import configured_port, port_setting
from include.sandbox.postgres import Postgres
from include.sandbox.process import Daemon
from include.sandbox.redis import Redis
from include.sandbox.s3 import S3
from include.sandbox.sftp import Sftp
from include.sandbox.template import OPS_DB_DATABASE, OPS_DB_ROLE, Template, metadata_url, renew_passwords
from include.topology import Topology

_OPS_DB_LIMITS = {"statement_timeout": "30s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"}
"""The defaults leave a vanished client's locks for hours."""


class Servers:
    """All servers of one sandbox that are not Airflow's."""

    def __init__(self, *, topology: Topology, layout: Layout, house: House, accounts: Accounts) -> None:
        self._topology = topology
        self._control = accounts.control
        programs = house.programs
        port = configured_port
        control = accounts.control
        self.postgres = Postgres(
            folder=layout.run / "postgres",
            port=port("POSTGRES"),
            setting=port_setting("POSTGRES"),
            programs=programs,
            account=control,
        )
        self.redis = Redis(
            folder=layout.run / "redis",
            port=port("REDIS"),
            setting=port_setting("REDIS"),
            programs=programs,
            account=control,
        )
        self.sftp = {
            site.short_name: Sftp(
                folder=layout.site(site.short_name) / "sftp",
                port=port(f"SFTP_{site.short_name}"),
                setting=port_setting(f"SFTP_{site.short_name}"),
                programs=programs,
                code=house.root,
                account=accounts.of_site(site.short_name),
            )
            for site in topology.sites
        }
        self.stores = {
            location.full_name: S3(
                folder=layout.site(location.site) / location.name,
                bucket=location.storage.bucket,
                port=port(f"S3_{location.full_name}"),
                setting=port_setting(f"S3_{location.full_name}"),
                programs=programs,
                account=accounts.of_site(location.site),
            )
            for location in topology.data_locations
            if location.storage.type == "s3"
        }
        self.identities = {
            site.short_name: self._identity(site.short_name, layout=layout, accounts=accounts)
            for site in topology.sites
        }
        self.metadata_url = ""
        self.ops_db_url = ""

    def start(self, template: Template) -> None:
        """Start all of them and return once all answer; the databases are a copy of the template."""
        public_keys = tuple(identity.client_key.public for identity in self.identities.values())
        steps: list[Callable[[], object]] = [lambda: self._start_postgres(template), self.redis.start]
        steps += [partial(server.start, authorized=public_keys) for server in self.sftp.values()]
        steps += [store.start for store in self.stores.values()]
        with ThreadPoolExecutor(max_workers=len(steps)) as pool:
            for step in [pool.submit(step) for step in steps]:
                step.result()

    def prepare_ops_db(self) -> None:
        """Bring ops-db to its schema and apply the topology."""
        upgrade(self.ops_db_url)
        engine = ops_db_engine(self.ops_db_url)
        with Session(engine) as session, session.begin():
            # ops-db and all disks are in one folder: if that was moved, they were moved together.
            moved = [location.full_name for location in self._topology.data_locations]
            apply_topology(session, self._topology, applied_by="sandbox", moved=moved)
        engine.dispose()

    def stop(self) -> None:
        """Stop those that were started."""
        servers = (*self.stores.values(), *self.sftp.values(), self.redis, self.postgres)
        with ThreadPoolExecutor(max_workers=len(servers)) as pool:
            list(pool.map(lambda server: server.stop(), servers))

    @property
    def ports(self) -> dict[str, int]:
        """Where each listens, by the name that its setting has."""
        found = {"postgres": self.postgres.port, "redis": self.redis.port}
        found |= {f"sftp_{site}": server.port for site, server in self.sftp.items()}
        return found | {f"s3_{location}": store.port for location, store in self.stores.items()}

    @property
    def daemons(self) -> dict[str, Daemon]:
        """Their processes, by the same names."""
        found = {"postgres": self.postgres.daemon, "redis": self.redis.daemon}
        found |= {f"sftp_{site}": server.daemon for site, server in self.sftp.items()}
        return found | {f"s3_{location}": store.daemon for location, store in self.stores.items()}

    def _start_postgres(self, template: Template) -> None:
        private_folder(self.postgres.folder, account=self._control)
        self.postgres.password = template.copy_to(self.postgres)
        self.postgres.start()
        passwords = renew_passwords(self.postgres)
        for name, value in _OPS_DB_LIMITS.items():
            words = {"role": sql.Identifier(OPS_DB_ROLE), "name": sql.Identifier(name), "value": sql.Literal(value)}
            self.postgres.execute(sql.SQL("ALTER ROLE {role} SET {name} = {value}").format(**words))
        self.metadata_url = metadata_url(self.postgres, password=passwords["airflow"])
        self.ops_db_url = self.postgres.url(OPS_DB_DATABASE, user=OPS_DB_ROLE, password=passwords[OPS_DB_ROLE])

    def _identity(self, site: str, *, layout: Layout, accounts: Accounts) -> SiteIdentity:
        account = accounts.of_site(site)
        folder = private_folder(layout.site(site) / "ssh", account=account)
        lines = [server.known_hosts_line for server in self.sftp.values()]
        return SiteIdentity(
            short_name=site,
            client_key=KeyPair.made(folder / "id_ed25519", account=account),
            known_hosts=private_file(folder / "known_hosts", "\n".join((*lines, "")), account=account),
        )
