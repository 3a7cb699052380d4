"""The tables of ops-db. Times are UTC, sizes bigint bytes, checksums text with their algorithm (`xxh3-128:…`).

Lock order everywhere: raw_data_package, then physical_copy by id, then operation.
"""

from include.ops_db.tables.access import ServiceToken
from include.ops_db.tables.alarms import Alarm, AlarmWatch, Notification, NotificationAlarm
from include.ops_db.tables.base import Base
from include.ops_db.tables.brake import DeletionBrake, DeletionBrakePackage, DeletionRequest
from include.ops_db.tables.copies import DeletionRecord, PhysicalCopy, StagingJob, StagingJobEvent, StagingJobPackage
from include.ops_db.tables.filed import ExecutedObsUnit, FiledLine, Filing, RawDataFile, RawDataPackage
from include.ops_db.tables.health import HostHeartbeat
from include.ops_db.tables.metrics import MetricExport, MetricSample
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
from include.ops_db.tables.work import Operation, OperationAttempt, OperationHistory

__all__ = [
    "Alarm",
    "AlarmWatch",
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
    "FiledLine",
    "Filing",
    "HostHeartbeat",
    "Instrument",
    "InstrumentModule",
    "LocationChange",
    "LocationMeasurement",
    "MetricExport",
    "MetricSample",
    "Notification",
    "NotificationAlarm",
    "Operation",
    "OperationAttempt",
    "OperationHistory",
    "PhysicalCopy",
    "Pin",
    "RawDataFile",
    "RawDataPackage",
    "ServiceToken",
    "Site",
    "SpaceReservation",
    "StagingJob",
    "StagingJobEvent",
    "StagingJobPackage",
    "TopologyVersion",
    "TransferDecision",
]
