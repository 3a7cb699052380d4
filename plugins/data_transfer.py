"""What the data transfer system adds to Airflow's web server. Airflow loads this in every process, so it is light."""

from typing import Any

from airflow.plugins_manager import AirflowPlugin


class DataTransferPlugin(AirflowPlugin):
    """The API and the page, under /dts."""

    name = "data_transfer"

    @property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]  # Airflow reads it, and never writes it
        """Only the api-server asks for it, and only there it is made."""
        from include.page.in_airflow import application_with_page

        return [{"app": application_with_page(), "url_prefix": "/dts", "name": "data transfer"}]

    @property
    def external_views(self) -> list[Any]:  # type: ignore[override]  # the same
        """Where the page is shown."""
        from include.page.frames import frames

        return frames()
