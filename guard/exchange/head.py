"""The head of a request as the transport saw it."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Head:
    """Method, decoded path, headers (lower-case names, raw values), and the peer's address (empty: a unix socket).

    Nobody changes one. It is not declared frozen because that would double what it costs to make one per request.
    """

    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    peer: str = ""
    reference: str = ""
    started: float = 0.0
    """Monotonic seconds at which the request arrived."""
    _last: dict[bytes, bytes] | None = field(default=None, init=False, repr=False, compare=False)
    """The last value of each header, made when the first is asked for."""

    @property
    def last(self) -> dict[bytes, bytes]:
        """The last raw value of each header, by lower-case name."""
        found = self._last
        if found is None:
            found = self._last = dict(self.headers)
        return found

    @property
    def repeats(self) -> bool:
        """True if some header was sent more than once."""
        return len(self.last) < len(self.headers)

    def header(self, name: bytes) -> str | None:
        """Return the last value of the header ``name`` (lower-case) as latin-1 text, or None.

        Several values of one name are a way to show two parsers two identities: see ``header_count``.
        """
        value = self.last.get(name)
        return None if value is None else value.decode("latin-1")

    def header_count(self, name: bytes) -> int:
        """Return how many times the header ``name`` (lower-case) was sent."""
        if not self.repeats:
            return int(name in self.last)
        return sum(1 for key, _ in self.headers if key == name)
