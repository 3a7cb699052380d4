"""How long copies stay: the deletion gate and its questions, candidates, staging jobs, and looking before deleting."""
