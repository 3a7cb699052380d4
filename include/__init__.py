"""The work behind the DAGs: plain Python that knows nothing of Airflow (airflow_glue/ aside)."""
