"""What reads a growing text: checks that step character by character, and what they find is put together.

``channel`` is the screen of one text; it walks ``states`` while nothing happens. ``literals``, ``patterns`` and
``score`` are the checks, ``tail`` the end of the text they look at, ``masks`` the spans that are replaced. ``program``
is all of it that is compiled once. ``arguments`` reads the JSON that tool calls are written in.
"""
