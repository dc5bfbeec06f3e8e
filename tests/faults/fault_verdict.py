"""The verdict: the ledger against what the clients saw, user by user."""

import json
import time
from contextlib import closing

from fault_fleet import LICENSE, within
from fault_load import ANSWERED, FAILED, REFUSED, TRIED, UNKNOWN

from guard.usage.address import open_ledger
from guard.usage.ledger import LedgerError, LedgerUnavailable, Scope
from guard.usage.period import Calendar, Kind, kind_of
from guard.usage.pseudonym import Pseudonymizer, load_or_create_key

DRAINED_SECONDS = 60


def month_of_run():
    """The id of the month that is counted now."""
    return Calendar().period(time.time()).id


def named(key, users):
    """The pseudonyms under the key in the file ``key``, by user's number."""
    pseudonyms = Pseudonymizer(load_or_create_key(key))
    return {user: pseudonyms.key("", f"user-{user}") for user in users}


def users_of(url):
    """The users that the ledger at ``url`` has, nothing being written; fails if it names one twice or miscounts."""
    found = set()
    with closing(open_ledger(url, read_only=True)) as ledger:
        for period in ledger.periods():
            if kind_of(period) is Kind.MONTH:  # two, if midnight of a month's last day came meanwhile
                scope = Scope(period, LICENSE)
                listed = [user for page in ledger.pseudonyms(scope) for user in page]
                totals = ledger.totals(period)[LICENSE]
                assert len(listed) == len(set(listed)), "a user is twice in the ledger"
                assert totals.users == totals.lower == totals.upper == len(listed) == ledger.users(scope)
                found.update(listed)
    return found


def drain(fleet, url):
    """Wait until nothing is left in any spool and every gateway tells of the same number of users as the ledger."""

    def users():
        try:
            with closing(open_ledger(url, read_only=True)) as ledger:
                return ledger.users(Scope(month_of_run(), LICENSE))
        except (LedgerUnavailable, LedgerError):  # it has just come back, and has nothing yet
            return None

    def told():
        return [gateway.metrics() for gateway in fleet.gateways]

    def drained():
        expected = {
            "guard_mau_spool_records": 0,
            "guard_mau_ledger_up": 1,
            "guard_mau_unspooled_sightings": 0,
            f'guard_license_mau{{kind="exact",license="{LICENSE}"}}': users(),
            f'guard_license_mau_lost{{license="{LICENSE}"}}': 0,
        }
        return all(expected.items() <= each.items() for each in told())

    within(
        DRAINED_SECONDS,
        drained,
        lambda: (
            f"{users()} users in the ledger; the gateways: "
            + json.dumps([{k: v for k, v in each.items() if "_mau" in k} for each in told()])
        ),
    )


class Verdict:
    """Who was answered, unknown or not, as pseudonyms under the shared key, and who is in the ledger."""

    def __init__(self, url, key, notes):
        pseudonyms = named(key, notes.having(TRIED))

        def having(bit):
            return {pseudonyms[user] for user in notes.having(bit)}

        self.requests = notes.requests
        self.tried = having(TRIED)
        self.answered = having(ANSWERED)
        self.unknown = having(UNKNOWN) - self.answered
        self.refused = having(REFUSED) - self.answered
        self.failed = having(FAILED) - self.answered
        self.counted = users_of(url)

    def check(self):
        """Everybody who was answered is in the ledger, and nobody else but who was cut off before an answer."""
        lost, invented = self.answered - self.counted, self.counted - self.answered - self.unknown
        assert not lost, f"{len(lost)} of {len(self.answered)} answered users are not in the ledger"
        assert not invented, f"{len(invented)} users are in the ledger whom nobody answered or cut off"


def summary(seed, began, verdict, director=None, **more):
    """Print what was run as one line of JSON."""
    happened = dict(director.happened) if director is not None else {}
    print(
        json.dumps(
            {
                "seed": seed,
                "users": len(verdict.tried),
                "requests": verdict.requests,
                **happened,
                "answered": len(verdict.answered),
                "unknown": len(verdict.unknown),
                "refused": len(verdict.refused),
                "counted": len(verdict.counted),
                **more,
                "seconds": round(time.monotonic() - began, 1),
            }
        )
    )
