"""The exception tree. Retry goes by type, so raise the class that says when trying again can help.

DtsError
├── TransientError            network or storage busy: tried again after a while, by itself
│   └── LeaseLostError        somebody else works on the operation now: commit nothing, go on
├── WaitingError              nothing is wrong, but something has to happen first
│   └── NoSpaceError          a location is full
├── PermanentError            the same try would fail in the same way: a person must change something
│   ├── BadInputError         what was asked for makes no sense; nothing was changed
│   │   └── FilingRefusedError    an instrument's filing; the message is the verdict
│   ├── MissingFileError      a file that should be there is not
│   ├── TopologyError         the topology file is wrong, or not the applied one
│   └── WrongHostError        this host does not reach the location
├── IntegrityError            bytes are not what they were: quarantine, repair from a good copy
│   ├── ChecksumMismatchError
│   └── FileChangedError      a raw file changed after it was filed, or while it was read
└── SandboxError              a server of the sandbox did not start
"""


class DtsError(Exception):
    """Base of every error that this system raises on purpose. The message is written for a person."""


class TransientError(DtsError):
    """Network or storage is busy or gone for the moment."""


class LeaseLostError(TransientError):
    """The operation's lease token is no longer ours."""


class WaitingError(DtsError):
    """Something else has to happen first: space, a person, a timetable, a recall."""


class NoSpaceError(WaitingError):
    """A location has no room for what should be written."""


class PermanentError(DtsError):
    """Trying again without a change cannot help."""


class BadInputError(PermanentError):
    """What was asked for makes no sense; nothing was changed."""


class FilingRefusedError(BadInputError):
    """A filing that is not accepted; the message is its verdict."""


class MissingFileError(PermanentError):
    """A file that should be there is not."""


class TopologyError(PermanentError):
    """The topology file is wrong, or it is not the one that was applied."""


class WrongHostError(PermanentError):
    """This host does not reach the location it should work on."""


class IntegrityError(DtsError):
    """Bytes are not what they were."""


class ChecksumMismatchError(IntegrityError):
    """A checksum that was computed differs from the recorded one."""


class FileChangedError(IntegrityError):
    """A raw file changed after it was filed, or while it was read."""


class SandboxError(DtsError):
    """A server of the sandbox did not start, or not in time."""
