"""The client against the real API on a real ops-db, with the registration that looks at the files."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from include.access.roles import Role
from include.instrument_client import Client, Settings
from include.instrument_client.refused import refused_folder, retry
from include.instrument_client.status import status_of
from tests.api.conftest import Api
from tests.api.served import served
from tests.observatory import Observatory
from tests.registration.filings import STAGE

FILES = text(
    "select path, size_bytes, checksum from raw_data_file where executed_obs_unit_id = :observation order by path"
)
OBSERVATION = text("select started_at, finished_at, closed_at from executed_obs_unit where id = :observation")


@pytest.fixture
def api(observatory: Observatory) -> Iterator[tuple[Api, str]]:
    api = Api(observatory)
    with served(api) as address:
        yield api, address


@pytest.fixture
def at_the_source(api: tuple[Api, str], observatory: Observatory, tmp_path: Path) -> Settings:
    token = tmp_path / "token"
    token.write_text(api[0].token("primecam", Role.INSTRUMENT, instruments=("primecam",)))
    root = observatory.folder("ccat_source")
    root.mkdir(parents=True, exist_ok=True)
    return Settings(
        spool=tmp_path / "spool", root=root, instrument="primecam", data_location="ccat_source", module="mod280",
        server=api[1], token_file=token, hashes=True,
    )  # fmt: skip


def decided(observatory: Observatory, client: Client, observation: UUID) -> None:
    """Let the SOURCE host look until nothing of the observation waits, or a person must decide."""
    until = time.monotonic() + 30
    while (folder := client.spool.folder(str(observation))) is not None and not folder.refused_segments():
        assert time.monotonic() < until, status_of(client.spool)
        observatory.run(STAGE, "ccat_source")


def test_an_observation_is_registered_whole(observatory: Observatory, at_the_source: Settings) -> None:
    observatory.put_files({"a.g3": b"a", "b/ü c.g3": b"bcd"})
    with Client(at_the_source) as client:
        with client.observation() as observation:
            observation.add(at_the_source.root / "a.g3")
            observation.add(at_the_source.root / "b" / "ü c.g3")
        decided(observatory, client, observation.uuid)
        with observatory.engine.connect() as connection:
            files = connection.execute(FILES, {"observation": observation.uuid}).all()
            (known,) = connection.execute(OBSERVATION, {"observation": observation.uuid})
    assert [(file.path, file.size_bytes) for file in files] == [("a.g3", 1), ("b/ü c.g3", 3)]
    assert all(file.checksum.startswith("xxh3-128:") for file in files)
    assert known.started_at == observation.started_at
    assert known.finished_at >= known.started_at
    assert known.closed_at is not None


def test_what_the_source_host_refuses_is_set_aside_and_accepted_once_mended(
    observatory: Observatory, at_the_source: Settings, tmp_path: Path
) -> None:
    """The client sees other files than the host that looks: another disk is mounted at its root."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.g3").write_bytes(b"a")
    with Client(replace(at_the_source, root=tmp_path / "other")) as client:
        with client.observation() as observation:
            observation.add(tmp_path / "other" / "a.g3")
        decided(observatory, client, observation.uuid)
        folder = refused_folder(client.spool, str(observation.uuid))
        assert "'a.g3' is not at ccat_source" in status_of(client.spool).waiting[0].refused[0].sentence
        observatory.put_files({"a.g3": b"a"})
        retry(folder)
        decided(observatory, client, observation.uuid)
        assert client.spool.folders() == []
    with observatory.engine.connect() as connection:
        assert len(connection.execute(FILES, {"observation": observation.uuid}).all()) == 1
        assert connection.execute(text("select array_agg(state) from filing")).scalar_one() == ["accepted"]
