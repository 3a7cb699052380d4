"""The stages of the pipeline: one module for each kind of Operation, all of one shape (`include/operations/stage.py`).

`KIND` names it, `plan(planning)` inserts the operations that are missing, `run(work)` does one of them. Stages never
call one another; they meet only in ops-db. A module's docstring is its runbook, and its DAG shows it in the UI.
"""

from importlib import import_module
from typing import cast

from include.errors import BadInputError
from include.operations.stage import Stage
from include.topology import OperationKind


def stage_of(kind: OperationKind) -> Stage:
    """Return the module that does operations of `kind`, imported now: one stage does not need another's libraries.

    Raises:
        BadInputError: no stage does this kind.
    """
    name = f"{__name__}.{kind}"
    try:
        return cast(Stage, import_module(name))
    except ModuleNotFoundError as error:
        if error.name != name:  # the module is there, something it needs is not
            raise
        raise BadInputError(f"There is no stage for {kind} in {__name__}.") from error
