"""Backups of ops-db: a dump that says what is in it, restored into an empty database, and proved by doing so."""
