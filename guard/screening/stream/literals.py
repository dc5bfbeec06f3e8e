"""The anchors of rules, character by character."""

from guard.screening.automaton import Automaton, Node
from guard.screening.normalize import is_word
from guard.screening.rules import Literal, Rule
from guard.screening.stream.contexts import Contexts


def held_node(node: Node, wanted: int) -> Node:
    """Return the state of the longest suffix that may still become an anchor of the categories ``wanted`` (bits)."""
    while node.depth and not node.live & wanted:
        node = node.fail
    return node


class Literals:
    """Finds the anchors of one automaton in one growing text and hands them to ``contexts``."""

    __slots__ = ("_contexts", "awaiting", "node", "settled")

    def __init__(self, automaton: Automaton, contexts: Contexts, settled: set[str]) -> None:
        self.node: Node = automaton.start
        self.awaiting: list[tuple[Rule, Literal, int]] = []
        """Anchors whose right boundary is not known yet, and where they end."""
        self.settled = settled
        """Ids of rules whose further matches nobody asks for."""
        self._contexts = contexts

    def arrive(self, character: str, position: int) -> None:
        """Take what ends in ``node``, where ``character``, the one before ``position``, has led."""
        node = self.node
        if self.awaiting:
            if not is_word(character):
                self.finish()
            self.awaiting.clear()
        for literal, rule in node.ends:
            if rule.id in self.settled:
                continue
            if literal.right:
                self.awaiting.append((rule, literal, position))
            else:
                self._contexts.open(rule, literal, position)

    def finish(self) -> None:
        """The text, or a word, ends here: anchors that end with it are matches."""
        for rule, literal, end in self.awaiting:
            self._contexts.open(rule, literal, end)
        self.awaiting.clear()
