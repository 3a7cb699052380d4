"""A machine that makes random histories of copies, policies, people, workers and crashes, and judges each deletion.

`world` is the observatory that a history begins with, `truth` says in words of its own what may go, `workers` do the
real stages' work and die over it, `tally` counts, and `histories` has the rules. `make proof` runs 10,000 of them.
"""
