"""``python -m guard`` and the ``guard`` command.

As the first process of a container it gets no signal that it has no handler for, and what it serves with takes seconds
to load: a handler is there before anything else, which ends it as any other process would end. It is replaced by those
that drain.
"""

import os
import signal

if os.getpid() == 1:
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(128 + signal.SIGTERM))

from guard.cli.main import main

if __name__ == "__main__":
    main()
