"""Word and pattern filters of other projects and ours behind one interface, each run by the Python it is installed for.

    python filters.py NAME      (JSON lines on standard input, one JSON line of answer each)

`{"patterns": [...], "regex": bool}` sets up and answers `{"version": ...}`; `{"texts": [...]}` answers the CPU seconds
and which texts were stopped; `{"pieces": [...]}` streams one text and answers what of it was released and whether it
was stopped. A peer's own classes do the work, as its documentation sets them up for an input and a streamed output.
"""
# ruff: noqa: PLC0415 - every filter is imported by the one Python that has it

import asyncio
import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import time
import types


def bare(name):
    """Import the package ``name`` without running its ``__init__``: its modules can be imported one by one."""
    package = types.ModuleType(name)
    package.__path__ = list(importlib.util.find_spec(name).submodule_search_locations)
    sys.modules[name] = package


class Guard:
    """Tier 1 with rules that have the patterns and nothing else."""

    package = "guard"

    def __init__(self, patterns, regex):
        from guard.screening.patterns import Pattern
        from guard.screening.rules import Literal, Rule
        from guard.screening.ruleset import RuleSet
        from guard.screening.segments import Direction, Segment, Source

        found = {"patterns" if regex else "anchors": tuple(map(Pattern.parse if regex else Literal.parse, patterns))}
        self.rules = RuleSet([Rule("S2.bench", "S2", directions=frozenset(Direction), **found)])
        self.segment, self.user, self.output = Segment, Source.USER, Source.OUTPUT

    def stops(self, text):
        """Return whether a prompt is stopped."""
        return bool(self.rules.scan([self.segment(self.user, text)]))

    def stream(self, pieces):
        """Return what leaves of a streamed answer, and whether it was stopped."""
        channel, text = self.rules.open(self.output, frozenset({"S2"})), "".join(pieces)
        for piece in pieces:
            channel.feed(piece)
        channel.finish()
        return text[: channel.cleared], channel.blocked is not None


class LiteLLM:
    """The content filter guardrail of LiteLLM's proxy, with blocked words or patterns, action BLOCK."""

    package = "litellm"

    def __init__(self, patterns, regex):
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # fetches nothing
        os.environ["LITELLM_LOG"] = "CRITICAL"
        module = importlib.import_module(
            "litellm.proxy.guardrails.guardrail_hooks.litellm_content_filter.content_filter"
        )
        if regex:
            given = [
                {"pattern_type": "regex", "pattern": pattern, "name": f"p{number}", "action": "BLOCK"}
                for number, pattern in enumerate(patterns)
            ]
            self.filter = module.ContentFilterGuardrail(guardrail_name="bench", patterns=given)
        else:
            given = [{"keyword": pattern, "action": "BLOCK"} for pattern in patterns]
            self.filter = module.ContentFilterGuardrail(guardrail_name="bench", blocked_words=given)
        self.refused = module.HTTPException
        self.loop = asyncio.new_event_loop()

    def stops(self, text):
        """Return whether a prompt is stopped."""
        try:
            self.loop.run_until_complete(self.filter.apply_guardrail({"texts": [text]}, {}, "request"))
        except self.refused:
            return True
        return False

    def stream(self, pieces):
        """Return what leaves of a streamed answer, and whether it was stopped."""
        from litellm.types.utils import Delta, ModelResponseStream, StreamingChoices

        async def response():
            for number, piece in enumerate(pieces):
                end = "stop" if number == len(pieces) - 1 else None
                yield ModelResponseStream(choices=[StreamingChoices(delta=Delta(content=piece), finish_reason=end)])

        async def read():
            released = ""
            try:
                async for item in self.filter.async_post_call_streaming_iterator_hook(None, response(), {}):
                    released += item.choices[0].delta.content or ""
            except self.refused:
                return released, True
            return released, False

        return self.loop.run_until_complete(read())


