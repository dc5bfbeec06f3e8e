"""Where a head is kept off the machine: a file on another volume, or whoever answers at a URL."""

import os
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

TIMEOUT = 10.0
"""Seconds for each step of a request."""
_MOST_TOKEN = 8192


class PlaceError(Exception):
    """A head did not get there; the text says why, and holds no token."""


class Place(Protocol):
    """Keeps lines."""

    name: str
    """Says which one it is, in messages."""

    def put(self, line: bytes) -> None:
        """Keep a line of JSON without its line feed. Raises PlaceError unless it is kept on return."""


class FilePlace:
    """A file that lines are appended to, each on the medium before ``put`` returns."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def put(self, line: bytes) -> None:
        """Append ``line``; what an interrupted one before it left becomes a line of its own."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                size = os.fstat(file).st_size
                torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
                data = b"\n" * torn + line + b"\n"
                if os.write(file, data) != len(data):
                    raise PlaceError("the disk took a part of a line only")
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise PlaceError(error.strerror or str(error)) from error


class WebhookPlace:
    """A URL that lines are posted to: https, or http on this machine. Anything but a 2xx is a failure.

    ``token_file`` holds a bearer token and is read for each request, ``ca`` the certificates (PEM) to trust instead of
    the system's. Redirects are not followed.
    """

    def __init__(self, url: str, token_file: Path | None = None, ca: Path | None = None) -> None:
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.netloc}"  # no more of it: a path may be a secret, too
        self._host, self._port, self._secure = parts.hostname or "", parts.port, parts.scheme == "https"
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._token_file, self._ca = token_file, ca

    def put(self, line: bytes) -> None:
        """Post ``line``."""
        headers = {"content-type": "application/json", "user-agent": "guard"}
        if self._token_file is not None:
            headers["authorization"] = f"Bearer {self._token(self._token_file)}"
        try:
            connection = self._connect()
            try:
                connection.request("POST", self._target, line, headers)
                status = connection.getresponse().status
            finally:
                connection.close()
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise PlaceError(str(why)) from None
        if not 200 <= status < 300:
            raise PlaceError(f"answered with status {status}")

    def _connect(self) -> HTTPConnection:
        if not self._secure:
            return HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        trusted = ssl.create_default_context(cafile=None if self._ca is None else str(self._ca))
        return HTTPSConnection(self._host, self._port, timeout=TIMEOUT, context=trusted)

    @staticmethod
    def _token(path: Path) -> str:
        try:
            with path.open("rb") as file:
                token = file.read(_MOST_TOKEN + 1).strip().decode("ascii")
        except OSError as error:
            raise PlaceError(f"token_file: {error.strerror or error}") from None
        except UnicodeDecodeError:
            token = ""
        if not token.isprintable() or not 0 < len(token) <= _MOST_TOKEN or " " in token:
            raise PlaceError("token_file: holds no token; allowed: one line of printable ASCII")
        return token
