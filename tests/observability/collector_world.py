"""An OTLP/HTTP collector: takes spans over a real socket and reads them by the protocol's own definitions."""

import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(ThreadingHTTPServer):
    def __init__(self, status=200):
        collector = self
        self.status, self.bodies, self.headers = status, [], []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.headers.append((self.path, dict(self.headers)))
                if collector.status == 200:
                    collector.bodies.append(body)
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()

    @property
    def payload(self):
        """Every byte that arrived."""
        return b"".join(self.bodies)

    @property
    def spans(self):
        return [Span(span) for body in list(self.bodies) for resource in ExportTraceServiceRequest.FromString(body).resource_spans
                for scope in resource.scope_spans for span in scope.spans]  # fmt: skip

    @property
    def resource(self):
        found = ExportTraceServiceRequest.FromString(self.bodies[0]).resource_spans[0].resource
        return {pair.key: value_of(pair.value) for pair in found.attributes}

    def servers(self, number):
        """The SERVER spans, once there are ``number``."""
        deadline = time.monotonic() + 20
        while len(found := [span for span in self.spans if span.kind == 2]) < number:
            assert time.monotonic() < deadline, f"{len(found)} of {number} requests were traced"
            time.sleep(0.02)
        return found


def value_of(value):
    return getattr(value, value.WhichOneof("value"))


class Span:
    def __init__(self, span):
        self.name, self.kind = span.name, span.kind
        self.trace, self.id, self.parent = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        self.facts = {pair.key: value_of(pair.value) for pair in span.attributes}
        self.events = [event.name for event in span.events]
        self.status = span.status.code
        self.seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
