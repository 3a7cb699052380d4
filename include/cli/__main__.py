"""`python -m include.cli`: the same as `dts`."""

import sys

from include.cli import main

sys.exit(main())
