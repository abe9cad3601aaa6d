"""A small grammar of English and Spanish: some 3,900 sentences, each with its one translation.

Every rule makes both sides at once. A Spanish noun is listed with its article, which shows its
gender; what depends on the noun follows from that. There are three families:

* plain: articles and adjectives agree with their noun, adjectives follow it, "does not" is "no";
* sense: *bank*, *server* and *check* mean two things each, and the rest of the sentence says which;
* reference: only the last adjective says what *it* is, and in Spanish the gender of that adjective
  shows it: the street was too wide (ancha), or the dog was too tired (cansado).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, permutations, product
from typing import Literal

import numpy as np

Words = tuple[str, str]
"""The same in English and in Spanish."""

THINGS = {"house": "la casa", "car": "el coche", "book": "el libro", "apple": "la manzana",
          "flower": "la flor", "train": "el tren"}  # fmt: skip
PEOPLE = {"boy": "el chico", "girl": "la chica", "king": "el rey", "queen": "la reina"}
ANIMALS = {"animal": "el animal", "dog": "el perro", "cat": "el gato", "horse": "el caballo",
           "donkey": "el burro", "cow": "la vaca", "hen": "la gallina", "turtle": "la tortuga",
           "goat": "la cabra", "frog": "la rana"}  # fmt: skip
PLACES = {"river": "el río", "bridge": "el puente", "path": "el camino", "field": "el campo",
          "forest": "el bosque", "street": "la calle", "road": "la carretera",
          "square": "la plaza", "highway": "la autopista", "lagoon": "la laguna"}  # fmt: skip

OF_THINGS = {"black": "negro", "white": "blanco", "red": "rojo", "green": "verde", "blue": "azul",
             "big": "grande", "small": "pequeño"}  # fmt: skip
OF_LIVING = {"big": "grande", "small": "pequeño", "tired": "cansado", "sick": "enfermo"}

ARTICLES = {"el": ("un", "los"), "la": ("una", "las")}
"""What else stands before a noun with this article: the indefinite one, and that of several."""
PLURAL = {"is": "are", "does": "do", "sleeps": "sleep", "eats": "eat",
          "es": "son", "está": "están", "duerme": "duermen", "come": "comen"}  # fmt: skip
"""The verbs of a frame, when its subject is more than one."""

PHRASES = {
    "let's go !": "¡ vamos !",
    "let's eat !": "¡ comamos !",
    "let's sing !": "¡ cantemos !",
    "let's run !": "¡ corramos !",
}

# In a frame, {the}, {a}, {el} and {un} stand for a noun and its adjective with that article.
ABOUT_THINGS = {
    "I see {the} .": "veo {el} .",
    "{the} is not new .": "{el} no es {nuevo} .",
    "we do not buy {a} .": "no compramos {un} .",
    "where is {the} ?": "¿ dónde está {el} ?",
    "look at {the} !": "¡ mira {el} !",
    "let's buy {the} !": "¡ compremos {el} !",
}
ABOUT_PEOPLE = {  # a person as an object takes "a"
    "I see {the} .": "veo a {el} .",
    "we do not know {the} .": "no conocemos a {el} .",
    "where is {the} ?": "¿ dónde está {el} ?",
}
ABOUT_LIVING = {
    "{the} sleeps .": "{el} duerme .",
    "{the} does not sleep .": "{el} no duerme .",
    "{the} eats .": "{el} come .",
    "{the} does not eat .": "{el} no come .",
}
ABOUT_PLACES = {
    "let's go to {the} !": "¡ vamos a {el} !",
    "let's run to {the} !": "¡ corramos a {el} !",
    "let's sing in {the} !": "¡ cantemos en {el} !",
    "let's eat in {the} !": "¡ comamos en {el} !",
    "we do not go to {the} .": "no vamos a {el} .",
    "we come from {the} .": "venimos de {el} .",
}

SUBJECTS = ("I", "we")
PRETERITE = {"ar": ("é", "amos"), "er": ("í", "imos"), "ir": ("í", "imos")}
"""The endings of verbs for each of the SUBJECTS, which need not be said in Spanish."""
NEUTRAL = {"looked at": "mirar", "found": "encontrar", "looked for": "buscar"}
"""What one can do with a bank, a server or a check in either sense."""


@dataclass(frozen=True)
class Sense:
    """One of the two senses of a word, and what tells it.

    meaning: an English word that has this sense alone.
    acts, objects: what one does where the word has this sense; each act goes with each object.
    """

    word: str
    meaning: str
    spanish: str
    objects: dict[str, str]
    acts: dict[str, str]


WATERS = {"river": PLACES["river"], "lake": "el lago", "lagoon": PLACES["lagoon"],
          "canal": "el canal"}  # fmt: skip
MONEY = {"money": "el dinero", "gold": "el oro", "silver": "la plata", "fortune": "la fortuna"}
FOOD = {"soup": "la sopa", "bread": "el pan", "salad": "la ensalada", "dessert": "el postre"}
WRITING = {"letter": "la carta", "contract": "el contrato", "list": "la lista",
           "report": "el informe"}  # fmt: skip
OBJECTS = {**WATERS, **MONEY, **FOOD, **WRITING}
SENSES = (
    (
        Sense("bank", "shore", "la orilla", WATERS,
              {"jumped into": "saltar a", "fished in": "pescar en", "rowed on": "remar en"}),
        Sense("bank", "lender", "el banco", MONEY,
              {"deposited": "depositar", "withdrew": "retirar", "counted": "contar"}),
    ),
    (
        Sense("server", "waiter", "a el camarero", FOOD,  # a person, see ABOUT_PEOPLE
              {"tasted": "probar", "shared": "compartir", "ate": "comer"}),
        Sense("server", "computer", "el servidor", WRITING,
              {"downloaded": "descargar", "deleted": "borrar", "updated": "actualizar"}),
    ),
    (
        Sense("check", "bill", "la cuenta", FOOD,
              {"paid for": "pagar", "enjoyed": "disfrutar de", "finished": "terminar"}),
        Sense("check", "payment", "el cheque", WRITING,
              {"signed": "firmar", "mailed": "enviar", "kept": "guardar"}),
    ),
)  # fmt: skip
SAYINGS = (
    ("shore", ("swam",), WATERS, "{I} swam across the {word} to get to the other bank .",
     "{crucé} {palabra} a nado para llegar a la otra orilla ."),
    ("lender", ("took",), MONEY, "{I} took the {word} to the other bank .",
     "{llevé} {palabra} a el otro banco ."),
    ("waiter", ("have",), {"check": "la cuenta", **FOOD}, "server , can {I} have the {word} ?",
     "camarero , ¿ {me} trae {palabra} ?"),
    ("waiter", (), {"paid": "pagar", "greeted": "saludar"},
     "looks like {I} just {word} the server .", "parece que {acabo} de {palabra} a el camarero ."),
    ("computer", (), {"crashed": "tumbar", "updated": "actualizar"},
     "looks like {I} just {word} the server .", "parece que {acabo} de {palabra} el servidor ."),
    ("computer", ("crashed",), WRITING,
     "looks like {I} just crashed the server with the {word} .",
     "parece que {acabo} de tumbar el servidor con {palabra} ."),
)  # fmt: skip
"""Other sentences of the senses, all of them trained: the meaning, and what tells it with each of
the words that can stand in the sentence."""
FORMS = {"I": SUBJECTS, "crucé": ("crucé", "cruzamos"), "llevé": ("llevé", "llevamos"),
         "acabo": ("acabo", "acabamos"), "me": ("me", "nos")}  # fmt: skip
"""What stands in a saying for each of the SUBJECTS."""

CROSSING = {"cross": "cruzó", "want to cross": "quiso cruzar"}
STATES = {"tired": "estaba cansado", "scared": "estaba asustado", "sick": "estaba enfermo",
          "lazy": "era perezoso"}  # fmt: skip
"""What keeps an animal from crossing, if the animal itself does."""
OBSTACLES = {
    "wide": ("era ancho", "river field street square highway lagoon"),
    "deep": ("era profundo", "river forest lagoon"),
    "long": ("era largo", "bridge field road highway"),
    "narrow": ("era estrecho", "bridge path street"),
    "steep": ("era empinado", "path street road"),
    "dark": ("era oscuro", "path forest road square"),
    "dangerous": ("era peligroso", "river forest highway lagoon"),
    "noisy": ("era ruidoso", "bridge street square highway"),
    "icy": ("estaba helado", "river bridge field square lagoon"),
    "muddy": ("estaba embarrado", "path field forest road"),
}
"""What keeps it from crossing, if the place does; and which places can."""


@dataclass(frozen=True)
class Example:
    """A sentence and its translation, both as tokens with spaces between them.

    combination: the two words that training has together or, if they are held out, never; no words
        in a sentence that is always trained.
    word: what could mean two things: bank, server, check or it; "" in a plain sentence.
    meaning, other: what it means here and what it could have meant: words that have that sense
        alone (shore, lender), or nouns of the sentence (dog, street).
    cues: the words of the source that tell.
    shown, otherwise: the word of the target that shows the meaning, and what would have stood there
        if the other were meant: orilla and banco, cansado and cansada. They are equal where both
        nouns have the same gender.
    """

    source: str
    target: str
    family: Literal["plain", "sense", "reference"]
    combination: tuple[str, ...] = ()
    word: str = ""
    meaning: str = ""
    other: str = ""
    cues: tuple[str, ...] = ()
    shown: str = ""
    otherwise: str = ""


def pairs(seed: int) -> tuple[list[Example], list[Example]]:
    """(training, unseen): all sentences, divided by pairs of words; the unseen are shuffled.

    `seed` draws the pairs that are held out, in all their sentences: 20 of the 100 of an animal and
    a place that it does not cross; for each sense, 1 of the 12 of an act and its object that tell
    it; 12 of the 98 of an adjective and the noun that it stands with. Training has both words of
    such a pair in other sentences.
    """
    rng = np.random.default_rng((seed, 1))  # not the numbers that a trainer with this seed draws
    held_out = {
        *draw_pairs(rng, OF_THINGS, THINGS, 6),
        *draw_pairs(rng, OF_LIVING, PEOPLE, 2),
        *draw_pairs(rng, OF_LIVING, ANIMALS, 4),
        *draw_pairs(rng, ANIMALS, PLACES, 20),
    }
    for sense in chain.from_iterable(SENSES):
        held_out |= draw_pairs(rng, sense.acts, sense.objects, 1)
    training: list[Example] = []
    unseen: list[Example] = []
    for example in sentences():
        (unseen if example.combination in held_out else training).append(example)
    return training, [unseen[place] for place in rng.permutation(len(unseen))]


def draw_pairs(
    rng: np.random.Generator, first: Iterable[str], second: Iterable[str], count: int
) -> set[tuple[str, ...]]:
    """`count` pairs, each word in as few of them as can be."""
    rows, columns = (rng.permutation([*words]).tolist() for words in (first, second))
    return {
        (rows[i % len(rows)], columns[(i + i // len(rows)) % len(columns)]) for i in range(count)
    }


def sentences() -> Iterator[Example]:
    """Every sentence of the grammar, once."""
    yield from plain_sentences()
    for one, other in SENSES:
        yield from sense_sentences(one, other)
        yield from sense_sentences(other, one)
    yield from reference_sentences()


def plain_sentences() -> Iterator[Example]:
    """Agreement, the order of words, negation, requests."""
    for phrase in PHRASES.items():
        yield Example(*phrase, "plain")
    for place, frame in product(PLACES.items(), ABOUT_PLACES.items()):
        yield Example(*fill(frame, noun_phrases(place)), "plain")
    for sought, found in permutations(OBJECTS.items(), 2):
        yield Example(
            f"I looked for the {sought[0]} and found the {found[0]} .",
            f"busqué {sought[1]} y encontré {found[1]} .",
            "plain",
        )
    for thing, who in product(OBJECTS.items(), range(2)):
        yield Example(
            f"looks like {SUBJECTS[who]} just found the {thing[0]} .",
            f"parece que {FORMS['acabo'][who]} de encontrar {thing[1]} .",
            "plain",
        )
    for nouns, adjectives, frames in (
        (THINGS, OF_THINGS, ABOUT_THINGS),
        (PEOPLE, OF_LIVING, ABOUT_PEOPLE),
        ({**PEOPLE, **ANIMALS}, OF_LIVING, ABOUT_LIVING),
    ):
        for noun, adjective, frame in product(nouns.items(), adjectives.items(), frames.items()):
            one = fill(frame, noun_phrases(noun, adjective))
            several = fill(speak_of_several(frame), noun_phrases(noun, adjective, several=True))
            for sides in (one, several):
                yield Example(*sides, "plain", combination=(adjective[0], noun[0]))


def sense_sentences(sense: Sense, other: Sense) -> Iterator[Example]:
    """A word in one of its senses: what tells it comes after the word, or before."""
    example = partial(
        Example,
        family="sense",
        word=sense.word,
        meaning=sense.meaning,
        other=other.meaning,
        shown=sense.spanish.split()[-1],
        otherwise=other.spanish.split()[-1],
    )
    for look, act, thing, who in product(
        NEUTRAL.items(), sense.acts.items(), sense.objects.items(), range(2)
    ):
        met = f"{look[0]} the {sense.word}", f"{conjugate(look[1], who)} {sense.spanish}"
        did = f"{act[0]} the {thing[0]}", f"{conjugate(act[1], who)} {thing[1]}"
        for first, second in ((met, did), (did, met)):
            yield example(
                f"{SUBJECTS[who]} {first[0]} and {second[0]} .",
                contract(f"{first[1]} y {second[1]} ."),
                combination=(act[0], thing[0]),
                cues=(act[0].split()[0], thing[0]),
            )
    for meaning, cues, choices, *saying in SAYINGS:
        for word, who in product(choices, range(2)) if meaning == sense.meaning else ():
            forms = {name: form[who] for name, form in FORMS.items()}
            forms |= {"word": word, "palabra": choices[word]}
            yield example(*fill(saying, forms), cues=(*cues, word))


def reference_sentences() -> Iterator[Example]:
    """A pronoun for one of two nouns: for the animal, if it is tired, or for the place."""
    for animal, place, crossing in product(ANIMALS.items(), PLACES.items(), CROSSING.items()):
        obstacles = {
            name: was for name, (was, where) in OBSTACLES.items() if place[0] in where.split()
        }
        for meaning, other, reasons in (
            (animal, place, STATES),
            (place, animal, obstacles),
        ):
            for reason, spanish in reasons.items():
                was, adjective = spanish.split()
                shown = agree(adjective, meaning[1])
                yield Example(
                    f"the {animal[0]} did not {crossing[0]} the {place[0]} "
                    f"because it was too {reason} .",
                    f"{animal[1]} no {crossing[1]} {place[1]} porque {was} demasiado {shown} .",
                    "reference",
                    combination=(animal[0], place[0]),
                    word="it",
                    meaning=meaning[0],
                    other=other[0],
                    cues=(reason,),
                    shown=shown,
                    otherwise=agree(adjective, other[1]),
                )


def fill(frame: Iterable[str], forms: dict[str, str]) -> Words:
    """Both sides of a frame with the forms that it names."""
    source, target = (side.format(**forms) for side in frame)
    return source, contract(target)


def speak_of_several(frame: Words) -> Words:
    """A frame with its verbs in the plural."""
    source, target = (" ".join(PLURAL.get(word, word) for word in side.split()) for side in frame)
    return source, target


def noun_phrases(noun: Words, adjective: Words = ("", ""), several: bool = False) -> dict[str, str]:
    """One or several of a noun, with its adjective: what stands in a frame for each name.

    >>> noun_phrases(("house", "la casa"), ("red", "rojo"), several=True)["el"]
    'las casas rojas'
    """
    article, spanish = noun[1].split()
    indefinite, plural = ARTICLES[article]
    english = f"{adjective[0]} {noun[0]}".strip()
    spanish = f"{spanish} {agree(adjective[1], noun[1])}".strip()
    new = agree("nuevo", noun[1])
    if several:
        english, spanish, new = f"{english}s", make_plural(spanish), make_plural(new)
        rest = english, f"{plural} {spanish}", spanish
    else:
        rest = f"a {english}", f"{article} {spanish}", f"{indefinite} {spanish}"
    return dict(zip(("the", "a", "el", "un", "nuevo"), (f"the {english}", *rest, new), strict=True))


def make_plural(spanish: str) -> str:
    """Several of a noun, with its adjective, if any.

    >>> make_plural("flor azul")
    'flores azules'
    """
    return " ".join(word + ("s" if word[-1] in "aeiou" else "es") for word in spanish.split())


def agree(adjective: str, noun: str) -> str:
    """The form of an adjective beside a noun, which has its article.

    >>> agree("ancho", "la calle"), agree("verde", "la calle")
    ('ancha', 'verde')
    """
    feminine = noun.startswith("la ") and adjective.endswith("o")
    return f"{adjective[:-1]}a" if feminine else adjective


def contract(spanish: str) -> str:
    """A sentence as it is written: "al" for "a el", "del" for "de el"."""
    return re.sub(r"\b(a|de) el\b", r"\1l", spanish)


def conjugate(verb: str, who: int) -> str:
    """A regular verb, and what stands with it, in the preterite of one of the SUBJECTS.

    >>> [conjugate("pescar en", who) for who in range(2)]
    ['pesqué en', 'pescamos en']
    """
    infinitive, *rest = verb.split()
    stem, ending = infinitive[:-2], PRETERITE[infinitive[-2:]][who]
    if ending == "é":  # the last sound of the stem stays, so its letter may change
        stem = stem[:-1] + {"c": "qu", "g": "gu", "z": "c"}.get(stem[-1], stem[-1])
    return " ".join([stem + ending, *rest])
