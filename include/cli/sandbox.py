"""`dts sandbox`: a whole observatory on this machine, in the background. Its modules are heavy: imported when used."""

from typing import Annotated

import typer

from include.cli import paper

app = typer.Typer(help="A whole observatory on this machine.", no_args_is_help=True)


@app.command()
def start() -> None:
    """Start it, print the logins, and leave it running."""
    from include.sandbox import background, orphans

    for line in orphans.notice():
        paper.say(line)
    for line in background.description(background.start_in_background(on_progress=paper.say)):
        paper.say(line)
    paper.say("`dts sandbox stop` ends it.")


@app.command()
def stop() -> None:
    """Stop it."""
    from include.sandbox import background

    background.stop()
    paper.say("The sandbox has ended; its files stay until the next start or `make clean`.")


@app.command()
def status() -> None:
    """Show the logins, and whether each process lives."""
    from include.sandbox import background

    found = background.status()
    for line in background.description(found.state):
        paper.say(line)
    paper.table(
        ("process", "pid", "is"),
        [(process.name, process.pid, "up" if process.alive else "DEAD") for process in found.processes],
        numbers=("pid",),
    )


@app.command()
def clean(
    only_orphans: Annotated[
        bool, typer.Option("--orphans", help="Remove instead what clones left that are no longer there.")
    ] = False,
) -> None:
    """Stop it and remove everything that it left."""
    from include.sandbox import background, orphans

    if only_orphans:
        told = orphans.remove_orphans()
    else:
        background.clean()
        told = ["Nothing of this clone's sandbox is left.", *orphans.notice()]
    for line in told:
        paper.say(line)
