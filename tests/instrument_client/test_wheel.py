"""The client as a wheel of its own: what is in it, what it needs, and the two examples run from it."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns, which

import pytest

from include.instrument_client import Settings
from tests.instrument_client.configured import config_of
from tests.instrument_client.contract_server import ContractServer

SOURCE = Path(__file__).parents[2] / "include" / "instrument_client"
OWN = {"httpx", "xxhash"}
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without network from what is installed, unpacked as an installer does."""
    folder = tmp_path_factory.mktemp("wheel")
    copytree(SOURCE, folder / "source", ignore=ignore_patterns("__pycache__", "*.egg-info", "build"))
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=folder / "source", check=True, capture_output=True, text=True
    )
    name = done.stdout.split()[-1]
    assert re.fullmatch(r"ccat_instrument_client-[0-9.]+-py3-none-any\.whl", name)
    with zipfile.ZipFile(folder / name) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def run(unpacked: Path, *arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    environment = {
        "PYTHONPATH": str(unpacked),
        "PATH": "/usr/bin:/bin",
        "NO_PROXY": "127.0.0.1",
        "HOME": "/nonexistent",
    }
    return subprocess.run(
        [python, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_wheel_has_the_client_and_the_command_and_needs_httpx_alone(unpacked: Path) -> None:
    assert {path.name for path in SOURCE.glob("*.py")} == {
        path.name for path in unpacked.glob("instrument_client/*.py")
    }
    (entries,) = unpacked.glob("*.dist-info/entry_points.txt")
    assert "dts-file = instrument_client.cli:main" in entries.read_text()
    (metadata,) = unpacked.glob("*.dist-info/METADATA")
    needed = re.findall(r"^Requires-Dist: (\S+?)[>=;\s].*?(; extra.*)?$", metadata.read_text(), re.MULTILINE)
    assert needed == [("httpx", ""), ("xxhash", '; extra == "checksums"')]


def test_dts_file_runs_from_the_wheel(unpacked: Path) -> None:
    done = run(unpacked, "-m", "instrument_client.cli", "--help")
    assert done.returncode == 0, done.stderr
    assert "file complete files" in done.stdout


@pytest.mark.parametrize(("example", "files"), [("primecam", 6), ("chai", 6)])
def test_an_example_runs_as_it_stands(
    unpacked: Path, settings: Settings, server: ContractServer, tmp_path: Path, example: str, files: int
) -> None:
    config = config_of(settings, tmp_path)
    done = run(unpacked, str(SOURCE / "examples" / f"{example}.py"), str(config))
    assert done.returncode == 0, done.stderr
    assert len(set(server.all_paths())) == len(server.all_paths()) == files
    assert all(server.is_finished(uuid) for uuid in server.observations)
    assert all((settings.root / path).is_file() for path in server.all_paths())


def test_the_examples_settings_are_complete(tmp_path: Path) -> None:
    from include.instrument_client import read_settings

    assert read_settings(SOURCE / "examples" / "dts-file.ini").data_location == "ccat_primecam"


def test_it_imports_nothing_else_of_this_project_and_is_python_3_9() -> None:
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 9))):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1, path
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                for name in names:
                    assert name.split(".")[0] in OWN | set(sys.stdlib_module_names), (path, name)
    with (SOURCE / "pyproject.toml").open("rb") as file:
        configured = tomllib.load(file)
    assert configured["project"]["requires-python"] == ">=3.9"
    assert configured["tool"]["ruff"]["target-version"] == "py39"


def pythons() -> list[str]:
    found = sorted(str(path) for path in (Path.home() / ".pyenv" / "versions").glob("3.9.*/bin/python"))
    return found or [python for python in [which("python3.9")] if python and runs(python)]


def runs(python: str) -> bool:
    """A version manager may have put something there that only says that it is not installed."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not pythons(), reason="there is no Python 3.9 here")
def test_it_imports_and_spools_on_python_3_9(unpacked: Path, settings: Settings, tmp_path: Path) -> None:
    """httpx has no wheel for it here, and only `server` imports it: an empty one stands in."""
    (tmp_path / "stand-in").mkdir()
    (tmp_path / "stand-in" / "httpx.py").write_text("Timeout = lambda **_: None\nHeaders = Client = object\n")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from instrument_client import Client, read_settings\n"
        "import instrument_client.cli\n"
        "settings = read_settings(Path(sys.argv[2]))\n"
        "path = settings.root / 'a.g3'; path.write_bytes(b'1')\n"
        "with Client(settings, sends=False).observation() as observation: observation.add(path)\n"
        "sys.exit(instrument_client.cli.main(['--config', sys.argv[2], 'status']))\n"
    )
    config = config_of(settings, tmp_path)
    done = run(unpacked, "-W", "error", "-c", script, str(tmp_path / "stand-in"), str(config), python=pythons()[-1])
    assert done.returncode == 0, done.stderr
    assert "1 files" in done.stdout
