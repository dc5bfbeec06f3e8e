"""Fetching one small document: no redirect, at most 64 KiB, within seconds. Never on a request's path."""

import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from typing import Any

MOST = 64 * 1024
"""Bytes of a document."""
TIMEOUT = 5.0
"""Seconds that connecting, and each read, may take; twice as long, and the whole is given up."""


class FetchError(Exception):
    """The document cannot be had; the text says why, and neither address nor content."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Keys come from where the operator said, and from nowhere that an answer names."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request."""


def fetch(url: str) -> bytes:
    """Return the document at ``url``, by way of the environment's proxy if there is one. Raises FetchError.

    ``http`` URLs are those of a loopback address: they take no proxy, which could put in keys of its own.
    """
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if url.startswith("http://"):
        handlers.append(urllib.request.ProxyHandler({}))
    about = {"accept": "application/json", "user-agent": "guard"}
    try:
        request = urllib.request.Request(url, headers=about)  # noqa: S310 - https, or http on loopback
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT) as answer:
            if answer.status != 200:
                raise FetchError(f"status {answer.status}")
            return _bounded(answer, time.monotonic() + 2 * TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        what = "a redirect, which is not followed" if 300 <= error.code < 400 else "not a key set"
        raise FetchError(f"status {error.code}, {what}") from None
    except urllib.error.URLError as error:
        raise FetchError(_reason(error.reason)) from None
    except (OSError, HTTPException, ValueError) as error:
        raise FetchError(_reason(error)) from None


def _bounded(answer: HTTPResponse, deadline: float) -> bytes:
    content = b""
    while more := answer.read1(MOST):
        content += more
        if len(content) > MOST:
            raise FetchError(f"more than {MOST // 1024} KiB")
        if time.monotonic() > deadline:
            raise FetchError("timed out")
    return content


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
