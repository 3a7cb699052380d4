"""How the system is: what each worker host says of itself, and whether the whole is live, ready or degraded."""
