"""The recorded Prometheus and the server of the unit tests, for the browser too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "gizzi_api"))
