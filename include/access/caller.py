"""Who calls the API, and how far what he may do reaches."""

from dataclasses import dataclass

from include.access.roles import PERMITTED, Action, Reach, Role, Scope


@dataclass(frozen=True, kw_only=True)
class Caller:
    """An account that has proved who it is."""

    account: str
    """As in the topology's `filed_by`, as owner of StagingJobs, and in every history."""
    roles: frozenset[Role]
    instruments: frozenset[str] = frozenset()
    """Whose observations are its own."""
    scopes: frozenset[Scope] = frozenset(Scope)
    through: str = "the API"
    """How it came: kept beside the account wherever somebody asks for something."""

    def reach(self, action: Action) -> Reach | None:
        """Return how far the account may go with this; None: it may not do it at all."""
        if action.scope not in self.scopes:
            return None
        reaches = {PERMITTED[action].get(role) for role in self.roles}
        return Reach.ALL if Reach.ALL in reaches else Reach.OWN if Reach.OWN in reaches else None
