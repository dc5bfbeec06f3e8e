"""``guard report``: the month's evidence, as a page and as JSON."""

from guard.cli.report.command import report

__all__ = ["report"]
