"""`python -m include.sandbox start|stop|status|run|clean`: what `make` and `dts sandbox` call."""

import sys

import typer

from include.errors import DtsError
from include.sandbox import background

app = typer.Typer(help="A whole observatory on one machine.", no_args_is_help=True, add_completion=False)


@app.command()
def run() -> None:
    """Start it and keep it until Ctrl-C."""
    background.run_foreground(on_progress=typer.echo)


@app.command()
def start() -> None:
    """Start it in the background."""
    for line in background.description(background.start_in_background(on_progress=typer.echo)):
        typer.echo(line)


@app.command()
def stop() -> None:
    """Stop it."""
    background.stop()


@app.command()
def status() -> None:
    """Show what runs."""
    found = background.status()
    for line in background.description(found.state):
        typer.echo(line)
    for process in found.processes:
        typer.echo(f"  {process.name:<24} {process.pid:>8}  {'up' if process.alive else 'DEAD'}")


@app.command()
def clean() -> None:
    """Remove everything that it left."""
    background.clean()


@app.command(hidden=True)
def supervise() -> None:
    """Own a sandbox in the background until SIGTERM."""
    raise typer.Exit(background.supervise())


if __name__ == "__main__":
    try:
        app()
    except DtsError as error:
        typer.secho(str(error), err=True, fg=typer.colors.RED)
        sys.exit(1)
