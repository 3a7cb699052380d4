"""Who may do what through the API: roles, the table of what each may do, and the tokens of services."""
