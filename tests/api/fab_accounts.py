"""Makes accounts in FAB, in the environment of an api-server: `python -m tests.api.fab_accounts password`.

What an administrator does by hand once (Security > List Roles, List Users): an instrument's role may start runs of
registration and see them, and nothing else; a scientist's may see what a viewer sees.
"""

import sys

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

FILES = {
    "DAG:registration": ("can_read", "can_edit"),
    "DAG Run:registration": ("can_create", "can_read"),
}
ACCOUNTS = {"boss": "Admin", "chief": "Op", "guest": "Viewer", "ada": "Scientist", "primecam": "Instrument"}


def main(password: str) -> None:
    """Make all of them, with one password."""
    with get_application_builder() as builder:
        security = builder.sm
        security.sync_roles()
        security.add_role("Scientist")
        instrument = security.add_role("Instrument")
        for resource, actions in FILES.items():
            for action in actions:
                security.add_permission_to_role(instrument, security.create_permission(action, resource))
        for name, role in ACCOUNTS.items():
            user = security.add_user(name, name, name, f"{name}@example.org", security.find_role(role), password)
            assert user, name


if __name__ == "__main__":
    main(sys.argv[1])
