"""Where Airflow shows the page: in its navigation, and as a tab on each DAG run. Light: every process loads it."""

from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf


def frames() -> list[dict[str, Any]]:
    """Return what Airflow calls external views, of the same origin."""
    page = f"{urlsplit(conf.get('api', 'base_url', fallback='') or '').path.rstrip('/')}/dts/page/"
    icons = {"icon": f"{page}icon.svg", "icon_dark_mode": f"{page}icon_dark.svg"}
    return [
        {
            "name": "Data transfer",
            "href": page,
            "destination": "nav",
            "url_route": "data_transfer",
            "nav_top_level": True,
            **icons,
        },
        {
            "name": "Data",
            "href": f"{page}#/run/{{DAG_ID}}/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "data_of_run",
            **icons,
        },
    ]
