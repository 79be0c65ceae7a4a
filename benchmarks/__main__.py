"""``python -m benchmarks`` does what ``python benchmarks/run.py`` does."""

import sys

from benchmarks import run

sys.exit(run.main())
