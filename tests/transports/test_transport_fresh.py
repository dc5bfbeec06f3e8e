"""Whoever reads what is kept in files gets it as it is; probes and scrapes read nothing."""

import asyncio

import pytest

from guard.transports.fresh import Fresh


class Runtime:
    def __init__(self):
        self.refreshed = 0

    async def refresh(self):
        self.refreshed += 1


@pytest.mark.parametrize(("method", "path", "refreshed"), [
    ("GET", "/", 1), ("GET", "/decisions/abc", 1), ("GET", "/api/v1/history", 1), ("GET", "/api/v1/health", 1),
    ("GET", "/metrics", 0), ("GET", "/readyz", 0), ("GET", "/healthz", 0), ("GET", "/login", 0),
    ("POST", "/-/reload", 0), ("POST", "/api/v1/export/check", 0),
])  # fmt: skip
def test_facts_are_brought_up_to_date_before_they_are_told(method, path, refreshed):
    runtime, seen = Runtime(), []

    async def app(scope, receive, send):
        seen.append(runtime.refreshed)

    asyncio.run(Fresh(app, runtime)({"type": "http", "method": method, "path": path}, None, None))
    assert seen == [refreshed]
