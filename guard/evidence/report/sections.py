"""The sections of the page, in the order in which they are read."""

from collections.abc import Callable

from guard.evidence.report.kept import behavior, receipts
from guard.evidence.report.known import Row
from guard.evidence.report.markup import Html
from guard.evidence.report.ran import audit_chain, running
from guard.evidence.report.rulings import decisions, policy
from guard.evidence.report.terms import licenses, obligations
from guard.evidence.report.users import users

SECTIONS: tuple[tuple[str, str, Callable[[Row], Html]], ...] = (
    ("users", "Users and thresholds", users),
    ("licenses", "Licenses", licenses),
    ("obligations", "Obligations", obligations),
    ("policy", "Policy in force", policy),
    ("decisions", "Decisions", decisions),
    ("receipts", "Receipts, purposes and data sets", receipts),
    ("behavior", "Behavior and additions", behavior),
    ("running", "What the journals cover", running),
    ("audit-chain", "Audit chain", audit_chain),
)
"""Name, title, and what writes it."""
