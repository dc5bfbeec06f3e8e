"""What a worker is told by its supervisor when it starts: its number, its line, and the sockets it was handed.

It is in the environment of the process, because a worker is started by the same command as its supervisor; whatever the
worker starts itself does not see it. The sockets are open files of the same numbers.
"""

import json
import os
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from socket import socket

VARIABLE = "GUARD_WORKER_POST"


@dataclass(frozen=True, slots=True)
class Post:
    """One worker's place among ``workers`` of one client port."""

    number: int
    workers: int
    line: int
    """The file of its end of the line to the supervisor."""
    host: str = ""
    port: int = 0
    """The client port, of which every worker makes a socket of its own."""
    client: int = -1
    """The file of the socket that all of them accept from instead: unix sockets cannot be divided."""
    admin: int = -1
    """The file of the admin port's socket, for the first worker."""

    @classmethod
    def taken(cls, environment: MutableMapping[str, str] = os.environ) -> "Post | None":
        """Return what this process was told, and forget it; None where it is no worker."""
        told = environment.pop(VARIABLE, None)
        return None if told is None else cls(**json.loads(told))

    def told(self) -> dict[str, str]:
        """Return what the environment of the worker is to have."""
        return {VARIABLE: json.dumps(asdict(self))}

    @property
    def files(self) -> list[int]:
        """The files that the worker needs."""
        return [each for each in (self.line, self.client, self.admin) if each >= 0]

    def socket(self, file: int) -> socket:
        """Return the socket of one of ``files``, in the worker; whatever it starts does not get it."""
        handed = socket(fileno=file)
        handed.set_inheritable(False)
        handed.setblocking(False)
        return handed
