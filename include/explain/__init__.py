"""Where an observation, a package or an operation is, why, and what comes next: read from ops-db, for people.

`find` turns what was typed into an id; `packages`, `observations` and `operations` read what is known; `next_step`
says it in a sentence. Nothing here writes.
"""
