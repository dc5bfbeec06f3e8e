"""Words to the numbers that the model reads: BERT's uncased WordPiece, from ``vocab.txt`` alone."""

from pathlib import Path
from typing import NamedTuple

UNKNOWN, BEGIN, END = "[UNK]", "[CLS]", "[SEP]"


class Read(NamedTuple):
    """The tokens of one text, and where each stands in it."""

    ids: list[int]
    spans: list[tuple[int, int]]


class Tokens:
    """One vocabulary. Safe to use from several threads at once."""

    def __init__(self, vocabulary: Path) -> None:
        """Read ``vocabulary``, one token a line. Raises OSError, and ValueError without the three special tokens."""
        # Late: without the extra they are not installed, and nobody else pays for them.
        from tokenizers import Tokenizer  # noqa: PLC0415 - see above
        from tokenizers.models import WordPiece  # noqa: PLC0415 - see above
        from tokenizers.normalizers import BertNormalizer  # noqa: PLC0415 - see above
        from tokenizers.pre_tokenizers import BertPreTokenizer  # noqa: PLC0415 - see above

        words = vocabulary.read_text(encoding="utf-8").splitlines()
        known = {word: index for index, word in enumerate(words)}
        missing = [word for word in (UNKNOWN, BEGIN, END) if word not in known]
        if missing:
            raise ValueError(f"{vocabulary}: no {missing[0]} among {len(words)} tokens")
        tokenizer = Tokenizer(WordPiece(known, unk_token=UNKNOWN, max_input_chars_per_word=100))
        tokenizer.normalizer = BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = BertPreTokenizer()
        self._tokenizer = tokenizer
        self.size = len(words)
        """Tokens in the vocabulary."""
        self.begin, self.end = known[BEGIN], known[END]

    def read(self, text: str) -> Read:
        """Return the tokens of ``text`` without special ones. The interpreter is free meanwhile."""
        # ``encode`` keeps the interpreter's lock, ``encode_batch`` gives it up.
        found = self._tokenizer.encode_batch([text], add_special_tokens=False)[0]
        return Read(found.ids, found.offsets)
