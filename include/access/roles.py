"""What each role may do, as one table: every check of the API comes from it, and every test of the API goes through it.

What is not in the table is forbidden. A role that may do something with its `own` only: an instrument with
observations of its instruments and with filings it sent, a scientist with StagingJobs of his own (the topology's
operators with those of others, too).
"""

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """Of an account. One may have several, and then may do what any of them may."""

    VIEWER = "viewer"
    SCIENTIST = "scientist"
    OPERATOR = "operator"
    INSTRUMENT = "instrument"
    ADMIN = "admin"


class Reach(StrEnum):
    """With which things a role may do something."""

    OWN = "own"
    ALL = "all"


class Scope(StrEnum):
    """What a token can be narrowed to."""

    READ = "read"
    FILE = "file"
    STAGE = "stage"
    OPERATE = "operate"


class Action(StrEnum):
    """What can be done through the API."""

    READ_OBSERVATIONS = "read observations"
    START_OBSERVATION = "start an observation"
    FINISH_OBSERVATION = "finish an observation"
    FILE = "file"
    READ_FILINGS = "read filings"
    READ_PACKAGES = "read packages"
    READ_TRANSFERS = "read transfers"
    READ_COPIES = "read copies"
    READ_STAGING = "read staging jobs"
    REQUEST_STAGING = "request staging"
    EXTEND_STAGING = "extend staging"
    RELEASE_STAGING = "release staging"
    READ_PLACES = "read places"
    EXPLAIN = "explain"
    READ_HISTORY = "read histories"
    READ_HEALTH = "read health"
    READ_DESCRIPTION = "read the description of the API"
    OPEN_PAGE = "open the page"
    READ_DELETIONS = "read deletions"
    RETRY = "retry"
    FLAG = "flag"
    PIN = "pin"
    ANSWER_BRAKE = "answer the brake"

    @property
    def scope(self) -> Scope:
        """To what a token must reach for it."""
        return _SCOPES.get(self, Scope.READ)


_SCOPES = {
    Action.START_OBSERVATION: Scope.FILE,
    Action.FINISH_OBSERVATION: Scope.FILE,
    Action.FILE: Scope.FILE,
    Action.REQUEST_STAGING: Scope.STAGE,
    Action.EXTEND_STAGING: Scope.STAGE,
    Action.RELEASE_STAGING: Scope.STAGE,
    Action.RETRY: Scope.OPERATE,
    Action.FLAG: Scope.OPERATE,
    Action.PIN: Scope.OPERATE,
    Action.ANSWER_BRAKE: Scope.OPERATE,
}

_EVERYBODY: Mapping[Role, Reach] = dict.fromkeys(Role, Reach.ALL)
_PEOPLE: dict[Role, Reach] = {role: Reach.ALL for role in Role if role is not Role.INSTRUMENT}
_FILING: Mapping[Role, Reach] = {Role.INSTRUMENT: Reach.OWN, Role.ADMIN: Reach.ALL}
_OPERATING: Mapping[Role, Reach] = {Role.OPERATOR: Reach.ALL, Role.ADMIN: Reach.ALL}
_STAGING: Mapping[Role, Reach] = {Role.SCIENTIST: Reach.OWN, Role.OPERATOR: Reach.ALL, Role.ADMIN: Reach.ALL}

PERMITTED: Mapping[Action, Mapping[Role, Reach]] = {
    Action.READ_OBSERVATIONS: _PEOPLE | {Role.INSTRUMENT: Reach.OWN},
    Action.START_OBSERVATION: _FILING,
    Action.FINISH_OBSERVATION: _FILING,
    Action.FILE: _FILING,
    Action.READ_FILINGS: _PEOPLE | {Role.INSTRUMENT: Reach.OWN},
    Action.READ_PACKAGES: _PEOPLE,
    Action.READ_TRANSFERS: _PEOPLE,
    Action.READ_COPIES: _PEOPLE,
    Action.READ_STAGING: _PEOPLE,
    Action.REQUEST_STAGING: _STAGING,
    Action.EXTEND_STAGING: _STAGING,
    Action.RELEASE_STAGING: _STAGING,
    Action.READ_PLACES: _PEOPLE,
    Action.EXPLAIN: _PEOPLE,
    Action.READ_HISTORY: _PEOPLE,
    Action.READ_HEALTH: _PEOPLE,
    Action.READ_DESCRIPTION: _EVERYBODY,
    Action.OPEN_PAGE: _EVERYBODY,
    Action.READ_DELETIONS: _PEOPLE,
    Action.RETRY: _OPERATING,
    Action.FLAG: _OPERATING,
    Action.PIN: _OPERATING,
    Action.ANSWER_BRAKE: _OPERATING,
}
