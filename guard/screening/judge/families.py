"""The judges Guard knows how to ask, by the name of their family."""

from collections.abc import Mapping

from guard.screening.judge.granite_guardian import GraniteGuardian3, GraniteGuardian33
from guard.screening.judge.llama_guard_3 import LlamaGuard3
from guard.screening.judge.llama_guard_4 import LlamaGuard4
from guard.screening.judge.question import Family
from guard.screening.judge.shieldgemma import ShieldGemma

FAMILIES: Mapping[str, Family] = {
    "llama_guard_3": LlamaGuard3(),
    "llama_guard_4": LlamaGuard4(),
    "granite_guardian_3": GraniteGuardian3(),
    "granite_guardian_3.3": GraniteGuardian33(),
    "shieldgemma": ShieldGemma(),
}
"""All but ``yes_no``, which the operator makes."""
