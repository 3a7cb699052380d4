"""Parameters that many routes have."""

from typing import Annotated

from fastapi import Path, Query
from pydantic import WithJsonSchema

from include.registration.conf import NAME_CHARACTERS_MAX, Moment, Name

WITHOUT_NUL = r"^[^\x00]*$"

Number = Annotated[int, Path(ge=1, lt=2**63)]
"""Of something in ops-db."""
When = Annotated[Moment, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time with its zone."""
InstrumentName = Annotated[Name, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": NAME_CHARACTERS_MAX})]
"""As in the topology."""
Filter = Annotated[str | None, Query(min_length=1, max_length=300, pattern=WITHOUT_NUL)]
"""Only what has this value."""
