"""What a site's host is like for this system: its kernel, its links, disks, archives, clock and programs, measured.

Each `judge_*` module is pure: from what was measured to findings, each with a verdict, a sentence and what to do. The
others measure. Nothing is written at another site unless `--write-test` says so; what is written here is gone
afterwards.
"""
