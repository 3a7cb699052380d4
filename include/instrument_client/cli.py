"""`dts-file`: file an instrument's observations from a shell, and look after its spool.

Exit codes: 0; 1 with one sentence on stderr (refused, or the disk does not do it); 2 for a command that was typed
wrongly; 3 if all of it is safe in the spool, but the server has not accepted it yet.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from .commands import drop_refused, file_paths, retry_refused, send_all, show_status, watch_directory
from .errors import InstrumentClientError
from .settings import read_settings

CONFIG = "/etc/dts-file.ini"
LAYOUTS = ("primecam", "chai")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `arguments` default to the process's own."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        code: int = given.run(given, read_settings(given.config), stop)
        return code
    except InstrumentClientError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dts-file", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(os.environ.get("DTS_FILE_CONFIG", CONFIG)),
        metavar="FILE",
        help=f"settings (default: DTS_FILE_CONFIG, else {CONFIG})",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _file(commands.add_parser("file", help="file complete files, or all files below a folder"))
    _watch(commands.add_parser("watch", help="file a directory as its files are complete, for ever"))
    _send(commands.add_parser("send", help="send what is in the spool, for ever"))
    _status(commands.add_parser("status", help="what waits in the spool, and why"))
    _refused(commands)
    return parser


def _file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    parser.add_argument("--observation", metavar="UUID", help="go on with this one; by default a new one")
    parser.add_argument("--module", help="of the instrument; by default that of the settings")
    parser.add_argument("--started-at", type=_moment, metavar="TIME", help="2026-04-01T03:20:00+00:00; by default now")
    parser.add_argument("--finish", action="store_true", help="no more files of this observation come")
    parser.add_argument(
        "--wait", type=_seconds, default=60.0, metavar="SECONDS", help="for the verdict (60); 0: leave it to `send`"
    )
    parser.set_defaults(run=file_paths)


def _watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, nargs="?", help="by default the root of the settings")
    parser.add_argument("--layout", choices=LAYOUTS, required=True)
    parser.add_argument(
        "--module", action="append", default=[], metavar="[STREAM=]MODULE", help="of a stream: 'rfsoc01_*=mod280'"
    )
    parser.add_argument("--rotation", type=_seconds, metavar="SECONDS", help="a file that rests longer is complete")
    parser.add_argument("--every", type=_seconds, default=5.0, metavar="SECONDS", help="look this often (5)")
    parser.set_defaults(run=watch_directory)


def _send(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", type=_seconds, metavar="SECONDS", help="until nothing waits, that long at most")
    parser.set_defaults(run=send_all)


def _status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="all of it, for programs")
    parser.set_defaults(run=show_status)


def _refused(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, run, text in (
        ("retry", retry_refused, "file refused files again, as they are now"),
        ("drop", drop_refused, "forget what was refused; the files stay where they are"),
    ):
        parser = commands.add_parser(name, help=text)
        parser.add_argument("observations", nargs="*", metavar="UUID")
        parser.add_argument("--all", action="store_true", help="of every observation")
        parser.set_defaults(run=run)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2026-04-01T03:20:00+00:00") from error
    if moment.utcoffset() is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no zone; write 2026-04-01T03:20:00+00:00")
    return moment


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from error
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} seconds cannot be waited for")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
