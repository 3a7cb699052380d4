"""Moving bytes over a long link: by verified blocks, resumable after any interruption.

`blocks.py` says which blocks there are and which are missing, `part_file.py` and `journal.py` keep what has arrived,
and `pull.py` moves the rest. Nothing here knows ops-db or Airflow.
"""
