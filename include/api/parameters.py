"""Parameters that many routes have."""

from typing import Annotated

from fastapi import Path, Query

WITHOUT_NUL = r"^[^\x00]*$"

Number = Annotated[int, Path(ge=1, lt=2**63)]
"""Of something in ops-db."""
Filter = Annotated[str | None, Query(min_length=1, max_length=300, pattern=WITHOUT_NUL)]
"""Only what has this value."""
