"""The tables of ops-db. Times are UTC, sizes bigint bytes, checksums text with their algorithm (`xxh3-128:…`).

Lock order everywhere: raw_data_package, then physical_copy by id, then operation.
"""

from include.ops_db.tables.base import Base
from include.ops_db.tables.brake import DeletionBrake, DeletionBrakePackage, DeletionRequest
from include.ops_db.tables.copies import DeletionRecord, PhysicalCopy, StagingJob, StagingJobEvent, StagingJobPackage
from include.ops_db.tables.filed import ExecutedObsUnit, Filing, RawDataFile, RawDataPackage
from include.ops_db.tables.moving import (
    DataTransfer,
    DataTransferPackage,
    DataTransferPackageMember,
    DataTransferRoute,
    SpaceReservation,
    TransferDecision,
)
from include.ops_db.tables.places import DataLocation, Instrument, InstrumentModule, Site, TopologyVersion
from include.ops_db.tables.policy import CopyRuleOverride, Pin
from include.ops_db.tables.space import LocationChange, LocationMeasurement
from include.ops_db.tables.work import Operation, OperationAttempt

__all__ = [
    "Base",
    "CopyRuleOverride",
    "DataLocation",
    "DataTransfer",
    "DataTransferPackage",
    "DataTransferPackageMember",
    "DataTransferRoute",
    "DeletionBrake",
    "DeletionBrakePackage",
    "DeletionRecord",
    "DeletionRequest",
    "ExecutedObsUnit",
    "Filing",
    "Instrument",
    "InstrumentModule",
    "LocationChange",
    "LocationMeasurement",
    "Operation",
    "OperationAttempt",
    "PhysicalCopy",
    "Pin",
    "RawDataFile",
    "RawDataPackage",
    "Site",
    "SpaceReservation",
    "StagingJob",
    "StagingJobEvent",
    "StagingJobPackage",
    "TopologyVersion",
    "TransferDecision",
]
