"""The answer half of the wire: upstream JSON and event streams in, only what the output gate has cleared out.

Per dialect ``chat``, ``completions``, ``responses``, ``messages`` and ``plain``, each with ``screen_answer``,
``open_stream`` and ``answered``. Below them: ``sse`` (framing), ``hold`` (texts and the events that wait for them),
``known`` (keys that may pass), ``logprobs`` (token text), ``choices`` and ``typed`` (the two families of streams).
Short roads for what most answers are: ``whole`` with ``plain_choices``, and ``alike`` for events.
"""
