from tests.cli.conftest import bare_dts, far_from_any_sandbox

__all__ = ["bare_dts", "far_from_any_sandbox"]
