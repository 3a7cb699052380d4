"""A package's manifest, read back from ops-db: its row has the checksums, its files' rows are the member index."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from include.errors import BadInputError, PermanentError
from include.integrity.manifest import Member, PackageManifest
from include.ops_db.tables import RawDataFile, RawDataPackage

ROWS_AT_ONCE = 5000


def load_manifest(session: Session, raw_data_package_id: int) -> PackageManifest:
    """Return the manifest of a package that is made, members in the order in which they lie in the tar; two statements.

    Raises:
        BadInputError: there is no such package, or it is not made yet.
        PermanentError: the member index in ops-db is not complete.
    """
    package = session.execute(
        select(
            RawDataPackage.name,
            RawDataPackage.size_bytes,
            RawDataPackage.checksum,
            RawDataPackage.block_bytes,
            RawDataPackage.block_checksums,
            RawDataPackage.file_count,
        ).where(RawDataPackage.id == raw_data_package_id)
    ).one_or_none()
    if package is None:
        raise BadInputError(f"There is no raw_data_package {raw_data_package_id} in ops-db.")
    size_bytes, checksum, block_bytes, block_checksums = package[1:5]
    if size_bytes is None or checksum is None or block_bytes is None or block_checksums is None:
        raise BadInputError(
            f"Package {package.name} is not made yet, so it has no manifest: `dts explain {package.name}` says what it"
            " waits for."
        )
    members = _members(session, raw_data_package_id)
    if len(members) != package.file_count:
        raise PermanentError(
            f"The member index of package {package.name} has {len(members)} of {package.file_count} files: rows of"
            " raw_data_file were changed by hand; restore them from a backup of ops-db."
        )
    return PackageManifest(
        name=package.name,
        size_bytes=size_bytes,
        checksum=checksum,
        block_bytes=block_bytes,
        block_checksums=tuple(block_checksums),
        members=members,
    )


def _members(session: Session, raw_data_package_id: int) -> tuple[Member, ...]:
    """Its files whose place in the tar is known, by offset: the database's idea of the alphabet is not the tar's."""
    rows = session.execute(
        select(RawDataFile.path, RawDataFile.size_bytes, RawDataFile.offset_bytes, RawDataFile.checksum, RawDataFile.id)
        .where(
            RawDataFile.raw_data_package_id == raw_data_package_id,
            RawDataFile.offset_bytes.is_not(None),
            RawDataFile.checksum.is_not(None),
        )
        .order_by(RawDataFile.offset_bytes)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    return tuple(
        Member(path=path, size_bytes=size_bytes, offset_bytes=offset_bytes, checksum=checksum, raw_data_file_id=file_id)
        for path, size_bytes, offset_bytes, checksum, file_id in rows
        if offset_bytes is not None and checksum is not None
    )
