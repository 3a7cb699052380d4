"""The page in Airflow's api-server, beside the API."""

from functools import cache

from fastapi import FastAPI

from include.api.in_airflow import application
from include.page.app import add_page


@cache
def application_with_page() -> FastAPI:
    """Return the application of this process."""
    return add_page(application())
