"""CHAI: an observation is a folder of FITS files, of the modules LFA and HFA.

    python chai.py /etc/dts-file.ini

Runs as it stands: instead of spectra it writes empty FITS files. Put the instrument's own writer into `write_fits`.
Where nobody wants to change the instrument's software, `dts-file watch --layout chai` does the same from outside.
"""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone
from pathlib import Path

from instrument_client import Client, read_settings

SCANS = 3
MODULES = ("lfa", "hfa")


def write_fits(path: Path, *, observed_at: datetime) -> None:
    """Write a file that holds a header and no data. A FITS file consists of 80-character cards in blocks of 2,880."""
    cards = (
        "SIMPLE  =                    T",
        "BITPIX  =                    8",
        "NAXIS   =                    0",
        f"DATE-OBS= '{observed_at:%Y-%m-%dT%H:%M:%S}'",
        "END",
    )
    path.write_text("".join(f"{card:80}" for card in cards).ljust(2880), encoding="ascii")


def main() -> None:
    """Observe once."""
    logging.basicConfig(level=logging.INFO)
    settings = read_settings(Path(sys.argv[1]))
    began = datetime.now(timezone.utc)
    folder = settings.root / f"{began:%Y%m%d}" / f"obs_{began:%H%M%S}"
    folder.mkdir(parents=True)
    with Client(settings) as client:
        with client.observation(started_at=began) as observation:
            for scan in range(SCANS):
                for module in MODULES:
                    path = folder / f"chai_{module}_{scan:04d}.fits"
                    write_fits(path, observed_at=began)
                    observation.add(path, module=module)
        # An instrument goes on observing. This program ends here, and gives the verdict a moment.
        if not client.wait_until_accepted(observation.uuid, seconds=60):
            sys.exit("It is safe in the spool; `dts-file status` says what it waits for.")


if __name__ == "__main__":
    main()
