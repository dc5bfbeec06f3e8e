"""Do a forecast's 80 % intervals hold the truth in 80 % of cases, and how wide are they?

Services whose users are drawn one by one (tests/usage/usage_growth_world.py: a different model than the forecast's)
are cut off on some day; what was forecast is compared with what came. A line through the month's count, as
Prometheus' predict_linear draws it over a gauge, is asked for the same count. Prints JSON.

    python benchmarks/forecast_calibration.py [--cases 24] [--seed 1] [--processes 1]
"""

import argparse
import json
import math
import random
import statistics
import sys
import time
from datetime import date
from multiprocessing import Pool
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "usage"))

from usage_growth_world import SCENARIOS, service

from guard.usage.outlook.forecast import forecast

SPANS = {"10 to 28 days": (10, 28), "40 to 90 days": (40, 90), "3 to 6 months": (90, 180), "6 to 12 months": (180, 365)}


def case(task):
    """Return what one forecast said and what came."""
    scenario, span, tells, number, seed = task
    chance = random.Random(f"{seed}/{scenario}/{span}/{tells}/{number}")
    world = service(scenario, chance, days=chance.randint(*SPANS[span]), tells=tells)
    peak = max(world.running[day] for day in world.running if day <= world.today)
    allowed = max(int(peak * chance.uniform(1.02, 1.8)), world.so_far)
    begun = time.process_time()
    said = forecast(world.history, world.today, world.elapsed, allowed, rng=random.Random(number))
    seconds = time.process_time() - begun
    truth, final = world.crossing(allowed), world.final()
    result = {"scenario": scenario, "span": span, "tells": tells, "seconds": seconds, "final": None, "crossing": None}
    if said.final is None:
        return result
    left = max(date.fromisoformat(world.today).replace(day=28).day - int(world.today[8:]), 0)
    result["final"] = {
        "covered": said.final_low <= final <= said.final_high,
        "below": final < said.final_low,
        "width": (said.final_high - said.final_low) / max(final, 1),
        "error": said.final / max(final, 1) - 1,
        "linear": linear(world) / max(final, 1) - 1,
        "left": left,
    }
    in_period = truth is not None and truth[:7] == world.today[:7]
    result["chance"] = (said.chance_period, in_period)
    if said.missing:
        return result
    result["year"] = (said.chance_horizon, truth is not None)
    if said.earliest is not None:  # otherwise the interval is "not within a year", which ``year`` is about
        early, late = said.earliest, said.latest or "never"
        result["crossing"] = {
            "covered": early <= (truth or "never") <= late,
            "before": (truth or "never") < early,
            "open": said.latest is None,
            "days": (date.fromisoformat(late) - date.fromisoformat(early)).days if said.latest else None,
        }
    return result


def linear(world):
    """The month's final count as a line through its last week says."""
    days = [day for day in sorted(world.running) if day[:7] == world.today[:7] and day < world.today][-7:]
    if len(days) < 2:
        return world.so_far
    xs, ys = range(len(days)), [world.running[day] for day in days]
    middle, mean = statistics.mean(xs), statistics.mean(ys)
    slope = sum((x - middle) * (y - mean) for x, y in zip(xs, ys, strict=True)) / sum((x - middle) ** 2 for x in xs)
    last = max(day for day in world.running if day[:7] == world.today[:7])
    return ys[-1] + slope * (int(last[8:]) - int(days[-1][8:]))


def summary(results):
    finals = [result["final"] for result in results if result["final"]]
    dates = [result["crossing"] for result in results if result["crossing"] and not result["crossing"]["open"]]
    opened = [result["crossing"] for result in results if result["crossing"] and result["crossing"]["open"]]
    part = lambda items, key: round(sum(item[key] for item in items) / len(items), 3) if items else None  # noqa: E731
    middle = lambda values: round(statistics.median(values), 3) if values else None  # noqa: E731
    return {
        "cases": len(results),
        "forecasts": len(finals),
        "final_covered": part(finals, "covered"),
        "final_below": part(finals, "below"),
        "final_width": middle([final["width"] for final in finals]),
        "final_error": middle([abs(final["error"]) for final in finals]),
        "final_error_of_a_line": middle([abs(final["linear"]) for final in finals]),
        "dates": len(dates),
        "date_covered": part(dates, "covered"),
        "date_before": part(dates, "before"),
        "date_days": middle([one["days"] for one in dates]),
        "open_dates": len(opened),
        "open_date_covered": part(opened, "covered"),
    }


def reliability(pairs):
    """How often what was given a chance in each fifth came true."""
    fifths = {}
    for chance, came in pairs:
        fifths.setdefault(min(int(chance * 5), 4), []).append((chance, came))
    return [
        {
            "said": round(statistics.mean(chance for chance, _ in fifth), 3),
            "came": round(statistics.mean(came for _, came in fifth), 3),
            "cases": len(fifth),
        }
        for _, fifth in sorted(fifths.items())
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=24, help="for each scenario and length of history")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    tasks = [
        (scenario, span, tells, number, options.seed)
        for scenario in SCENARIOS
        for span in SPANS
        for tells in (True, False)
        for number in range(math.ceil(options.cases / (1 if tells else 4)))
    ]
    with Pool(options.processes) as pool:
        results = []
        for result in pool.imap_unordered(case, tasks, chunksize=4):
            results.append(result)
            if sys.stderr.isatty():
                print(f"\r{len(results)} of {len(tasks)}", end="", file=sys.stderr)
    told = [result for result in results if result["tells"]]
    groups = {
        "all": told,
        **{scenario: [result for result in told if result["scenario"] == scenario] for scenario in SCENARIOS},
        **{span: [result for result in told if result["span"] == span] for span in SPANS},
        "returning users not told apart": [result for result in results if not result["tells"]],
    }
    report = {
        "aimed_at": 0.8,
        "seed": options.seed,
        "groups": {name: summary(group) for name, group in groups.items()},
        "chance_in_this_month": reliability([result["chance"] for result in results if "chance" in result]),
        "chance_within_a_year": reliability([result["year"] for result in results if "year" in result]),
        "milliseconds_per_forecast": {
            "median": round(1000 * statistics.median(result["seconds"] for result in results), 1),
            "most": round(1000 * max(result["seconds"] for result in results), 1),
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
