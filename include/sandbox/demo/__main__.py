"""`python -m include.sandbox.demo`: what `make demo` runs."""

from include.sandbox.signals import ctrl_c_ends_quietly

if __name__ == "__main__":
    ctrl_c_ends_quietly()
    import typer

    from include.sandbox.demo.showing import main

    typer.run(main)
