"""The broken files below ``mistakes/``."""

from pathlib import Path

MISTAKES = sorted(path.parent for path in Path(__file__).parent.glob("mistakes/*/*/expected.txt"))
"""A directory for each: the files, and ``expected.txt``, what ``guard policy check`` prints of them."""
CONFIGURATIONS = [path.read_text(encoding="utf-8") for each in MISTAKES for path in each.glob("guard.yaml")]
"""The texts of those that are configurations."""
