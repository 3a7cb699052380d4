"""Where Airflow and the plain code meet. Nothing else under include/ (page/ aside) imports airflow."""
