"""Make the program that role gateway installs importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "roles" / "gateway" / "files"))
