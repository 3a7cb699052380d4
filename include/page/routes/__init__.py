"""What the page asks for, beside the API, a file for each view."""
