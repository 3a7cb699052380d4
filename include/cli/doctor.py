"""`dts doctor`: what this host is like for transfers, measured, with what to change."""

import json
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from include.cli import paper
from include.cli.place import the_topology
from include.doctor.finding import Finding, Verdict, is_fit
from include.doctor.judge_kernel import SYSCTL_FILE
from include.doctor.limits import PEAK_BYTES_A_DAY, Limits
from include.settings import Settings
from include.topology import Topology

SANDBOX_PEAK_BYTES_A_DAY = 10**10
"""A sandbox is not for 8 TB a day."""

Host = Annotated[
    str | None, typer.Option(help="Which host of the topology this is; by default DTS_HOST.", show_default=False)
]
Seconds = Annotated[
    float,
    typer.Option(
        min=0.5,
        max=600,
        help="How long each measurement may take; over a long line three times as long.",
    ),
]
MostMb = Annotated[int, typer.Option("--most-mb", min=8, help="How many MB each measurement may move.")]
PeakTb = Annotated[
    float | None,
    typer.Option(
        min=0.000001,
        envvar="DTS_PEAK_TB",
        help="TB of the busiest day: what speeds and space are judged by. 8, in a sandbox 0.01.",
        show_default=False,
    ),
]
LineMbit = Annotated[float, typer.Option(min=1, help="What the line to the other sites is said to carry, in Mbit/s.")]
LossPercent = Annotated[
    float, typer.Option(min=0, max=50, help="What part of its packets the line is said to lose, in %.")
]
RoundTripMs = Annotated[
    float | None,
    typer.Option(min=0, help="Judge the kernel by this round trip instead of the measured one.", show_default=False),
]
WriteTest = Annotated[bool, typer.Option("--write-test", help="Allow a test file at each peer; it is removed again.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TopologyFile = Annotated[
    Path | None, typer.Option("--topology", help="The topology file; by default DTS_TOPOLOGY.", show_default=False)
]


def doctor(
    *,
    host: Host = None,
    seconds: Seconds = 10.0,
    most_mb: MostMb = 2000,
    peak_tb: PeakTb = None,
    line_mbit: LineMbit = 1000.0,
    loss_percent: LossPercent = 0.01,
    round_trip_ms: RoundTripMs = None,
    write_test: WriteTest = False,
    as_json: AsJson = False,
    topology: TopologyFile = None,
) -> None:
    """Look at this host: kernel, links, archives, disks, clock, ops-db, programs. Exit code 1 if something is bad.

    Measures for some minutes, and takes the line for itself meanwhile. Nothing stays behind, and nothing is written
    at other sites without --write-test.
    """
    # asyncssh and boto3 take a second to import, and no other command needs them.
    from include.cli.doctor_patient import broker_url, connections, named_ops_db_url, sandbox_is_meant
    from include.doctor.examination import Examination, Patient

    found = the_topology(topology)
    name = _host(host, topology=found)
    peak = (
        peak_tb * 1e12 if peak_tb is not None else SANDBOX_PEAK_BYTES_A_DAY if sandbox_is_meant() else PEAK_BYTES_A_DAY
    )
    limits = Limits(
        seconds=seconds,
        most_bytes=most_mb * 10**6,
        peak_bytes_a_day=peak,
        line_bytes_per_second=line_mbit * 1e6 / 8,
        line_loss=loss_percent / 100,
        round_trip_seconds=None if round_trip_ms is None else round_trip_ms / 1000,
        write_test=write_test,
    )
    patient = Patient(
        host=name,
        topology=found,
        connections=connections(None if name is None else found.host(name).site),
        ops_db_url=named_ops_db_url(),
        broker_url=broker_url(),
    )
    with Console(stderr=True).status("") as status:  # prints nothing unless stderr is a terminal
        findings = Examination(patient, limits=limits, on_step=lambda step: status.update(f"{step} …")).findings()
    if as_json:
        _print_json(findings, host=name)
    else:
        _print(findings)
    raise typer.Exit(0 if is_fit(findings) else 1)


def _host(named: str | None, *, topology: Topology) -> str | None:
    """Return the host's name: the one that was said, else that of the machine, else what a person answers."""
    said = named or Settings().host
    known = [host.name for host in topology.hosts]
    if said is None and socket.gethostname() in known:
        said = socket.gethostname()
    if said is None and sys.stdin.isatty() and sys.stdout.isatty():
        answer: str = typer.prompt(f"Which host is this ({', '.join(known)}; nothing for none)?", default="")
        said = answer.strip() or None
    return None if said is None else topology.host(said).name


def _print(findings: Sequence[Finding]) -> None:
    paper.table(
        ("area", "what", "is", "finding"),
        [(finding.area, finding.what, finding.verdict, finding.sentence) for finding in findings],
    )
    advised = [finding for finding in findings if finding.advice]
    if advised:
        paper.heading("What to do")
        for finding in sorted(advised, key=lambda one: list(_URGENCY).index(one.verdict)):
            paper.say(f"{finding.area}, {finding.what} ({finding.verdict}): {finding.advice}")
    lines = list(dict.fromkeys(line for finding in findings for line in finding.sysctl))
    if lines:
        paper.heading(f"Lines for {SYSCTL_FILE}, then `sysctl --system` (as root)")
        for line in lines:
            paper.say(line)
    paper.say()
    counts = [(verdict, sum(finding.verdict is verdict for finding in findings)) for verdict in Verdict]
    paper.say(", ".join(f"{count} {verdict}" for verdict, count in counts if count) + ".")


_URGENCY = (Verdict.BAD, Verdict.COULD_BE_BETTER, Verdict.NOT_MEASURED, Verdict.GOOD)


def _print_json(findings: Sequence[Finding], *, host: str | None) -> None:
    document = {
        "host": host,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "fit": is_fit(findings),
        "findings": [finding.model_dump(mode="json") for finding in findings],
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
