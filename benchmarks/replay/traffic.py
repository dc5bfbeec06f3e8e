"""What is replayed: prompts of benign and malicious kinds, and when each identity sends them.

Prompts are made by grammars with vocabularies of their own (``words.py``), around real benign texts of data/screening:
questions that people asked, and paragraphs of documentation and source code as the documents of applications.
"""

import gzip
import json
import math
from pathlib import Path
from typing import NamedTuple

from replay.words import FIELDS, FORMS, GOODS, GRADES, LANGUAGES, PEOPLE, PLACES, SUBJECTS, TROUBLES, VERBS, WISHES

DATA = Path(__file__).parent.parent.parent / "data" / "screening"
DAY, HOUR = 86400.0, 3600.0


class Sent(NamedTuple):
    """One request: what the exchange would hand over, but for who sent it."""

    time: float
    prompt: str
    system: tuple = ()
    document: dict = {}  # noqa: RUF012 - never changed
    logprobs: bool = False
    tokens: int = 250
    attack: bool = False


def rows(name):
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Texts:
    """Real benign texts."""

    def __init__(self):
        public = [row for row in rows("public.jsonl.gz") if row["labels"] == ["benign"] and row["role"] == "prompt"]
        self.questions = [row["text"] for row in public if row["source"] != "GSM8K" and len(row["text"]) < 2000]
        self.problems = [row["text"] for row in public if row["source"] in {"GSM8K", "MT-bench questions"}]
        self.functions = [row["text"] for row in public if row["source"] == "HumanEval"]
        self.lookalikes = [row["text"] for row in rows("authored/d1-more.jsonl.gz") if row["labels"] == ["benign"]]
        self.documents = [row["text"][:1500] for row in rows("unlabelled.jsonl.gz") if len(row["text"]) > 200]


def schema(*names, many=False):
    """Return a response_format whose answers have ``names``; with ``many`` a list of them."""
    each = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    if many:
        each = {"type": "object", "properties": {"items": {"type": "array", "items": each}}}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "out", "schema": each}}}


# ---- when ------------------------------------------------------------------------------------------------------------


def people(chance, days, least, most):
    """Irregular: sessions in waking hours, fewer at weekends, with pauses for reading."""
    for day in range(days):
        left = chance.randint(least, most) // (3 if day % 7 > 4 else 1)
        while left > 0:
            at = day * DAY + chance.uniform(7, 22) * HOUR
            for _ in range(min(left, chance.randint(1, 8))):
                yield at
                at += chance.lognormvariate(4.3, 1.1)
                left -= 1


def machine(chance, days, least, most, on=1.0):
    """Steady: an application's own traffic, with a daily wave; ``on`` is the share of days that have any."""
    for day in range(days):
        if chance.random() > on:
            continue
        for place in range(chance.randint(least, most)):
            at = (place + chance.random()) / most
            yield day * DAY + (at + 0.15 * math.sin(2 * math.pi * at) / math.pi) * DAY


def batch(chance, days, least, most, on=1.0):
    """Runs: one request after the other for as long as there are some."""
    for day in range(days):
        if chance.random() <= on:
            at = day * DAY + chance.uniform(0, 18) * HOUR
            for _ in range(chance.randint(least, most)):
                yield at
                at += chance.uniform(2, 9)


# ---- benign ----------------------------------------------------------------------------------------------------------


