"""The Operation machine: propose, lease, record, explain. One mechanism for everything that is done to data."""
