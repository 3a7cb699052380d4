"""Where Airflow and the plain code meet. Nothing else under include/ imports airflow."""
