"""The categories that findings carry: MLCommons hazards S1-S14, harassment, and D1.

S1-S14 are the MLCommons AILuminate / Llama Guard 3 codes. HR is harassment outside protected traits.
D1 (producing training data for another model) is a matter of license, not a hazard.
"""

CATEGORIES: dict[str, str] = {
    "S1": "violent crimes",
    "S2": "non-violent crimes",
    "S3": "sex-related crimes",
    "S4": "child sexual exploitation",
    "S5": "defamation",
    "S6": "specialized advice",
    "S7": "privacy",
    "S8": "intellectual property",
    "S9": "indiscriminate weapons",
    "S10": "hate",
    "S11": "suicide and self-harm",
    "S12": "sexual content",
    "S13": "elections and disinformation",
    "S14": "code interpreter abuse",
    "HR": "harassment",
    "D1": "training-data production",
}

HAZARDS = frozenset(CATEGORIES) - {"D1"}

OWN = "own"
"""Stands for the category of rules that act by themselves (``Rule.acts``) where categories are looked up."""
