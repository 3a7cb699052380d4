"""Compressing: where a route says so, the packages of a bundle get twins in this buffer before the bundle is closed.

The destination then reads the twin (include/transfer/compressed_twin.py). ops-db remembers with each member how long
the frames are, so that nobody has to ask for them across an ocean. A package without a twin goes as it is: compressing
never keeps a bundle from being closed. Twins that no transfer from here waits for are swept away by the next bundling.
"""

import json
import logging
import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from include.errors import DtsError, LeaseLostError
from include.lifecycle.leftovers import sweep_parts
from include.operations.decide import sentence
from include.operations.stage import Work
from include.plurals import counted
from include.storage.disk import DiskStorage
from include.topology import Compression, MovedBy
from include.transfer.blocks import Item
from include.transfer.compressed_twin import FOLDER, NoTwinError, make_twin, sweep_twins

logger = logging.getLogger(__name__)

PACKAGES = text(
    """
    select p.id, p.name, p.path, p.size_bytes, p.checksum, p.block_bytes, p.block_checksums
    from data_transfer_package_member m join raw_data_package p on p.id = m.raw_data_package_id
    where m.data_transfer_package_id = :bundle_id and p.size_bytes > 0 and p.block_checksums is not null
    order by p.id
    """
)

# A bundle without a transfer is open, or is being closed.
NEEDED = text(
    """
    select p.path from raw_data_package p
    join data_transfer_package_member m on m.raw_data_package_id = p.id
    join data_transfer_package b on b.id = m.data_transfer_package_id
    left join data_transfer t on t.data_transfer_package_id = b.id
    where p.path = any(:paths) and b.origin_location_id = :here
      and (t.id is null
        or (m.frame_bytes is not null and t.transfer_status in ('pending', 'completed')
          and t.unpacking_status = 'pending'))
    """
)

REMEMBER = text(
    """
    update data_transfer_package_member m
    set frame_bytes = array(
      select length::bigint from jsonb_array_elements_text(twin.lengths) with ordinality as frame(length, number)
      order by number)
    from jsonb_each(cast(:twins as jsonb)) as twin(package_id, lengths)
    where m.data_transfer_package_id = :bundle_id and m.raw_data_package_id = twin.package_id::bigint
    """
)


@dataclass(frozen=True, kw_only=True)
class _Package:
    """A package as a transfer sees it. Sizes in bytes."""

    id: int
    name: str
    path: str
    size_bytes: int
    checksum: str
    block_bytes: int
    block_checksums: tuple[str, ...]


@dataclass
class Compressed:
    """What came of a bundle's packages."""

    frames: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """By package id: the frames of its twin."""
    explanation: str = ""
    """A sentence, with a space before it; empty where nothing was to be compressed."""

    def remember(self, session: Session, *, bundle_id: int) -> None:
        """Write the frames into ops-db."""
        if self.frames:
            session.execute(REMEMBER, {"bundle_id": bundle_id, "twins": json.dumps(self.frames)})


def compress(work: Work, *, bundle_id: int, destination: str) -> Compressed:
    """Sweep twins away that nobody needs, and make those of a bundle that is about to be closed, if its route says so.

    Raises:
        LeaseLostError: somebody else closes the bundle.
    """
    storage = work.storage_of(work.location.full_name)
    if not isinstance(storage, DiskStorage):
        return Compressed()
    _sweep(work, storage)
    route = work.topology.route(origin=work.location.full_name, destination=destination)
    if route.compression is Compression.NONE or route.moved_by is not MovedBy.PULL:
        return Compressed()
    with Session(work.engine) as session:
        packages = [_package(row) for row in session.execute(PACKAGES, {"bundle_id": bundle_id})]
    began = time.monotonic()
    done = Compressed()
    packed: list[_Package] = []
    without: Counter[str] = Counter()
    for package in packages:
        work.check()
        try:
            twin = make_twin(Item(package.path, package), storage=storage, check=work.check)
        except LeaseLostError:
            raise
        except (NoTwinError, DtsError) as error:
            logger.info("%s goes uncompressed. %s", package.name, error)
            without[sentence(error)] += 1
        else:
            done.frames[package.id] = twin.frame_bytes
            packed.append(package)
    size, twins = sum(package.size_bytes for package in packed), sum(sum(frames) for frames in done.frames.values())
    if packed:
        done.explanation = (
            f" {counted(len(packed), 'package')} compressed, {twins:,} bytes for {size:,} ({twins / size:.0%}), made in"
            f" {time.monotonic() - began:.0f} s."
        )
    if without:
        reason = without.most_common(1)[0][0]
        done.explanation += f" {without.total()} go as they are: {reason}"
    return done


def _package(row: Row[Any]) -> _Package:
    return _Package(**{**row._mapping, "block_checksums": tuple(row.block_checksums)})  # noqa: SLF001 - its public name


def _sweep(work: Work, storage: DiskStorage) -> None:
    """What a killed compressing left goes too. Trouble with it is no reason not to go on."""
    here = work.lease.data_location_id

    def needed(paths: list[str]) -> set[str]:
        with Session(work.engine) as session:
            return set(session.scalars(NEEDED, {"paths": paths, "here": here}))

    try:
        swept = sweep_twins(storage, needed=needed)
        folders = [folder for folder, _, _ in os.walk(storage.root / FOLDER, topdown=False)]
        sweep_parts(storage, [os.path.relpath(folder, storage.root) for folder in folders])
        for folder in folders:
            with suppress(OSError):  # not empty
                Path(folder).rmdir()
    except DtsError as error:
        logger.warning("Old compressed twins were not swept away: %s", error)
    else:
        if swept:
            logger.info("%d compressed twins that nobody needs were swept away.", swept)
