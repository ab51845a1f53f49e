"""Which language a text is in, as far as its function words tell, and what follows for its words.

Owns the word lists of German, French and Spanish and the guess. English is what remains: a text without a function word
of another language, or with more of English. A wrong guess costs little, because words of other languages are also kept
under the stem that English would give them (`tokens`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import Stemmer

ENGLISH_STOP: Final = frozenset(
    """a about above after again against all also am an and any are aren as at be because been before being below between
    both but by can cannot could couldn did didn do does doesn doing don down during each few for from further had hadn has
    hasn have haven having he her here hers herself him himself his how i if in into is isn it its itself just let me more
    most my myself no nor not of off on once only or other our ours ourselves out over own same shan she should shouldn so
    some such than that the their theirs them themselves then there these they this those through to too under until up very
    was wasn we were weren what when where which while who whom why will with won would wouldn you your yours yourself
    yourselves s t d ll m re ve""".split()
)


@dataclass(frozen=True, slots=True)
class Language:
    """One language beside English."""

    marks: frozenset[str]
    """Function words that no other language here has: seen in a text, they tell its language."""
    stop: frozenset[str]
    """All its words that carry nothing, the marks among them."""
    stemmer: Any


def _language(algorithm: str, marks: str, shared: str) -> Language:
    own = frozenset(marks.split())
    return Language(own, own | frozenset(shared.split()), Stemmer.Stemmer(algorithm))


GERMAN: Final = _language(
    "german",
    """das dass und ist nicht ich sie wir ihr ihre ihren ihrem ihrer ein eine einen einem einer eines mit für auf von zu zum zur
    dem wie wer wo wann warum wieso welche welcher welches welchen welchem aber oder auch noch schon nur sehr bei beim aus
    nach vor über unter seit bis durch gegen ohne wenn weil als dann doch mein meine meinen meinem meiner dein deine deinen
    deinem deiner sein seine seinen seinem seiner unser unsere hatte hatten haben habe wird werden wurde wurden waren kann
    können kein keine keinen diese dieser dieses diesen diesem mich dich sich uns euch ihm ihn ihnen gerade jetzt immer""",
    "der die du er es des im in am an was war hat bin bist sind so also man will mir dir da vom hast ins ja nein mal um den",
)
FRENCH: Final = _language(
    "french",
    """le les des du et est dans avec je il elle nous vous ils elles ce cette ces au aux qui quoi où quand
    pourquoi quel quelle quels quelles mais donc sous chez vers depuis pendant sans mon mes tes ses notre
    votre leur leurs avons avez ont suis sommes êtes sont était étaient être avoir fait très aussi toujours jamais
    moi toi lui ça cela d qu""",
    "la un une de en a à y que se sa son ma ta tu ne me te as es n s m t on par si ai car comment plus pour ton c j l pas sur ni ou",
)
SPANISH: Final = _language(
    "spanish",
    """el los las una unos unas del y es está están estoy son era eran fue fueron ser estar por para pero porque cuando
    cuándo cómo dónde donde qué quién quien cuál cuáles cuánto cuánta cuántos cuántas mis su sus nuestro nuestra yo él ella
    nosotros ellos ellas muy más también ya siempre nunca hay tiene tengo tenía he han había al le les este esta estos
    estas ese esa eso esto desde hasta entre sobre como""",
    "la un de en a que se me te no si tu o e nos con sin lo ha mi",
)
LANGUAGES: Final = (GERMAN, FRENCH, SPANISH)


def _told_apart() -> tuple[frozenset[str], ...]:
    """The marks of each language that neither another one nor English shares."""
    found = []
    for one in LANGUAGES:
        others = frozenset[str]().union(*(other.stop for other in LANGUAGES if other is not one))
        found.append(one.marks - others - ENGLISH_STOP)
    return tuple(found)


MARKS: Final = _told_apart()
FOREIGN: Final = frozenset[str]().union(*MARKS)


def language_of(words: Collection[str]) -> Language | None:
    """The language of a text by its words, which are in lower case; None: English, or unknown."""
    if FOREIGN.isdisjoint(words):
        return None
    seen = frozenset(words)
    count, place = max((len(marks & seen), -place) for place, marks in enumerate(MARKS))
    language = LANGUAGES[-place]
    return language if count > len((seen & ENGLISH_STOP) - language.stop) else None
