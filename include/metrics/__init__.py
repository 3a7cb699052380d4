"""Metrics: points about what was done and how things stand, from ops-db to InfluxDB, scrapers and dashboards."""
