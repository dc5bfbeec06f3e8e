"""The head of a request as the transport saw it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Head:
    """Method, decoded path, headers (lower-case names, raw values), and the peer's address (empty: a unix socket)."""

    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    peer: str = ""
    reference: str = ""
    started: float = 0.0
    """Monotonic seconds at which the request arrived."""
    _index: dict[bytes, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    def header(self, name: bytes) -> str | None:
        """Return the last value of the header ``name`` (lower-case) as latin-1 text, or None.

        Several values of one name are a way to show two parsers two identities: see ``header_count``.
        """
        if not self._index and self.headers:
            self._index.update(self.headers)
        value = self._index.get(name)
        return None if value is None else value.decode("latin-1")

    def header_count(self, name: bytes) -> int:
        """Return how many times the header ``name`` (lower-case) was sent."""
        return sum(1 for key, _ in self.headers if key == name)
