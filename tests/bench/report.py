"""What machines read of a measurement: REPORT=file.json. Each part replaces itself there and leaves the others."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

Figures = Mapping[str, Mapping[str, float]]
"""Of each case."""


def add_to_report(part: str, figures: Figures) -> None:
    """Write them as `part` (transfer, packaging) into the file that REPORT names, if it names one."""
    if name := os.environ.get("REPORT"):
        path = Path(name)
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(known | {part: figures}, indent=2) + "\n")
