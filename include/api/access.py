"""What a caller may do, by the table in include.access.roles: one dependency for each route."""

from http import HTTPStatus
from typing import Any

from fastapi import Depends, Request

from include.access.caller import Caller
from include.access.roles import Action, Reach
from include.api.authentication import caller_of
from include.api.problems import ProblemError


class Permission:
    """A dependency that lets pass who may do an action, and gives the route the caller with his reach."""

    def __init__(self, action: Action) -> None:
        self.action = action

    def __call__(self, request: Request) -> "Access":
        caller = caller_of(request)
        reach = caller.reach(self.action)
        if reach is None:
            roles = ", ".join(sorted(caller.roles)) or "none"
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                f"{caller.account} may not {self.action}: that is not for the role {roles}, or not for this token.",
            )
        return Access(caller, reach)


class Access:
    """A caller who may do what he asks for, and with which things."""

    def __init__(self, caller: Caller, reach: Reach) -> None:
        self.caller = caller
        self.reach = reach

    @property
    def own_instruments(self) -> list[str] | None:
        """Whose observations he is restricted to; None: everybody's."""
        return sorted(self.caller.instruments) if self.reach is Reach.OWN else None

    @property
    def own_account(self) -> str | None:
        """Whose things he is restricted to; None: everybody's."""
        return self.caller.account if self.reach is Reach.OWN else None


def may(action: Action) -> Any:
    """Return what marks a route or its argument `access` as one for those who may do this."""
    return Depends(Permission(action))


def action_of(dependencies: list[Any]) -> Action | None:
    """Return the action that a route asks for, by its dependencies; None if it asks for none."""
    for dependency in dependencies:
        if isinstance(dependency.call, Permission):
            return dependency.call.action
    return None
