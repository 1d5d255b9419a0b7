"""Give the program the file of the modules under the name by which role ollama installs it."""

import sys

from ansible_collections.etrid.gizzi.plugins.module_utils import _runner

sys.modules["runner"] = _runner
