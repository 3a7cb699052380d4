"""Settings as the file that `dts-file` reads."""

from pathlib import Path

from include.instrument_client import Settings

KEYS = ("server", "token_file", "instrument", "module", "data_location", "root", "spool")


def config_of(settings: Settings, folder: Path) -> Path:
    """Write it, and return its path."""
    path = folder / "dts-file.ini"
    path.write_text("[dts-file]\n" + "".join(f"{key} = {getattr(settings, key)}\n" for key in KEYS))
    return path
