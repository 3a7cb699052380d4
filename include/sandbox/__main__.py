"""`python -m include.sandbox run|clean|supervise`: what `make` calls, and what `dts sandbox start` leaves running.

Its modules are heavy: imported when used, so that Ctrl-C meanwhile makes no traceback.
"""

import sys

import typer

from include.errors import DtsError
from include.sandbox.signals import ctrl_c_ends_quietly

app = typer.Typer(help="A whole observatory on one machine.", no_args_is_help=True, add_completion=False)


@app.command()
def run() -> None:
    """Start it and keep it until Ctrl-C."""
    from include.sandbox import background

    background.run_foreground(on_progress=typer.echo)


@app.command()
def clean() -> None:
    """Remove everything that it left."""
    from include.sandbox import background, orphans

    background.clean()
    for line in orphans.notice():
        typer.echo(line)


@app.command(hidden=True)
def supervise() -> None:
    """Own a sandbox in the background until SIGTERM."""
    from include.sandbox import background

    raise typer.Exit(background.supervise())


if __name__ == "__main__":
    ctrl_c_ends_quietly()
    try:
        app()
    except DtsError as error:
        typer.secho(str(error), err=True, fg=typer.colors.RED)
        sys.exit(1)
