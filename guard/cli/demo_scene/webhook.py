"""A receiver for Alertmanager's webhook notifications, on a loopback port of this process."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Alert = dict[str, Any]
"""One alert of a notification, with the ``receiver`` that the route chose for it."""


class Webhook:
    """Keeps the alerts it was sent, in the order of their arrival."""

    def __init__(self) -> None:
        self._alerts: list[Alert] = []
        self._arrived = threading.Condition()
        self.url = ""

    def take(self, notification: Any) -> None:
        """Keep the alerts of one notification. Raises KeyError, TypeError if it is none."""
        alerts = [{"receiver": notification["receiver"], **alert} for alert in notification["alerts"]]
        with self._arrived:
            self._alerts += alerts
            self._arrived.notify_all()

    def alerts(self) -> list[Alert]:
        """Return everything that arrived."""
        with self._arrived:
            return list(self._alerts)

    def wait(self, name: str, seconds: float, fits: Callable[[Alert], bool] | None = None) -> Alert | None:
        """Return the first firing alert called ``name``, one that ``fits``; None if none arrives in time."""
        deadline = time.monotonic() + seconds
        with self._arrived:
            while True:
                for alert in self._alerts:
                    named = alert["status"] == "firing" and alert["labels"]["alertname"] == name
                    if named and (fits is None or fits(alert)):
                        return alert
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._arrived.wait(left)


@contextmanager
def receiving() -> Iterator[Webhook]:
    """Listen on a free loopback port until the context ends."""
    webhook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                webhook.take(json.loads(body))
            except (KeyError, TypeError, ValueError):
                self.send_response(400)
            else:
                self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: what arrived is shown by whoever asked for it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    webhook.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, name="webhook")
    thread.start()
    try:
        yield webhook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
