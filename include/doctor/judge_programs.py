"""Judge the programs and the processor. Pure."""

from include.doctor.finding import Area, Finding, Verdict, not_measured
from include.doctor.programs import Programs

LEAST_PYTHON = (3, 11, 2)
FILES, FEWEST_FILES = 4096, 512


def judge_programs(found: Programs) -> list[Finding]:
    """Return a finding for each."""
    return [_python(found.python), _ssh(found), _aes(found.has_aes), _files(found.open_files)]


def _python(version: tuple[int, ...]) -> Finding:
    old = version < LEAST_PYTHON
    said = ".".join(str(part) for part in version)
    return Finding(
        area=Area.PROGRAMS,
        what="Python",
        verdict=Verdict.BAD if old else Verdict.GOOD,
        sentence=f"{said}{' is too old: 3.11.2 is needed' if old else ''}.",
        advice="Install Python 3.11 or 3.12, and make the environment anew." if old else "",
    )


def _ssh(found: Programs) -> Finding:
    return Finding(
        area=Area.PROGRAMS,
        what="asyncssh",
        verdict=Verdict.GOOD,
        sentence=f"{found.asyncssh} on {found.openssl}; Python's own is {found.python_openssl}.",
    )


def _aes(has_aes: bool | None) -> Finding:
    what = "AES of the processor"
    if has_aes is None:
        return not_measured(Area.PROGRAMS, what, why="the processor does not say (no /proc/cpuinfo)")
    return Finding(
        area=Area.PROGRAMS,
        what=what,
        verdict=Verdict.GOOD if has_aes else Verdict.COULD_BE_BETTER,
        sentence="it has the instructions: about 3 GB/s of aes128-gcm a core."
        if has_aes
        else "it has no instructions for it, or the virtual machine hides them: encryption may end at 0.1 GB/s a core.",
        advice="" if has_aes else "Give the virtual machine the host's processor type (`host-passthrough`).",
    )


def _files(limit: int) -> Finding:
    enough = limit < 0 or limit >= FILES
    said = "no limit" if limit < 0 else f"{limit} for a process"
    verdict = Verdict.GOOD if enough else Verdict.COULD_BE_BETTER if limit >= FEWEST_FILES else Verdict.BAD
    return Finding(
        area=Area.PROGRAMS,
        what="open files",
        verdict=verdict,
        sentence=f"{said}{'' if enough else f'; {FILES} leave room for many connections and files at once'}.",
        advice=""
        if enough
        else f"Set `LimitNOFILE={16 * FILES}` in the worker's systemd unit (or `ulimit -n {FILES}`).",
        value=limit,
    )
