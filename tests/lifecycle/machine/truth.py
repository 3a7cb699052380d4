"""What may go, said a second time and in other words than the gate's: plain Python over all rows about a package."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from include.topology import Topology
from tests.lifecycle.machine.policies import Needs, needs

VIEW = text(
    """
    with copies as (
      select c.id, c.status, c.wanted, c.checksum, c.size_bytes, c.verified_at, c.path, l.full_name, l.site, l.active,
        l.location_type, c.raw_data_file_id is null as of_package
      from physical_copy c join data_location l on l.id = c.data_location_id
      where c.raw_data_package_id = :package
        or c.raw_data_file_id in (select id from raw_data_file where raw_data_package_id = :package)
    ), ways as (
      select b.id, b.state, b.is_primary, o.full_name as origin, d.full_name as destination, d.site as to_site,
        t.id as transfer, t.transfer_status, t.unpacking_status
      from data_transfer_package_member m join data_transfer_package b on b.id = m.data_transfer_package_id
      join data_location o on o.id = b.origin_location_id join data_location d on d.id = b.destination_location_id
      left join data_transfer t on t.data_transfer_package_id = b.id
      where m.raw_data_package_id = :package
    ), operations as (
      select o.kind, o.status, l.full_name, l.site, o.data_transfer_id as transfer, o.raw_data_package_id as package,
        o.physical_copy_id as copy
      from operation o join data_location l on l.id = o.data_location_id
      where o.status not in ('completed', 'cancelled')
        and (o.raw_data_package_id = :package or o.data_transfer_id in (select transfer from ways)
          or o.physical_copy_id in (select id from copies))
    )
    select json_build_object(
      'now', now(),
      'package', (select row_to_json(p) from raw_data_package p where id = :package),
      'files', (select count(*) from raw_data_file where raw_data_package_id = :package),
      'packaged', (select count(*) from raw_data_file where raw_data_package_id = :package
        and offset_bytes is not null and checksum is not null),
      'claimed', exists (select from raw_data_file mine join raw_data_file other using (path, data_location_id)
        join physical_copy c on c.raw_data_file_id = other.id
        where mine.raw_data_package_id = :package and other.raw_data_package_id is distinct from :package
          and c.status not in ('deleted', 'missing')),
      'copies', (select coalesce(json_agg(copies), '[]') from copies),
      'ways', (select coalesce(json_agg(ways), '[]') from ways),
      'operations', (select coalesce(json_agg(operations), '[]') from operations),
      'jobs', (select coalesce(json_agg(j), '[]') from staging_job j
        where j.id in (select staging_job_id from staging_job_package where raw_data_package_id = :package)),
      'instrument', (select i.name from raw_data_package p join executed_obs_unit u on u.id = p.executed_obs_unit_id
        join instrument i on i.id = u.instrument_id where p.id = :package),
      'pins', (select coalesce(json_agg(json_build_object('until', pin.until, 'at', l.full_name)), '[]')
        from pin left join data_location l on l.id = pin.data_location_id
        where pin.released_at is null and (pin.raw_data_package_id = :package or pin.executed_obs_unit_id =
          (select executed_obs_unit_id from raw_data_package where id = :package))),
      'overrides', (select coalesce(json_agg(json_build_object('until', o.expires_at, 'at', l.full_name)), '[]')
        from copy_rule_override o join data_location l on l.id = o.data_location_id
        where o.confirmed_by is not null and o.raw_data_package_id = :package),
      'full', (select coalesce(json_agg(l.full_name), '[]') from data_location l
        where (select condition from location_change c where c.data_location_id = l.id order by id desc limit 1)
          in ('pressed', 'full')),
      'records', (select coalesce(json_agg(l.full_name), '[]') from deletion_record r
        join data_location l on l.id = r.data_location_id where r.raw_data_package_id = :package)
    )
    """
)

THERE = {"present", "staged", "deletion_possible", "deletion_scheduled", "deletion_in_progress", "deletion_failed"}
OVER = {"completed", "failed", "cancelled"}


@dataclass(frozen=True)
class Truth:
    """All rows about a package at a moment."""

    rows: dict[str, Any]
    topology: Topology
    policy: str

    @property
    def now(self) -> datetime:
        return _time(self.rows["now"])

    @property
    def package(self) -> dict[str, Any]:
        return self.rows["package"]

    def copies_at(self, place: str) -> list[dict[str, Any]]:
        return [copy for copy in self.rows["copies"] if copy["full_name"] == place]

    def is_there(self, place: str) -> bool:
        """Tell whether ops-db knows of bytes there that are not known to be damaged."""
        return any(copy["status"] in THERE for copy in self.copies_at(place))

    def why_it_stays(self, place: str) -> set[str]:
        """Return all reasons for which nothing of it may go from there; empty: it is free."""
        location, needed = self.topology.location(place), self.needs(place)
        reasons = {
            "it is in an archive": location.location_type == "long_term_archive",
            "it is not archived": not self._is_archived(),
            "too few copies": self._too_few(place),
            "too early": self._is_too_early(place, needed),
            "it is pinned": any(
                pin["at"] in (None, place) and (pin["until"] is None or _time(pin["until"]) > self.now)
                for pin in self.rows["pins"]
            ),
            "in use": self._in_use(place),
        }
        if location.location_type == "source":
            reasons |= {
                "not all is packaged": not self.rows["files"] == self.rows["packaged"] == self.package["file_count"],
                "nobody has compared its files": not any(
                    way["unpacking_status"] == "completed" and way["to_site"] != location.site
                    for way in self.rows["ways"]
                ),
                "others claim a file": self.rows["claimed"],
            }
        if location.location_type == "buffer":
            reasons["an archive needs it"] = self._an_archive_needs_it(place)
        if location.location_type == "processing":
            reasons["a job wants it"] = any(
                job["state"] == "active" and _time(job["until"]) > self.now for job in self.rows["jobs"]
            )
        return {reason for reason, holds in reasons.items() if holds}

    def needs(self, place: str) -> Needs:
        """Return what its policy asks of it there."""
        return needs(self.policy, place=place, instrument=self.rows["instrument"])

    def sound(self, *, within_days: float | None = None) -> list[dict[str, Any]]:
        """Archive copies that were verified, at any time or in the last days."""
        since = None if within_days is None else self.now - timedelta(days=within_days)
        return [
            copy
            for copy in self.rows["copies"]
            if copy["location_type"] == "long_term_archive"
            and (copy["status"], copy["wanted"], copy["active"]) == ("present", True, True)
            and copy["verified_at"] is not None
            and (since is None or _time(copy["verified_at"]) >= since)
            and copy["checksum"] is not None
            and (copy["checksum"], copy["size_bytes"]) == (self.package["checksum"], self.package["size_bytes"])
        ]

    def waits_for_scrub(self, place: str) -> bool:
        """Tell whether nothing keeps it there but that some of its archive copies were not read lately."""
        return self.why_it_stays(place) == {"too few copies"} and not self._too_few(place, lately=False)

    def _is_archived(self) -> bool:
        package = self.package
        return package["state"] == "archived" and None not in (package["archived_at"], package["checksum"])

    def _too_few(self, place: str, *, lately: bool = True) -> bool:
        needed = self.needs(place)
        people = any(said["at"] == place and _time(said["until"]) > self.now for said in self.rows["overrides"])
        copies, sites = (1, 1) if people else (needed.copies, needed.sites)
        sound = self.sound(within_days=needed.verified_within_days if lately else None)
        return len(sound) < copies or len({copy["site"] for copy in sound}) < sites

    def _is_too_early(self, place: str, needed: Needs) -> bool:
        if self.package["archived_at"] is None:
            return False
        archived_for = self.now - _time(self.package["archived_at"])
        filed_for = self.now - _time(self.package["created_at"])
        if archived_for < timedelta(days=needed.grace_days):
            return True
        return place not in self.rows["full"] and (
            needed.only_by_pressure
            or archived_for < timedelta(days=needed.keep_days)
            or filed_for < timedelta(days=needed.keep_days_after_filing)
        )

    def _an_archive_needs_it(self, place: str) -> bool:
        site = self.topology.location(place).site
        archives = [each for each in self.topology.data_locations if each.location_type == "long_term_archive"]
        filled = {copy["full_name"] for copy in self.sound()}
        filled_sites = {copy["site"] for copy in self.sound()}
        sends = any(way["is_primary"] and way["destination"] == place for way in self.rows["ways"])
        return any(each.full_name not in filled for each in archives if each.site == site) or (
            sends and any(each.site not in filled_sites for each in archives)
        )

    def _in_use(self, place: str) -> bool:
        location = self.topology.location(place)
        kind = location.location_type
        for way in self.rows["ways"]:
            if place == way["origin"] and (way["state"] == "open" or way["transfer"] is None):
                return True
            if place in (way["origin"], way["destination"]) and way["transfer"] is not None:
                live = way["transfer_status"] not in ("failed", "cancelled") and way["unpacking_status"] not in OVER
                working = any(
                    operation["transfer"] == way["transfer"] and operation["status"] in ("scheduled", "in_progress")
                    for operation in self.rows["operations"]
                )
                if live or working:
                    return True
        here = [copy["id"] for copy in self.copies_at(place)]
        if any(each["copy"] in here and each["status"] == "in_progress" for each in self.rows["operations"]):
            return True
        return any(
            (operation["kind"] == "packaging" and kind in ("source", "buffer"))
            or (operation["kind"] == "archiving" and kind == "buffer" and operation["site"] == location.site)
            or (operation["kind"] == "staging" and operation["full_name"] == place
                and operation["status"] == "in_progress")
            for operation in self.rows["operations"]
            if operation["package"] is not None
        )  # fmt: skip


def truth_of(connection: Connection | Session, package: int, *, topology: Topology, policy: str) -> Truth:
    """Read it in the caller's transaction."""
    return Truth(connection.execute(VIEW, {"package": package}).scalar_one(), topology, policy)


def _time(moment: str) -> datetime:
    return datetime.fromisoformat(moment)
