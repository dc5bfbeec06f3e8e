"""Guard around a server is the one that the transports are tested with."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "transports"))