class Benign:
    """Makes the month of one identity of a kind."""

    def __init__(self, texts):
        self.texts = texts

    def chat(self, chance, days):
        """Somebody who asks all sorts of things; one in fifty about models and training."""
        pools = chance.sample(SUBJECTS, 12)
        for at in people(chance, days, 2, 25):
            kind = chance.random()
            if kind < 0.02:
                prompt = chance.choice(self.texts.lookalikes)
            elif kind < 0.5:
                prompt = chance.choice(self.texts.questions)
            else:
                prompt = f"{chance.choice(VERBS)} {chance.choice(pools)} {chance.choice(FORMS)}."
            yield Sent(at, prompt, tokens=chance.randint(40, 600))

    def coding(self, chance, days):
        """A coding assistant: one system prompt, files as context; now and then the code trains a model."""
        system = ("You are a coding assistant inside an editor. Answer with code, keep the style of the file.",)
        asks = (
            "Why does this fail?", "Add a docstring.", "Write a test for this.", "Rename things so they read better.",
            "Make it faster.", "Handle the empty case.", "Explain the second loop.", "Port this to Go.",
        )  # fmt: skip
        for at in people(chance, days, 15, 80):
            code = chance.choice(self.texts.functions if chance.random() < 0.5 else self.texts.documents)
            prompt = f"{chance.choice(asks)}\n\n```\n{code[:900]}\n```"
            if chance.random() < 0.02:
                prompt = chance.choice(self.texts.lookalikes)
            yield Sent(at, prompt, system, tokens=chance.randint(60, 900))

    def rag(self, chance, days):
        """An application with one fixed template around ever new passages and questions: the hard negative."""
        corpus = chance.sample(self.texts.documents, 400)
        for at in machine(chance, days, 60, 160):
            passages = "\n\n".join(f"[{n}] {text[:500]}" for n, text in enumerate(chance.sample(corpus, 2), 1))
            prompt = (
                "Answer the question with nothing but the passages below. If they do not hold the answer, say that you "
                f"do not know. Name the passages you used.\n\nPassages:\n{passages}\n\nQuestion: "
                f"{chance.choice(self.texts.questions)[:200]}"
            )
            yield Sent(at, prompt, document=schema("answer", "sources"), tokens=chance.randint(50, 300))

    def harness(self, chance, days):
        """An evaluation harness: the same multiple-choice questions every night, with log probabilities."""
        items = [
            f"The following are multiple choice questions.\n\nQuestion: {text[:400]}\nA. {chance.choice(SUBJECTS)}\n"
            f"B. {chance.choice(SUBJECTS)}\nC. {chance.choice(SUBJECTS)}\nAnswer:"
            for text in chance.sample(self.texts.questions, 60)
        ]
        for day in range(days):
            for place, item in enumerate(items):
                yield Sent(
                    day * DAY + 2 * HOUR + 2.5 * place, item, document={"logprobs": True}, logprobs=True, tokens=3
                )

    def judge(self, chance, days):
        """A team that compares two versions of its product with a model as judge, reasons included."""
        for at in batch(chance, days, 30, 90, on=0.4):
            prompt = (
                "Act as an impartial judge and say which of the two answers to the user's question "
                "is better. Give your "
                "full reasoning first, then one letter.\n\n[Question]\n" + chance.choice(self.texts.questions)[:300]
                + "\n\n[Answer A]\n" + chance.choice(self.texts.documents)[:400]
                + "\n\n[Answer B]\n" + chance.choice(self.texts.documents)[:400]
            )  # fmt: skip
            yield Sent(at, prompt, document=schema("reasoning", "verdict"), tokens=chance.randint(60, 250))

    def teacher(self, chance, days):
        """Quizzes, worksheets and answer keys: questions with their answers, asked for by number."""
        pools = chance.sample(SUBJECTS[:40], 6)
        forms = (
            "Write {n} multiple choice questions about {s} for {g}, with the right answer marked.",
            "Make a worksheet on {s} for {g}: {n} questions, and the answers on a separate page.",
            "I need {n} question and answer pairs on {s} for {g}, rising in difficulty.",
            "Create {n} flashcards about {s} with question and answer for {g}.",
            "Generate a quiz with {n} true or false questions on {s}; add a short explanation to each answer.",
            "Mark this answer on {s} and tell the pupil kindly what is missing: {t}",
        )
        for at in people(chance, days, 2, 14):
            if chance.random() < 0.4:
                prompt, asked = chance.choice(self.texts.questions), {}
            else:
                prompt = chance.choice(forms).format(
                    n=chance.choice((5, 8, 10, 12, 20)), s=chance.choice(pools), g=chance.choice(GRADES),
                    t=chance.choice(self.texts.questions)[:200],
                )  # fmt: skip
                asked = schema("question", "answer", many=True) if chance.random() < 0.3 else {}
            yield Sent(at, prompt, document=asked, tokens=chance.randint(150, 900))

    def test_data(self, chance, days):
        """Made-up records for a test environment."""
        for at in batch(chance, days, 10, 50, on=0.35):
            fields = ", ".join(chance.sample(FIELDS, chance.randint(3, 8)))
            prompt = chance.choice((
                (f"Generate {chance.choice((20, 25, 50, 100))} made-up customer records as a JSON "
                f"array with the keys {fields}. "
                f"Use names from {chance.choice(PLACES)}."),
                (f"I need {chance.choice((10, 30, 40))} rows of CSV test data with the columns {fields} for our "
                f"staging database; at least three invalid {chance.choice(FIELDS)}s."),
                (f"Write SQL inserts for {chance.choice((15, 20))} orders of a {chance.choice(GOODS)}; "
                f"columns {fields}."),
            ))  # fmt: skip
            yield Sent(at, prompt, document=schema(*fields.split(", "), many=True), tokens=chance.randint(600, 2500))

    def support(self, chance, days):
        """Customer support: a fixed template, a classification with its reasoning, a reply."""
        for at in machine(chance, days, 60, 150):
            ticket = (
                f"Hello, my name is {chance.choice(PEOPLE)} from {chance.choice(PLACES)}. The "
                f"{chance.choice(GOODS)} I bought "
                f"{chance.choice(TROUBLES)}, and the {chance.choice(GOODS)} "
                f"{chance.choice(TROUBLES)}. {chance.choice(WISHES)}."
                f" Order {chance.randint(10000, 99999)}."
            )
            prompt = (
                "You answer tickets of an online shop. Read the ticket, think step by step about "
                "which of the categories "
                "delivery, billing, defect, return, other fits best, and draft a polite reply of at "
                "most five sentences. "
                f"Never promise a refund.\n\nTicket:\n{ticket}"
            )
            yield Sent(at, prompt, document=schema("reasoning", "category", "reply"), tokens=chance.randint(80, 220))

    def translation(self, chance, days):
        """A batch of documents to translate, a fixed template around each."""
        target = chance.choice(LANGUAGES)
        for at in batch(chance, days, 60, 250, on=0.3):
            prompt = (
                f"Translate the following text into {target}. Keep the markup and the names of "
                "products; answer with the "
                f"translation only.\n\n{chance.choice(self.texts.documents)}"
            )
            yield Sent(at, prompt, tokens=chance.randint(100, 600))

    def ml_team(self, chance, days):
        """People who train models of their own data and ask about it: two in five prompts look like an ask for data."""
        for at in people(chance, days, 5, 30):
            kind = chance.random()
            if kind < 0.4:
                prompt = chance.choice(self.texts.lookalikes)
            elif kind < 0.7:
                prompt = f"{chance.choice(VERBS)} {chance.choice(SUBJECTS[60:])} {chance.choice(FORMS)}."
            else:
                prompt = f"Explain this.\n\n```\n{chance.choice(self.texts.functions)[:900]}\n```"
            yield Sent(at, prompt, tokens=chance.randint(60, 900))

    def game_writer(self, chance, days):
        """Dialogues by the dozen, as JSON, for a game."""
        roles = (
            "a smith", "a smuggler", "an old pilot", "a nervous clerk", "the ferryman", "a young witch",
            "the tax collector",
        )  # fmt: skip
        for at in people(chance, days, 3, 20):
            prompt = (
                f"Write {chance.choice((5, 8, 10, 12))} short conversations between {chance.choice(roles)} and "
                f"{chance.choice(roles)} in a tavern in {chance.choice(PLACES)}, about "
                f"{chance.choice(SUBJECTS)}. Vary the "
                "mood, four to six lines each, no narration."
            )
            yield Sent(at, prompt, document=schema("speaker", "line", many=True), tokens=chance.randint(500, 1800))


