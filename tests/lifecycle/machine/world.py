"""The observatory in which each history begins: two packages everywhere, and files of other people beside them.

It is made once, and put back for each history: rows from a schema `begin`, files from memory.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from include.ops_db.apply import apply_topology
from include.ops_db.tables import Base
from include.storage.disk import DiskStorage
from include.topology import DataLocation, Topology
from tests.databases import PLACES as TABLES_OF_PLACES
from tests.databases import deletion as delete_all_rows
from tests.lifecycle.archived import Archived, archived_package
from tests.observatory import Observatory, sandbox_topology

SOURCE, PROCESSING = "ccat_source", "cologne_processing"
BUFFERS = ("ccat_buffer", "cologne_buffer", "us_buffer")
DELETABLE = (SOURCE, *BUFFERS, PROCESSING)
ARCHIVES = ("cologne_archive", "cologne_vault", "us_archive")
"""Two of them at one site: three copies there are not three sites."""
TRANSFERS = (("ccat_buffer", "cologne_buffer"), ("cologne_buffer", "us_buffer"))

VAULT = DataLocation.model_validate(
    {
        "site": "cologne",
        "name": "vault",
        "location_type": "long_term_archive",
        "storage": {"type": "s3", "bucket": "cologne-vault"},
        "hosts": ["cologne"],
        "priority": 200,
    }
)
VACUUM_EVERY = 100
"""Histories. Rows of those before make every statement slower."""


class FixedTopology(Topology):
    """Its hash is asked for in every transaction, and costs more than the transaction."""

    @cached_property
    def sha256(self) -> str:  # type: ignore[override]
        return super().sha256

    @cached_property
    def document(self) -> str:
        """As JSON."""
        return self.model_dump_json()


class World:
    """What is, and means to change it as other parts of the system, people and decay would."""

    def __init__(self, engine: Engine, root: Path, policies: Mapping[str, Mapping[str, Any]]) -> None:
        self.engine = engine
        self.topologies = {name: _topology(root, policy) for name, policy in policies.items()}
        self.policy = next(iter(self.topologies))
        self.observatory = Observatory(engine, root, self.topologies[self.policy])
        for place in (*DELETABLE, *ARCHIVES):
            self.folder(place).mkdir(parents=True, exist_ok=True)
            self.observatory.storages[place] = DiskStorage(self.folder(place))
        self._apply()
        self.touched: set[str] = set()
        """Places where files may have changed in this history."""
        self.packages = (
            archived_package(self.observatory, {"16123/a_000.g3": b"first file" * 50, "16123/a_001.g3": b"second"}),
            replace(archived_package(self.observatory, {"chai/b_000.fits": b"third"}), instrument="chai"),
        )
        self._finish_packages()
        self.strangers = self._strangers()
        self._files = self._read_files()
        self._begin = self._keep_rows()
        self._histories = 0

    def folder(self, place: str) -> Path:
        return self.observatory.folder(place)

    def begin(self) -> None:
        """Make everything as it was in the beginning."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql(self._begin)
        for place in self.touched:
            shutil.rmtree(self.folder(place))
            for path, (content, modified_at) in self._files[place].items():
                _write(self.folder(place) / path, content, modified_at)
        self.touched.clear()
        self._histories += 1
        if self._histories % VACUUM_EVERY == 0:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("vacuum"))

    def apply_policy(self, name: str) -> None:
        """Make another policy the applied one; every process has its file at once."""
        self.policy = name
        self.observatory.topology = self.topologies[name]
        statement = """
            insert into topology_version (sha256, document, applied_by)
            values (:sha, cast(:document as jsonb), 'tests')
            """
        topology = self.observatory.topology
        assert isinstance(topology, FixedTopology)
        self.sql(statement, sha=topology.sha256, document=topology.document)

    def sql(self, statement: str, **values: object) -> int:
        with self.engine.begin() as connection:
            return connection.execute(text(statement), values).rowcount

    def scalars(self, statement: str, **values: object) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), values).scalars())

    def put(self, place: str, path: str, content: bytes) -> None:
        """Write a file as it lies there."""
        self.touched.add(place)
        self.observatory.put_files({path: content}, location=place)

    def file(self, place: str, path: str) -> Path:
        """Return where a file is, for whoever is about to change it."""
        self.touched.add(place)
        return self.folder(place) / path

    def files_of(self, package: Archived, place: str) -> dict[str, bytes]:
        """What should be at a place, by path."""
        if place == SOURCE:
            return dict(package.files)
        if place == PROCESSING:
            return {f"{package.staged_folder}/{path}": content for path, content in package.files.items()}
        return {package.path: package.content}

    def is_good(self, package: Archived, place: str) -> bool:
        """Tell whether all bytes of it are there and right."""
        found = {self.folder(place) / path: content for path, content in self.files_of(package, place).items()}
        return all(path.is_file() and path.read_bytes() == content for path, content in found.items())

    def good_places(self, package: Archived) -> set[str]:
        return {place for place in (*DELETABLE, *ARCHIVES) if self.is_good(package, place)}

    def _apply(self) -> None:
        with Session(self.engine) as session, session.begin():
            apply_topology(session, self.observatory.topology, applied_by="tests")

    def _finish_packages(self) -> None:
        """A copy of each in the vault and at the processing location; the second is of another instrument."""
        for package in self.packages:
            package.stage()
            self.put("cologne_vault", package.path, package.content)
            self.sql(
                """
                insert into physical_copy
                  (raw_data_package_id, data_location_id, path, size_bytes, checksum, verified_at)
                select c.raw_data_package_id, l.id, c.path, c.size_bytes, c.checksum, c.verified_at
                from physical_copy c join data_location a on a.id = c.data_location_id, data_location l
                where c.raw_data_package_id = :id and a.full_name = 'cologne_archive' and l.full_name = 'cologne_vault'
                """,
                id=package.id,
            )
        other = self.packages[1]
        module = (
            "select m.id from instrument_module m join instrument i on i.id = m.instrument_id where i.name = 'chai'"
        )
        about = {"id": other.id, "observation": other.observation}
        self.sql(f"update raw_data_package set instrument_module_id = ({module} limit 1) where id = :id", **about)
        self.sql(
            f"update raw_data_file set instrument_module_id = ({module} limit 1) where raw_data_package_id = :id",
            **about,
        )
        self.sql(
            "update executed_obs_unit set instrument_id = i.id from instrument i"
            " where i.name = 'chai' and executed_obs_unit.id = :observation",
            **about,
        )

    def _strangers(self) -> dict[Path, bytes]:
        """Files in the same folders that are nobody's business."""
        strangers = {}
        for place in (*DELETABLE, *ARCHIVES):
            for package in self.packages:
                beside = Path(next(iter(self.files_of(package, place)))).parent / f"not_ours_{place}"
                strangers[self.folder(place) / beside] = b"not ours"
        for path, content in strangers.items():
            path.write_bytes(content)
        return strangers

    def _read_files(self) -> dict[str, dict[str, tuple[bytes, float]]]:
        return {
            place: {
                str(path.relative_to(self.folder(place))): (path.read_bytes(), path.stat().st_mtime)
                for path in self.folder(place).rglob("*")
                if path.is_file()
            }
            for place in (*DELETABLE, *ARCHIVES)
        }

    def _keep_rows(self) -> str:
        """Copy all rows into the schema `begin`; return the statements that put them back."""
        tables = [table.name for table in Base.metadata.sorted_tables if table.name not in TABLES_OF_PLACES]
        statements = [delete_all_rows(places_too=False)]
        with self.engine.begin() as connection:
            # What was verified or written long before a file was last touched is hashed before it goes.
            connection.execute(text("create schema begin"))
            for table in tables:
                if connection.execute(text(f"select exists (select from {table})")).scalar_one():
                    connection.execute(text(f"create table begin.{table} as table {table}"))
                    statements.append(f"insert into {table} overriding system value select * from begin.{table}")
        return ";".join(statements)


def _topology(root: Path, policy: Mapping[str, Any]) -> Topology:
    topology = sandbox_topology(root, **{"brake": {"share": 1}, "deletion_grace_seconds": 0, **policy})
    return FixedTopology.model_validate(topology.model_dump() | {"data_locations": [*topology.data_locations, VAULT]})


def _write(path: Path, content: bytes, modified_at: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (modified_at, modified_at))


def now() -> datetime:
    return datetime.now(UTC)
