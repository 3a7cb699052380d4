"""How long what is over stays where it is, as a topology may change it."""

from pydantic import Field

from include.places import Model


class HousekeepingRules(Model):
    """Days, counted from when something was over. What is known about data itself is kept for ever."""

    operations_days: int = Field(default=30, ge=7)
    """Completed and cancelled operations move to operation_history; people find them there as before."""
    filings_days: int = Field(default=90, ge=7)
    """The list of files of an accepted filing is dropped: every file has a row of its own by then."""
    transfer_decisions_days: int = Field(default=90, ge=1)
    """Why a transfer used how many connections."""
    airflow_days: int = Field(default=30, ge=2)
    """Runs and task instances in Airflow's own database."""
    logs_days: int = Field(default=30, ge=2)
    """Logs of tasks, on each worker host."""