class Scanner:
    """An input scanner of llm-guard. It reads whole texts; of a stream it is given each piece by itself."""

    package = "llm-guard"

    def __init__(self, patterns, regex):
        bare("llm_guard")  # its __init__ imports torch, transformers and spaCy for scanners that are not asked here
        bare("llm_guard.input_scanners")
        import structlog

        structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
        self.scanner = self.made(patterns, regex)

    def stops(self, text):
        """Return whether a prompt is stopped."""
        return not self.scanner.scan(text)[1]

    def stream(self, pieces):
        """Return what leaves of a streamed answer, and whether it was stopped."""
        released = []
        for piece in pieces:
            if self.stops(piece):
                return "".join(released), True
            released.append(piece)
        return "".join(released), False


class BanSubstrings(Scanner):
    """BanSubstrings by words, whatever their case."""

    def made(self, patterns, _regex):
        """Return the scanner."""
        from llm_guard.input_scanners.ban_substrings import BanSubstrings as Ban

        return Ban(patterns, match_type="word", case_sensitive=False)


class Regex(Scanner):
    """Regex, without redaction."""

    def made(self, patterns, _regex):
        """Return the scanner."""
        from llm_guard.input_scanners.regex import Regex as Scan

        return Scan([f"(?i){pattern}" for pattern in patterns], match_type="search", redact=False)


class NeMo:
    """The regex rail of NeMo Guardrails, and for streams the buffer that its output rails read from."""

    package = "nemoguardrails"

    def __init__(self, patterns, _regex):
        from nemoguardrails import RailsConfig
        from nemoguardrails.library.regex.actions import detect_regex_pattern

        given = {"patterns": patterns, "case_insensitive": True}
        rails = {"config": {"regex_detection": {"input": given, "output": given}}}
        self.config = RailsConfig.from_content(config={"rails": rails})
        self.detect = detect_regex_pattern
        self.loop = asyncio.new_event_loop()

    def detected(self, source, text):
        """Return whether the rail blocks."""
        outcome = self.loop.run_until_complete(self.detect(source=source, text=text, config=self.config))
        return outcome.decision.value == "block"

    def stops(self, text):
        """Return whether a prompt is stopped."""
        return self.detected("input", text)

    def stream(self, pieces):
        """Return what leaves of a streamed answer, and whether it was stopped: by default chunks leave first."""
        from nemoguardrails.rails.llm.buffer import get_buffer_strategy
        from nemoguardrails.rails.llm.config import OutputRailsStreamingConfig

        settings = OutputRailsStreamingConfig(enabled=True)
        released = []

        async def response():
            for piece in pieces:
                yield piece

        async def batches():
            return [batch async for batch in get_buffer_strategy(settings).process_stream(response())]

        for batch in self.loop.run_until_complete(batches()):
            text = "".join(batch.processing_context)
            if settings.stream_first:
                released += batch.user_output_chunks
            if self.detected("output", text):
                return "".join(released), True
            if not settings.stream_first:
                released += batch.user_output_chunks
        return "".join(released), False


FILTERS = {"guard": Guard, "litellm": LiteLLM, "ban_substrings": BanSubstrings, "regex": Regex, "nemo": NeMo}


def main():
    kind, checked = FILTERS[sys.argv[1]], None
    out, sys.stdout = sys.stdout, sys.stderr  # what a peer prints is no answer
    for line in sys.stdin:
        asked = json.loads(line)
        if "patterns" in asked:
            checked = kind(asked["patterns"], asked["regex"])
            answer = {"version": importlib.metadata.version(kind.package)}
        elif "texts" in asked:
            began = time.process_time()
            stopped = [checked.stops(text) for text in asked["texts"]]
            answer = {"cpu": time.process_time() - began, "stopped": stopped}
        else:
            released, stopped = checked.stream(asked["pieces"])
            answer = {"released": released, "stopped": stopped}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
