"""What the words of a report mean, and how to check it."""

from guard.evidence.report.known import Known, Row

TERMS = {
    "Sources": "Every statement names what it rests on: journal entries by kind, journal and number (from, to, how "
    "many); the ledger; a fact of a license pack, with its clause and how it was confirmed; or the configuration.",
    "Confirmation": "confirmed: read in the licensor's own text. copy: read in a faithful copy. excerpt: read in a "
    "part of it. unconfirmed: not read in the text, and to be checked before it is relied on.",
    "Verdicts": "within: fewer users than the threshold allows, by an upper bound, in a month for at least 95 % of "
    "which gateways are known to have run. within what was counted: fewer are known of, but something is missing that "
    "nobody can number. approaching: from four fifths of it on, "
    "or the operator's own share. over: more than it allows. attested: the threshold looks at one past month, and "
    "somebody signed how many users there were. unknown: nothing shows it. none: no threshold on users.",
    "Bounds": "The true count lies between at least and at most. No upper bound means that something is missing which "
    "nobody can number: see what is not included.",
    "Decisions": "Refused: not served. Cut: an answer that a rule ended early. Flagged: served and noted. Not "
    "evaluated: served although a check could not be made; it is never counted as passed. In shadow: would have been "
    "refused, and was served because the policy, or the rule, was on trial.",
    "Running": "A gateway is known to have run from the first entry of a run to the last one of the month. After a "
    "kill, it is known to have run until its last entry only.",
    "Obligations": "met: Guard carries it out, counts it, refuses otherwise, or it is stated or attested by somebody "
    "named, and in force. open: nothing shows that it is met, which is not to say that it is not.",
    "Audit chain": "Each entry has the hash of the one before it, so that a change shows in all that follow. Head and "
    "number of the last entry up to the month's end are stated: whoever has the journals can find them there, however "
    "much they have grown. Seals and checkpoints are signatures over the chain.",
    "Same bytes": "The same journals, ledger, index and configuration give the same report, byte for byte: it has no "
    "date of its making. Entries after the month change nothing in it.",
}


def method(known: Known) -> list[Row]:
    """Return the terms with what they mean."""
    users = known.usage["definition"] if known.usage is not None else "The month was not counted."
    return [{"term": "Active user", "meaning": users}, *({"term": term, "meaning": TERMS[term]} for term in TERMS)]
