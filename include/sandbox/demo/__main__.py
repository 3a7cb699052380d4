"""`python -m include.sandbox.demo`: what `make demo` runs."""

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while Python still imports: no traceback
    import typer

    from include.sandbox.demo.showing import main

    typer.run(main)
