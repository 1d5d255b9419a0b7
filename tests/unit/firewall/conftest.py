"""Make the program that role firewall installs importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "roles" / "firewall" / "files"))
