"""Redis servers are those that the usage room is tested with."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "usage"))
