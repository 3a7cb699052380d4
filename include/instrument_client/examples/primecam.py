"""Prime-Cam: several streams write at once, each rotates its file, and a file is filed as soon as it is closed.

    python primecam.py /etc/dts-file.ini

Runs as it stands: instead of detector frames it writes a few kilobytes. Put the instrument's own writer into `frames`.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path

from instrument_client import Client, Observation, SpoolError, read_settings

logger = logging.getLogger(__name__)

STREAMS = ("rfsoc01_drone1", "rfsoc01_drone2")
FILES_PER_STREAM = 3


def frames() -> bytes:
    """Return what one file of a stream holds."""
    return os.urandom(4096)


def stream(name: str, *, session: int, root: Path, observation: Observation) -> None:
    """Write the files of one stream; `observation.add` costs it about a millisecond."""
    for number in range(FILES_PER_STREAM):
        path = root / str(session)[:5] / name / f"{session}_{number:03d}.g3"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(frames())
        try:
            observation.add(path)
        except SpoolError:
            # The disk is full, say. The data is there: `dts-file file` files it later.
            logger.exception("%s is not filed.", path)


def main() -> None:
    """Observe once."""
    logging.basicConfig(level=logging.INFO)
    settings = read_settings(Path(sys.argv[1]))
    session = int(time.time())
    with Client(settings) as client:
        with client.observation() as observation:
            threads = [
                threading.Thread(
                    target=stream,
                    args=(name,),
                    kwargs={"session": session, "root": settings.root, "observation": observation},
                )
                for name in STREAMS
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        # An instrument goes on observing. This program ends here, and gives the verdict a moment.
        if not client.wait_until_accepted(observation.uuid, seconds=60):
            sys.exit("It is safe in the spool; `dts-file status` says what it waits for.")


if __name__ == "__main__":
    main()
