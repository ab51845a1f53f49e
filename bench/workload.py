"""What is stored and asked: sentences as people say them, made from a seed.

Owns the vocabulary and the request bodies of the self-hosted dialect, encoded once before anything is timed. The same seed
gives the same bytes, so that two servers, or two versions of one, do the same work. Every question shares words with a
memory of the same user, so an empty answer is a fault.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from string import Formatter
from typing import Any, Final

import msgspec

_WORDS: Final = {
    "name": (
        "Alice, Bruno, Carla, Dmitri, Elena, Farid, Greta, Hassan, Ingrid, Jonas, Keiko, Luca, Marta, "
        "Nikhil, Olga, Pedro, Quentin, Rosa, Samir, Tessa, Umar, Vera, Walter, Ximena, Yusuf, Zoe, "
        "Anton, Bianca, Cedric, Dalia"
    ),
    "city": (
        "Lyon, Porto, Krakow, Bergen, Ghent, Turin, Seville, Basel, Graz, Utrecht, Leipzig, Malmo, Cork, "
        "Nantes, Verona, Aarhus"
    ),
    "food": (
        "hazelnuts, oysters, rye, lentils, mango, cilantro, walnuts, shrimp, sesame, celery, mustard, "
        "figs, peaches, soy"
    ),
    "dish": (
        "mushroom risotto, lamb tagine, fish soup, potato gratin, green curry, tomato tart, bean stew, "
        "noodle salad, apple cake, spinach pie"
    ),
    "hobby": (
        "rock climbing, oil painting, chess, bird watching, pottery, kayaking, playing the cello, "
        "film photography, beekeeping, night running, astronomy, woodworking"
    ),
    "project": (
        "Falcon, Juniper, Lighthouse, Meridian, Nimbus, Orchid, Pelican, Quartz, Rowan, Sextant, Tundra, "
        "Willow"
    ),
    "task": (
        "the billing report, the database migration, the new login page, the release notes, "
        "the load test, the vendor contract, the hiring plan, the backup drill, the search index, "
        "the mobile layout"
    ),
    "day": "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday",
    "month": "January, February, March, April, May, June, July, August, September, October, November, December",
    "time": "seven, eight, nine, ten, noon, two, three, four, five, half-past-six",
    "reason": (
        "the train was late, the review took longer, a customer called, the office was closed, "
        "the weather turned bad, the tests kept failing, a colleague fell ill, the budget was cut"
    ),
    "place": (
        "the harbour, the old library, the botanical garden, the corner bakery, the south office, "
        "the mountain hut, the city pool, the railway museum, the covered market"
    ),
    "pet": "cat, terrier, parrot, tortoise, rabbit, greyhound, pony",
    "object": (
        "a red bicycle, a leather notebook, a brass telescope, a folding kayak, a mechanical keyboard, "
        "a wool coat, a record player, a fountain pen, a cast iron pan"
    ),
    "relative": "sister, brother, mother, uncle, cousin, neighbour, grandfather, best friend",
    "style": "short answers, tables, bullet points, long explanations, worked examples, diagrams",
}
VOCABULARY: Final = {blank: tuple(words.split(", ")) for blank, words in _WORDS.items()}


@dataclass(frozen=True, slots=True)
class Template:
    """A way to say something, and ways to ask for it; the blanks are names of `VOCABULARY`."""

    said: str
    asked: tuple[str, ...]


TEMPLATES: Final = (
    Template(
        "{name} is allergic to {food} and asked for {dish} at the dinner in {city} last {month}.",
        (
            "What is {name} allergic to?",
            "Which dish did {name} ask for in {city}?",
            "Who must not eat {food}?",
        ),
    ),
    Template(
        "The {project} meeting moved to {day} at {time} because {reason}, and {name} told everybody.",
        ("When is the {project} meeting?", "Why did the {project} meeting move to {day}?"),
    ),
    Template(
        "{name} finished {task} for project {project} on {day} although {reason}.",
        ("Who finished {task} for {project}?", "What did {name} finish on {day}?"),
    ),
    Template(
        "On weekends {name} goes {hobby} near {city} and meets a {relative} at {place} afterwards.",
        ("What does {name} do near {city} on weekends?", "Where does {name} meet the {relative}?"),
    ),
    Template(
        "{name}'s {relative} gave {name} {object} in {month}, which now stands in the flat in {city}.",
        ("What did the {relative} give {name} in {month}?", "Where is {object} of {name}?"),
    ),
    Template(
        "{name} prefers {style} about {task} and does not want calls before {time} on a {day}.",
        ("What style of answer does {name} prefer?", "When does {name} not want calls?"),
    ),
    Template(
        "In {month} {name} adopted a {pet} from a shelter in {city}, since {reason} and there was time.",
        ("Which pet did {name} adopt?", "When did {name} adopt the {pet} in {city}?"),
    ),
    Template(
        "{name} learned {hobby} from a {relative} in {city} and practises every {day} at {place}.",
        ("Who taught {name} {hobby}?", "Where does {name} practise every {day}?"),
    ),
)

CONTEXTS: Final = (
    "", "Remind me: ", "I forgot, ", "For the {project} notes: ", "Before {day}: ", "Quick question: ", "Planning {month}: ",
    "Asking for {name}: ", "Thinking of {city}: ", "For a talk about {hobby}: ",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """A memory of one user, and what its sentence was made of."""

    user: str
    text: str
    template: Template
    words: dict[str, str]


class Workload:
    """`memories` facts of `users` users, in the order in which they are stored: one of each user in turn."""

    def __init__(self, *, seed: int, memories: int, users: int, prefix: str = "bench") -> None:
        self._seed = seed
        self._random = Random(f"{seed} questions")
        self._asked: set[tuple[str, str]] = set()
        self.users = [f"{prefix}_user_{number:03}" for number in range(1, users + 1)]
        self._warm_user = f"{prefix}_warm_up"
        self.facts = list(_facts(Random(seed), self.users, memories))

    @property
    def everybody(self) -> list[str]:
        """All user ids that a run stores memories under."""
        return [*self.users, self._warm_user]

    def adds(self) -> list[bytes]:
        """Bodies of `POST /memories`, one memory each."""
        return [_add(fact) for fact in self.facts]

    def more_adds(self, count: int) -> list[bytes]:
        """Bodies of further memories of the same users, with sentences of their own."""
        return [_add(fact) for fact in _facts(Random(self._seed + 1), self.users, count)]

    def warm_up_adds(self, count: int) -> list[bytes]:
        """Bodies for a user of its own, so that the measured users hold what they should."""
        return [_add(fact) for fact in _facts(Random(self._seed + 2), [self._warm_user], count)]

    def questions(self, count: int, *, among: int | None = None) -> list[bytes]:
        """Bodies of `POST /search`, none of which this workload gave before.

        `among`: ask only for the first so many memories.
        """
        facts = self.facts[:among]
        bodies: list[bytes] = []
        while len(bodies) < count:
            fact = self._random.choice(facts)
            context = _filled(self._random.choice(CONTEXTS), self._random, {})
            bodies.append(_search(fact.user, context + self._unasked(fact, context)))
        return bodies

    def repeated(self, count: int, *, distinct: int, among: int | None = None) -> list[bytes]:
        """`count` bodies of `POST /search` in which `distinct` questions come again and again."""
        pool = self.questions(distinct, among=among)
        return [pool[number % distinct] for number in range(count)]

    def mixed(self, count: int, pool: Sequence[bytes], *, among: int | None = None) -> list[bytes]:
        """`count` bodies of `POST /search`: four of five from `pool`, by chance, the fifth a new one."""
        fresh = iter(self.questions(count // 5 + 1, among=among))
        return [next(fresh) if number % 5 == 4 else self._random.choice(pool) for number in range(count)]

    def _unasked(self, fact: Fact, context: str) -> str:
        """A question for a fact that was not asked in this context before; late ones name a month and a year."""
        question = _filled(self._random.choice(fact.template.asked), self._random, fact.words)
        plain, year = question.rstrip("?"), 2026
        while (key := (fact.user, context + question)) in self._asked:
            question = f"{plain} in {self._random.choice(VOCABULARY['month'])} {year}?"
            year -= 1
        self._asked.add(key)
        return question


def _facts(random: Random, users: Sequence[str], count: int) -> Iterator[Fact]:
    said: set[tuple[str, str]] = set()
    while len(said) < count:
        user = users[len(said) % len(users)]
        template = random.choice(TEMPLATES)
        words = {blank: random.choice(VOCABULARY[blank]) for blank in _blanks(template.said)}
        text = template.said.format(**words)
        if (user, text) in said:
            continue
        said.add((user, text))
        yield Fact(user, text, template, words)


def _blanks(text: str) -> list[str]:
    return [blank for _, blank, _, _ in Formatter().parse(text) if blank]


def _filled(text: str, random: Random, words: dict[str, str]) -> str:
    return text.format(
        **{blank: words.get(blank) or random.choice(VOCABULARY[blank]) for blank in _blanks(text)}
    )


def _add(fact: Fact) -> bytes:
    message = {"role": "user", "content": fact.text}
    return _encoded({"messages": [message], "user_id": fact.user, "infer": False})


def _search(user: str, query: str) -> bytes:
    return _encoded({"query": query, "filters": {"user_id": user}})


def _encoded(body: dict[str, Any]) -> bytes:
    return msgspec.json.encode(body)
