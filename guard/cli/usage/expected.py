"""What is expected of one limit, in lines of text."""

from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

from guard.cli.usage.words import counted

if TYPE_CHECKING:
    from guard.usage.declaration import Declaration
    from guard.usage.figure import Figure, Tested
    from guard.usage.outlook.forecast import Forecast


def expected_lines(
    figure: "Figure", tested: "Tested", found: "Forecast", larger: "Declaration | None"
) -> Iterator[str]:
    """Yield the limit, the count so far with what is uncertain in it, the forecast, and what it rests on.

    ``larger`` is a declared product with more users than this gateway's, where each is looked at by itself.
    """
    limit = tested.limit
    whose = f"clause {limit.clause}" if limit.clause else "your own"
    acts = "standing" if limit.standing else "release snapshot: a count of today neither triggers nor cures it"
    yield f"{limit.license}: {limit.value:,} users a {limit.kind.value} ({whose}, {acts})"
    if larger is not None:
        yield f"  {larger.source} has most: {larger.users:,} users, stated by {larger.owner} on {larger.stated}"
        state = f"that is {tested.state}; " if limit.standing else ""
        yield f"  {state}of this gateway's product, which is looked at by itself:"
    least = figure.measured.lower if limit.products == "each" else tested.lower
    bound, about = found.count > least, []
    if found.count > figure.users:
        about.append(f"{figure.users:,} measured")
    if undated := found.beyond - max(0, found.count - figure.users):
        about.append(f"{undated:,} of them came on no known day")
    known = f" ({', '.join(about)})" if about else ""
    yield f"  {'at most ' * bound}{counted(found.count, 'user')} in {found.period} so far{known}"
    if tested.omits:
        yield f"  not in that number: {', '.join(tested.omits)}"
    yield f"  {_verdict(found, least)}"
    if found.final is not None:
        yield (
            f"  {found.period} is expected to end with {found.final:,} "
            f"({found.final_low:,} to {found.final_high:,} with a chance of {found.coverage:.0%})"
        )
    for heading, sentences in (
        ("missing", found.missing), ("rests on", found.reasons), ("holds if", found.assumptions)
    ):  # fmt: skip
        for sentence in sentences:
            yield from wrap(f"{heading}: {sentence}", 100, initial_indent="  ", subsequent_indent="    ")


def _verdict(found: "Forecast", least: int) -> str:
    from guard.usage.outlook.forecast import Verdict

    if found.verdict is Verdict.CROSSED:
        when = f" on {found.since}" if found.since else "; the day is not known (undated users)"
        if least > found.allowed:
            return f"passed{when}: {found.count:,} are more than {found.allowed:,}"
        return f"taken as passed{when}: at most {found.count:,}, and {found.allowed:,} are allowed"
    if found.verdict is Verdict.EXPECTED:
        until = f"nine of ten by {found.latest}" if found.latest else f"not in nine of ten cases by {found.horizon}"
        return f"expected to be passed by {found.crossing} (one case of ten: by {found.earliest}; {until})"
    if found.verdict is Verdict.NOT_EXPECTED:
        return f"not expected to be passed by {found.horizon} (chance {_chance(found.chance_horizon or 0)})"
    from_ = f"; possible from {found.possible_from}" if found.possible_from else ""
    return f"too little data to say when{from_}"


def _chance(part: float) -> str:
    if part < 0.01:
        return "below 1%"
    return "above 99%" if part > 0.99 else f"{part:.0%}"