BENIGN = (
    "chat", "coding", "rag", "harness", "judge", "teacher", "test_data", "support", "translation", "ml_team",
    "game_writer",
)  # fmt: skip
"""Kinds that are replayed as identities."""


# ---- malicious -------------------------------------------------------------------------------------------------------


class Malicious:
    """Makes one request of a kind of attack, given the moment."""

    def __init__(self, texts):
        self.texts = texts

    def task(self, chance):
        return f"{chance.choice(VERBS)} {chance.choice(SUBJECTS)} {chance.choice(FORMS)}."

    def self_instruct(self, chance, at):
        """New tasks from a few old ones, with their answers."""
        seeds = "\n".join(f"{n}. {self.task(chance)}" for n in range(1, 9))
        prompt = (
            "You are asked to come up with twenty new and varied task instructions for a language "
            "model, with an input where "
            "one is needed and the output. Vary the verbs, do not repeat a task, mix questions and "
            "commands.\n\nList of tasks:"
            f"\n{seeds}\n9."
        )
        return Sent(at, prompt, tokens=1800, attack=True)

    def evolve(self, chance, at):
        """A given prompt made harder, step by step."""
        how = chance.choice((
            "add one more requirement to it", "ask for a deeper answer", "replace general ideas by specific ones",
            "make it need several steps of reasoning", "put it into a rarer domain",
        ))  # fmt: skip
        prompt = (
            "Rewrite the given prompt into a more complex version that famous AI systems find harder "
            "to handle, but that "
            f"people still understand; {how}. Do not make it longer than twenty extra words.\n\n#Given prompt#:\n"
            f"{chance.choice((self.task(chance), chance.choice(self.texts.questions)[:200]))}\n\n#Rewritten prompt#:"
        )
        return Sent(at, prompt, tokens=400, attack=True)

    def preference(self, chance, at):
        """One good and one flawed answer to each of many prompts."""
        prompt = (
            "For the prompt below write two responses, one helpful and correct, the other subtly "
            "worse: vague or wrong in one "
            f"place. They become chosen and rejected in our preference set.\n\nPrompt: {self.task(chance)}"
        )
        return Sent(at, prompt, document=schema("prompt", "chosen", "rejected"), tokens=700, attack=True)

    def pairs(self, chance, at):
        """Instructions and answers in lines of JSON, by subject."""
        prompt = (
            f"Generate {chance.choice((20, 30, 50))} diverse instruction and response pairs about "
            f"{chance.choice(SUBJECTS)} "
            f"{chance.choice(FORMS)}, one JSON object per line with the keys instruction and output."
        )
        return Sent(at, prompt, tokens=2500, attack=True)

    def seeds(self, chance, at):
        """The same few prompts over and over, each time under another seed."""
        prompt = self.texts.problems[chance.randrange(4)]
        document = {"seed": chance.randrange(1 << 30), "temperature": 1.0}
        return Sent(at, prompt, document=document, tokens=400, attack=True)

    def benchmark(self, chance, at):
        """Problems with their whole reasoning as JSON, and log probabilities: nothing says what for."""
        prompt = (
            "Solve the problem. Think step by step and output all of your reasoning, then the final answer.\n\n"
            f"Problem: {chance.choice(self.texts.problems)} (variant {chance.randrange(10**6)}, about "
            f"{chance.choice(SUBJECTS)})"
        )
        return Sent(at, prompt, document=schema("reasoning", "answer"), logprobs=True, tokens=700, attack=True)

    def quiet(self, chance, at):
        """Plain questions, as people ask them; only their number and their variety is unusual."""
        return Sent(
            at, chance.choice((self.task(chance), chance.choice(self.texts.questions))), tokens=500, attack=True
        )


ATTACKS = ("self_instruct", "evolve", "preference", "pairs", "seeds", "benchmark", "quiet")
