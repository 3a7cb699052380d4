"""What ops-db itself refuses, whoever writes."""

from contextlib import nullcontext

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from include.topology import OperationKind
from tests.observatory import Observatory

SUBJECTS = ("filing_id", "raw_data_package_id", "data_transfer_package_id", "data_transfer_id", "physical_copy_id")
SUBJECT_OF = {
    OperationKind.REGISTRATION: "filing_id",
    OperationKind.BUNDLING: "data_transfer_package_id",
    OperationKind.TRANSFER: "data_transfer_id",
    OperationKind.UNPACKING: "data_transfer_id",
    OperationKind.SCRUBBING: "physical_copy_id",
}


@pytest.fixture
def database(observatory: Observatory) -> Engine:
    """Ops-db with one row (id 1) of everything that an operation can be about."""
    with observatory.engine.begin() as connection:
        connection.execute(
            text(
                """
                insert into executed_obs_unit (id, instrument_id, started_at)
                  select '00000000-0000-0000-0000-000000000001', id, now() from instrument where name = 'chai';
                insert into filing (dag_run_id, received_from, verdict) values ('r', 'chai', 'It is new.');
                insert into raw_data_package (name, executed_obs_unit_id, instrument_module_id, source_location_id,
                  number, path, file_count, content_bytes)
                  select 'p', '00000000-0000-0000-0000-000000000001', min(id), 1, 1, 'p', 1, 1 from instrument_module;
                insert into physical_copy (raw_data_package_id, data_location_id, path, size_bytes)
                  values (1, 1, 'p', 1);
                insert into data_transfer_package
                  (origin_location_id, destination_location_id, is_primary, closes_at)
                  values (1, 2, true, now());
                insert into data_transfer (data_transfer_package_id, origin_location_id, destination_location_id)
                  values (1, 1, 2);
                """
            )
        )
    return observatory.engine


def insert(engine: Engine, **columns: object) -> None:
    values = {"kind": "archiving", "data_location_id": 1, "explanation": "It is new."} | columns
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    with engine.begin() as connection:
        connection.execute(text(f"insert into operation ({names}) values ({places})"), values)


@pytest.mark.parametrize("kind", OperationKind)
def test_the_subject_of_an_operation_fits_its_kind(database: Engine, kind: OperationKind) -> None:
    right = SUBJECT_OF.get(kind, "raw_data_package_id")
    for subject in SUBJECTS:
        fits = nullcontext() if subject == right else pytest.raises(IntegrityError, match="subject_fits_kind")
        with fits:
            insert(database, kind=str(kind), **{subject: 1})


@pytest.mark.parametrize("kind", OperationKind)
def test_an_operation_has_exactly_one_subject(database: Engine, kind: OperationKind) -> None:
    right = SUBJECT_OF.get(kind, "raw_data_package_id")
    with pytest.raises(IntegrityError, match="subject_fits_kind"):
        insert(database, kind=str(kind))
    for subject in set(SUBJECTS) - {right}:
        with pytest.raises(IntegrityError, match="subject_fits_kind"):
            insert(database, kind=str(kind), **{right: 1, subject: 1})


@pytest.mark.parametrize("status", ["pending", "scheduled", "in_progress", "failed"])
def test_there_is_one_living_operation_of_a_kind_for_a_subject_at_a_location(database: Engine, status: str) -> None:
    insert(database, raw_data_package_id=1, status=status)
    with pytest.raises(IntegrityError, match="uq_operation_live"):
        insert(database, raw_data_package_id=1)
    insert(database, raw_data_package_id=1, data_location_id=2)
    insert(database, raw_data_package_id=1, kind="deletion")


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_once_it_is_over_there_can_be_another(database: Engine, status: str) -> None:
    for _ in range(3):
        insert(database, raw_data_package_id=1, status=status)
    insert(database, raw_data_package_id=1)
    with pytest.raises(IntegrityError, match="uq_operation_live"):
        insert(database, raw_data_package_id=1)


@pytest.mark.parametrize(
    ("table", "column", "where"),
    [
        ("operation", "kind", "'tidying'"),
        ("operation", "status", "'done'"),
        ("raw_data_package", "state", "'ARCHIVED'"),
        ("physical_copy", "status", "'gone'"),
        ("data_transfer", "transfer_status", "'done'"),
        ("data_transfer", "unpacking_status", "'done'"),
        ("data_transfer_package", "state", "'full'"),
        ("filing", "state", "'maybe'"),
        ("data_location", "location_type", "'tape'"),
    ],
)
def test_only_words_that_are_known_are_stored(database: Engine, table: str, column: str, where: str) -> None:
    insert(database, raw_data_package_id=1)
    with pytest.raises(IntegrityError, match="check constraint"), database.begin() as connection:
        connection.execute(text(f"update {table} set {column} = {where}"))


def test_a_copy_is_of_a_file_or_of_a_package(database: Engine) -> None:
    with pytest.raises(IntegrityError, match="one_subject"), database.begin() as connection:
        connection.execute(text("insert into physical_copy (data_location_id, path, size_bytes) values (1, 'x', 1)"))


def test_there_is_one_copy_of_a_package_at_a_location(database: Engine) -> None:
    with pytest.raises(IntegrityError, match="uq_physical_copy"), database.begin() as connection:
        connection.execute(
            text(
                "insert into physical_copy (raw_data_package_id, data_location_id, path, size_bytes)"
                " values (1, 1, 'q', 1)"
            )
        )


def test_one_bundle_is_open_between_two_buffers(database: Engine) -> None:
    sql = text(
        "insert into data_transfer_package (origin_location_id, destination_location_id, is_primary, closes_at, state)"
        " values (1, 2, true, now(), :state)"
    )
    with database.begin() as connection:
        connection.execute(sql, {"state": "closed"})
    with pytest.raises(IntegrityError, match="uq_data_transfer_package_open"), database.begin() as connection:
        connection.execute(sql, {"state": "open"})


@pytest.mark.parametrize(
    "change",
    [
        "update deletion_record set reason = 'another'",
        "update deletion_record set reason = 'another' where false",
        "delete from deletion_record",
        "truncate deletion_record",
        "truncate raw_data_package cascade",
    ],
)
def test_a_deletion_record_is_never_changed(database: Engine, change: str) -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "insert into deletion_record (raw_data_package_id, data_location_id, operation_id, requested_by,"
                " reason, topology_version_id, copy_count, size_bytes, evidence)"
                " select 1, 1, 1, 'Ada', 'It is safe.', id, 1, 1, '[]' from topology_version"
            )
        )
    with pytest.raises((ProgrammingError, DBAPIError), match="never changed"), database.begin() as connection:
        connection.execute(text(change))
    with database.connect() as connection:
        assert connection.execute(text("select reason from deletion_record")).scalars().all() == ["It is safe."]
