"""Redis for the contract test, and Guard around a server, are those that other rooms are tested with."""

import sys
from pathlib import Path

for room in ("usage", "transports", "exchange"):
    sys.path.append(str(Path(__file__).parent.parent / room))
