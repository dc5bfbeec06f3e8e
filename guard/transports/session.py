"""Log-ins of the console: signed sessions in a cookie, the tokens of their forms, and a limit on wrong guesses."""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from guard.transports.throttle import Throttle

SECONDS = 12 * 3600
"""A session ends that long after the log-in, whatever is done in it."""
_ENDED = 4096
_ADDRESSES = 4096
_GUESSES = 5
"""Wrong tokens an address may send at once; after that one in ``_EVERY`` seconds."""
_EVERY = 12.0


class Session(NamedTuple):
    """A browser that showed the token."""

    id: str
    expires: int
    """Epoch seconds."""


class Sessions:
    """Makes sessions and knows its own again. The key is of this process alone and is written nowhere.

    So every session ends with the process; the token is read when a process starts, so a changed token ends them too.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._ended: OrderedDict[str, int] = OrderedDict()

    def begin(self) -> str:
        """Return the cookie's value of a new session."""
        head = f"{secrets.token_urlsafe(16)}.{int(self._clock()) + SECONDS}"
        return f"{head}.{self._sign('session', head)}"

    def find(self, value: str) -> Session | None:
        """Return the session that a cookie is of; None if it is of none, or of one that has ended."""
        head, _, mac = value.rpartition(".")
        if not hmac.compare_digest(mac.encode(), self._sign("session", head).encode()):
            return None
        id_, _, expires = head.rpartition(".")
        session = Session(id_, int(expires))
        return None if session.expires <= self._clock() or id_ in self._ended else session

    def end(self, session: Session) -> None:
        """Make ``session`` one that has ended, also for whoever kept its cookie."""
        now = self._clock()
        while self._ended and (next(iter(self._ended.values())) <= now or len(self._ended) >= _ENDED):
            self._ended.popitem(last=False)
        self._ended[session.id] = session.expires

    def form_token(self, session: Session | None) -> str:
        """Return what a form that changes something carries; without a session it is bound to this process."""
        return self._sign("form", session.id if session is not None else "")

    def is_form_token(self, session: Session | None, given: str) -> bool:
        """Return whether a form carried its token; takes as long for a wrong one."""
        return hmac.compare_digest(given.encode(), self.form_token(session).encode())

    def is_secret(self, secret: str, given: str) -> bool:
        """Return whether ``given`` is ``secret``; takes as long for a wrong one, whatever their lengths."""
        return hmac.compare_digest(self._sign("secret", given), self._sign("secret", secret))

    def _sign(self, what: str, text: str) -> str:
        return hmac.new(self._key, f"{what}:{text}".encode(), "sha256").hexdigest()


class Guesses:
    """Counts wrong tokens by address; an IPv6 address counts with its network, which belongs to one household."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._throttles: OrderedDict[str, Throttle] = OrderedDict()

    def admit(self, address: str) -> bool:
        """Return whether ``address`` may try another token; each try counts until ``forget``."""
        name = _network(address)
        throttle = self._throttles.pop(name, None) or Throttle(1 / _EVERY, _GUESSES, self._clock)
        self._throttles[name] = throttle
        if len(self._throttles) > _ADDRESSES:
            self._throttles.popitem(last=False)
        return throttle.admit() is not None

    def forget(self, address: str) -> None:
        """Forget the tries of ``address``: it had the token."""
        self._throttles.pop(_network(address), None)


def _network(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((found, 64), strict=False)) if found.version == 6 else address
