"""What the data transfer system adds to Airflow's web server. Airflow loads this in every process, so it is light."""

from typing import Any

from airflow.plugins_manager import AirflowPlugin


class DataTransferPlugin(AirflowPlugin):
    """The API, under /dts."""

    name = "data_transfer"

    @property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]  # Airflow reads it, and never writes it
        """Only the api-server asks for it, and only there it is made."""
        from include.api.in_airflow import application

        return [{"app": application(), "url_prefix": "/dts", "name": "data transfer"}]
