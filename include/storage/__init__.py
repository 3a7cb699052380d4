"""Where bytes lie: one interface (`interface.py`), three backends (disk, SFTP, S3)."""
