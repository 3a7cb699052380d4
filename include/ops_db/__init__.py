"""The operations database: what exists, where, what must happen, what happened."""
