"""How an exchange with the upstream fails. The reason is for the log, never for the client."""


class UpstreamError(Exception):
    """No complete answer came from the upstream. ``status`` is the HTTP status the client is owed."""

    status = 502

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UpstreamUnavailable(UpstreamError):
    """The upstream could not be reached, or closed the connection before answering.

    The request is not sent again: the upstream may have acted on it.
    """


class UpstreamTimeout(UpstreamError):
    """The upstream did not accept the connection, take the request or continue its answer in time."""

    status = 504


class UpstreamBusy(UpstreamError):
    """Every connection is in use and the line is full, or moved too slowly."""

    status = 503


class UpstreamGarbled(UpstreamError):
    """The answer's framing or coding cannot be trusted: none of it may be taken for what the upstream meant."""


class UpstreamBroken(UpstreamError):
    """The answer stopped short after its head had been passed on; ``__cause__`` is the failure itself."""
