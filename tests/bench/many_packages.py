"""Packages by the thousand, made in ops-db by itself: archived twice, still everywhere, without a byte on any disk."""

from dataclasses import dataclass

from sqlalchemy import Engine, text

FILE_BYTES = 1_000_000
TAR_BYTES = 1_001_024

# `:gone` of them were deleted everywhere but in the archives, as after years; the others are in every place.
STATEMENTS = """
insert into filing (dag_run_id, received_from, state, verdict) values ('bench', 'bench', 'accepted', 'Accepted.');

insert into executed_obs_unit (id, instrument_id, started_at, finished_at)
select md5('observation ' || n)::uuid, (select id from instrument where name = 'primecam'), now() - interval '30 days',
  now() - interval '30 days'
from generate_series(0, :packages / 10) n;

insert into raw_data_package (name, executed_obs_unit_id, instrument_module_id, source_location_id, number, path, state,
  file_count, content_bytes, size_bytes, checksum, created_at, packaged_at, archived_at, raw_files_gone_at)
select 'bench_' || n, md5('observation ' || n / 10)::uuid,
  (select id from instrument_module where name = 'mod280'),
  (select id from data_location where full_name = 'ccat_source'), n, 'primecam/bench/' || n || '.tar', 'archived',
  :files, :files * cast(:file_bytes as bigint), :files * cast(:tar_bytes as bigint), 'xxh3-128:' || md5('tar ' || n),
  now() - interval '29 days', now() - interval '29 days', now() - interval '28 days' + n * interval '1 millisecond',
  case when n <= :gone then now() end
from generate_series(1, :packages) n;

insert into raw_data_file (id, executed_obs_unit_id, instrument_module_id, data_location_id, filing_id, path,
  size_bytes, checksum, raw_data_package_id, offset_bytes)
select lpad(to_hex(p.number::bigint * 1000 + i), 32, '0')::uuid, p.executed_obs_unit_id, p.instrument_module_id,
  p.source_location_id, (select max(id) from filing), 'bench/' || p.number || '/' || i || '.g3', :file_bytes,
  'xxh3-128:' || to_hex(i), p.id, 1
from raw_data_package p, generate_series(1, :files) i;

insert into physical_copy (raw_data_file_id, data_location_id, path, size_bytes, status, wanted, created_at, deleted_at)
select f.id, f.data_location_id, f.path, f.size_bytes, case when p.number <= :gone then 'deleted' else 'present' end,
  p.number > :gone, now() - interval '29 days', case when p.number <= :gone then now() - interval '1 day' end
from raw_data_file f join raw_data_package p on p.id = f.raw_data_package_id;

insert into physical_copy (raw_data_package_id, data_location_id, path, size_bytes, status, wanted, checksum,
  verified_at, created_at, deleted_at)
select p.id, l.id, p.path, p.size_bytes,
  case when p.number <= :gone and l.location_type = 'buffer' then 'deleted' else 'present' end,
  not (p.number <= :gone and l.location_type = 'buffer'), p.checksum, now() - interval '2 days',
  now() - interval '28 days', case when p.number <= :gone and l.location_type = 'buffer' then now() end
from raw_data_package p, data_location l where l.location_type in ('buffer', 'long_term_archive');

insert into data_transfer_package (origin_location_id, destination_location_id, is_primary, state, closes_at, closed_at)
select o.id, d.id, o.full_name = 'ccat_buffer', 'closed', now(), now()
from (values ('ccat_buffer', 'cologne_buffer'), ('cologne_buffer', 'us_buffer')) way(origin, destination)
join data_location o on o.full_name = way.origin join data_location d on d.full_name = way.destination,
generate_series(0, :packages / 50) n;

insert into data_transfer_package_member (data_transfer_package_id, raw_data_package_id)
select b.id, p.id from raw_data_package p
join (select id, row_number() over (partition by origin_location_id order by id) - 1 as turn
  from data_transfer_package) b on b.turn = p.number / 50;

insert into data_transfer (data_transfer_package_id, origin_location_id, destination_location_id, transfer_status,
  unpacking_status, transferred_at, unpacked_at)
select id, origin_location_id, destination_location_id, 'completed', 'completed', now(), now()
from data_transfer_package;
"""


@dataclass(frozen=True)
class Many:
    """How many there are."""

    packages: int
    files_each: int
    gone: int = 0

    @property
    def copies(self) -> int:
        """Rows of physical_copy: raw files, three buffers, two archives."""
        return self.packages * (self.files_each + 5)


def fill(engine: Engine, many: Many) -> None:
    """Write the rows of `many` into an ops-db that has the sandbox's topology and nothing else."""
    values = {
        "packages": many.packages,
        "files": many.files_each,
        "gone": many.gone,
        "file_bytes": FILE_BYTES,
        "tar_bytes": TAR_BYTES,
    }
    with engine.begin() as connection:
        connection.execute(text("set local statement_timeout = 0"))
        connection.execute(text("set local session_replication_role = replica"))  # rows by themselves fit together
        for statement in STATEMENTS.split(";\n"):
            if statement.strip():
                named = {name: value for name, value in values.items() if f":{name}" in statement}
                connection.execute(text(statement), named)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("set statement_timeout = 0"))
        connection.execute(text("vacuum analyze"))
        connection.execute(text("set statement_timeout = '30s'"))
