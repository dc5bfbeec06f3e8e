"""What Guard is to cost, as data, and how far what was measured is from it."""

from dataclasses import dataclass

from lab.question import amount


@dataclass(frozen=True)
class Goal:
    """One goal: the figure at ``path`` of the result ``result`` is to be at most, or ``at_least``, ``bound``."""

    what: str
    result: str
    path: tuple
    bound: float
    unit: str = ""
    at_least: bool = False

    def figure(self, results):
        """Return the figure, a spread or a number, or None where it was not measured."""
        found = results.get(self.result)
        for key in self.path:
            if not isinstance(found, dict) or key not in found:
                return None
            found = found[key]
        return found

    def value(self, results):
        """Return what was measured, the median of a spread, or None."""
        found = self.figure(results)
        return found["median"] if isinstance(found, dict) else found

    def met(self, results):
        """Return whether it is met; None where it was not measured."""
        value = self.value(results)
        if value is None:
            return None
        return value >= self.bound if self.at_least else value <= self.bound


def _ratio(what, result, one, other, bound, **more):
    return Goal(what, result, ("ratios", f"{one} / {other}"), bound, **more)


def _added(what, measured, bound):
    return Goal(what, "added_latency", ("added", "guard_all - nginx", measured), bound, " µs")


GOALS = (
    _ratio("a request, rules on / nginx", "request_cost", "guard_rules", "nginx", 2.5),
    _ratio("a request, everything on / nginx", "request_cost", "guard_all", "nginx", 4.0),
    _ratio("a request, everything on / vllm-router", "request_cost", "guard_all", "vllm_router", 0.9),
    _ratio("a request, LiteLLM / everything on", "request_cost", "litellm", "guard_all", 120, at_least=True),
    _ratio("a request, LiteLLM's filter / everything on, the same 500 patterns", "request_cost", "litellm_filter",
           "guard_all_500", 280, at_least=True),
    _ratio("a paced chunk, rules on / nginx", "stream_cost", "guard_rules", "nginx", 1.9),
    _ratio("a paced chunk, everything on / nginx", "stream_cost", "guard_all", "nginx", 2.1),
    _ratio("a paced chunk, LiteLLM / everything on", "stream_cost", "litellm", "guard_all", 22, at_least=True),
    _ratio("a paced chunk, LiteLLM's filter / everything on, the same 500 patterns", "stream_cost", "litellm_filter",
           "guard_all_500", 90, at_least=True),
    _ratio("in-process, rules on: added by a request / nginx's whole request", "in_process", "rules",
           "nginx, request", 0.9),
    _ratio("in-process, rules on: added by a chunk / nginx's whole chunk", "in_process", "rules", "nginx, chunk", 0.2),
    _added("added p50 beyond nginx's at 200 requests/s, everything on", "latency_p50_us", 400),
    _added("added p50 to the first token beyond nginx's at 50 streams, everything on", "first_p50_us", 400),
    Goal("a further token of an answer of 4,096 / of 64, everything on", "tokens",
         ("ratios", "guard_all: the last / the first"), 1.1),
    Goal("memory of a worker that has seen a million users, everything on", "users",
         ("figures", "1000000", "after_mib"), 120, " MiB"),
    Goal("growth in the second half of a soak of 20 minutes", "memory_soak",
         ("figures", "guard_all", "growth_percent"), 2, " %"),
)  # fmt: skip
"""Medians of the rounds; a ratio is taken within a round."""


def rows(results):
    """Return (goal, bound, measured, met) of every goal as they are shown."""
    shown = []
    for goal in GOALS:
        figure, value, met = goal.figure(results), goal.value(results), goal.met(results)
        if value is None:
            measured = "not measured"
        elif isinstance(figure, dict):
            measured = f"{amount(value)}{goal.unit} ({amount(figure['low'])} to {amount(figure['high'])})"
        else:
            measured = f"{amount(value)}{goal.unit}"
        bound = f"{'at least' if goal.at_least else 'at most'} {amount(goal.bound)}{goal.unit}"
        shown.append((goal.what, bound, measured, {True: "yes", False: "**no**", None: "-"}[met]))
    return shown
