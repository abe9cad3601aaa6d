"""The grammar's sentences are right, each says what it means, and the unseen ones are unseen."""

import re
from collections import defaultdict

import pytest

from minitransformer.tasks.grammar import conjugate, pairs, sentences

ALL = [*sentences()]
TRANSLATIONS = {example.source: example.target for example in ALL}

# What the tests know of Spanish by themselves: how endings show gender and number.
ARTICLES = {"el": "m", "al": "m", "del": "m", "un": "m", "la": "f", "una": "f",
            "los": "ms", "las": "fs"}  # fmt: skip
VERBS = {"es": False, "está": False, "duerme": False, "come": False,
         "son": True, "están": True, "duermen": True, "comen": True}  # fmt: skip
FEMININE = {"calle", "flor", "flores"}  # their endings do not show it
ADJECTIVES = re.compile(
    "(negr|blanc|roj|pequeñ|nuev|cansad|enferm|otr)[oa]s?|(verd|grand)es?|azul(es)?"
)


def form_of(noun: str) -> str:
    """m or f, with an s for several."""
    gender = "f" if noun in FEMININE or re.search("as?$", noun) else "m"
    return gender + "s" * noun.endswith("s")


def agrees(adjective: str, noun: str) -> bool:
    shows_gender = re.search("[oa]s?$", adjective)
    same_gender = not shows_gender or form_of(adjective)[0] == form_of(noun)[0]
    return same_gender and adjective.endswith("s") == noun.endswith("s")


def disagreements(target: str) -> list[tuple[str, str]]:
    """Each article, adjective and verb that does not fit its noun; "porque" ends the search."""
    words = target.split(" porque ")[0].split()
    wrong, noun = [], ""
    for i, word in enumerate(words):
        fits = True
        if word in ARTICLES:
            noun = words[i + 2] if words[i + 1] in ("otro", "otra") else words[i + 1]
            fits = ARTICLES[word] == form_of(noun)
        elif word == "compramos":
            noun = words[i + 1]
        elif word in VERBS:
            subject = words[i + 2] if word.startswith("est") else noun
            fits = VERBS[word] == subject.endswith("s")
        elif ADJECTIVES.fullmatch(word):
            fits = agrees(word, noun)
        if not fits:
            wrong.append((word, noun))
    return wrong


@pytest.mark.parametrize(
    "wrong",
    [
        "veo la coche .",
        "veo el flor .",
        "veo al reina .",
        "veo los casas .",
        "veo el libro roja .",
        "veo las flores rojos .",
        "veo los coches grande .",
        "no compramos casas blanca .",
        "los trenes negros no es nuevos .",
        "el tren negro no es nueva .",
        "las vacas come .",
        "¿ dónde está los trenes ?",
        "llevé el dinero al otra banco .",
    ],
)
def test_what_does_not_agree_would_be_found(wrong):
    assert disagreements(wrong)


def test_articles_adjectives_and_verbs_agree_with_their_noun():
    assert {example.target: disagreements(example.target) for example in ALL} == {
        example.target: [] for example in ALL
    }


def test_what_it_is_shows_in_the_gender_of_the_last_adjective():
    for example in (example for example in ALL if example.family == "reference"):
        animal = example.source.split()[1]
        spanish_animal = example.target.split()[1]
        spanish_place = example.target.split(" porque ")[0].split()[-1]
        meant, other = spanish_animal, spanish_place
        if example.meaning != animal:
            meant, other = other, meant
        assert example.target.split()[-2] == example.shown
        assert agrees(example.shown, meant)
        assert agrees(example.otherwise, other)


def test_both_sides_speak_of_one_or_of_several():
    one_in_english = {"is", "does", "sleeps", "eats", "let's"}
    for example in ALL:
        if example.family == "plain" and example.combination:
            several = any(
                word.endswith("s") for word in example.source.split() if word not in one_in_english
            )
            spanish = re.search(r"\b(los|las|compramos \w+s)\b", example.target)
            assert several == bool(spanish), example
            assert several == any(f"{noun}s" in example.source for noun in example.combination)


def test_sentences_are_written_as_spanish_and_english_are():
    for example in ALL:
        for open_mark, mark in ("¡!", "¿?"):
            assert example.source.count(mark) == example.target.count(mark)
            assert example.target.count(open_mark) == example.target.count(mark)
        assert example.source[-1] == example.target[-1] in ".!?"
        assert not re.search(r"\b(a|de) el\b", example.target)
        assert not re.search(r"\by h?i", example.target)  # where "y" would be "e"
        assert not re.search(r"\ba [aeiou]", example.source)  # where "a" would be "an"
        for side in (example.source, example.target):
            assert side == " ".join(re.findall(r"[\w']+|[^\w\s]", side))
            assert len(side.split()) <= 15


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("let's go !", "¡ vamos !"),
        ("let's go to the river !", "¡ vamos al río !"),
        ("we come from the square .", "venimos de la plaza ."),
        ("we come from the forest .", "venimos del bosque ."),
        ("let's buy the blue flowers !", "¡ compremos las flores azules !"),
        ("we do not buy a red house .", "no compramos una casa roja ."),
        ("we do not buy white trains .", "no compramos trenes blancos ."),
        ("the small flowers are not new .", "las flores pequeñas no son nuevas ."),
        ("where are the sick kings ?", "¿ dónde están los reyes enfermos ?"),
        ("I see the tired girl .", "veo a la chica cansada ."),
        ("I see the tired boy .", "veo al chico cansado ."),
        ("the big animals do not sleep .", "los animales grandes no duermen ."),
        (
            "I swam across the river to get to the other bank .",
            "crucé el río a nado para llegar a la otra orilla .",
        ),
        (
            "we fished in the lake and found the bank .",
            "pescamos en el lago y encontramos la orilla .",
        ),
        ("I looked at the bank and counted the gold .", "miré el banco y conté el oro ."),
        ("server , can I have the check ?", "camarero , ¿ me trae la cuenta ?"),
        ("I looked for the server and ate the soup .", "busqué al camarero y comí la sopa ."),
        (
            "looks like I just crashed the server .",
            "parece que acabo de tumbar el servidor .",
        ),
        ("I enjoyed the bread and found the check .", "disfruté del pan y encontré la cuenta ."),
        (
            "we found the check and mailed the letter .",
            "encontramos el cheque y enviamos la carta .",
        ),
        (
            "the animal did not cross the street because it was too tired .",
            "el animal no cruzó la calle porque estaba demasiado cansado .",
        ),
        (
            "the animal did not cross the street because it was too wide .",
            "el animal no cruzó la calle porque era demasiado ancha .",
        ),
        (
            "the cow did not want to cross the bridge because it was too icy .",
            "la vaca no quiso cruzar el puente porque estaba demasiado helado .",
        ),
    ],
)
def test_some_translations(source, target):
    assert TRANSLATIONS[source] == target


@pytest.mark.parametrize(
    ("verb", "first", "plural"),
    [
        ("nadar", "nadé", "nadamos"),
        ("buscar", "busqué", "buscamos"),
        ("pagar", "pagué", "pagamos"),
        ("actualizar", "actualicé", "actualizamos"),
        ("comer", "comí", "comimos"),
        ("compartir", "compartí", "compartimos"),
        ("saltar a", "salté a", "saltamos a"),
    ],
)
def test_verbs_in_the_preterite_keep_their_sound(verb, first, plural):
    assert [conjugate(verb, who) for who in range(2)] == [first, plural]


def test_an_example_says_what_its_word_means():
    for example in ALL:
        if example.family == "plain":
            assert not (example.word or example.meaning or example.cues or example.shown)
            continue
        words = example.source.split()
        assert words.count(example.word) == 1
        assert {*example.cues} <= {*words}
        assert example.shown in example.target.split()
        if example.otherwise != example.shown:
            assert example.otherwise not in example.target.split()
        if example.family == "reference":
            assert {words[1], words[words.index("because") - 1]} == {example.meaning, example.other}


def test_a_meaning_can_stand_for_the_word_since_no_sentence_has_it():
    senses = {(example.word, example.meaning) for example in ALL if example.family == "sense"}
    assert senses == {
        ("bank", "shore"), ("bank", "lender"), ("server", "waiter"), ("server", "computer"),
        ("check", "bill"), ("check", "payment"),
    }  # fmt: skip
    said = {word for example in ALL for word in example.source.split()}
    assert not said & {meaning for _, meaning in senses}


def test_without_the_cues_nothing_tells_the_meaning():
    meanings = defaultdict(list)
    for example in ALL:
        if example.family != "plain" and example.combination:
            told = example.combination if example.family == "sense" else example.cues
            rest = example.source
            for words in told:
                rest = rest.replace(words, "…")
            meanings[rest].append(example.meaning)
    for rest, found in meanings.items():
        counts = {meaning: found.count(meaning) for meaning in found}
        assert len(counts) == 2, rest
        assert len({*counts.values()}) == 1, rest


def test_every_sentence_is_there_once():
    training, unseen = pairs(0)
    assert len({example.source for example in ALL}) == len(ALL)
    assert sorted(map(repr, training + unseen)) == sorted(map(repr, ALL))


@pytest.mark.parametrize("seed", range(5))
def test_held_out_pairs_of_words_meet_in_no_training_sentence(seed):
    training, unseen = pairs(seed)
    assert (len(training), len(unseen)) == (3366, 524)
    held_out = {example.combination for example in unseen}
    assert not held_out & {example.combination for example in training}
    crossings = {example.combination for example in unseen if example.family == "reference"}
    assert len(crossings) == 20
    for words in zip(*crossings, strict=True):
        assert {words.count(word) for word in words} == {2}  # each animal, each place
    said = {
        "plain": "{} {}s? ",
        "sense": "{} the {} ",
        "reference": "the {} did not (want to )?cross the {} ",
    }
    trained = "\n".join(example.source for example in training)
    for example in unseen:
        phrase = said[example.family].format(*example.combination)
        assert re.search(phrase, example.source)
        assert not re.search(phrase, trained), phrase


def test_training_has_every_word_of_the_unseen():
    for seed in range(20):
        training, unseen = pairs(seed)
        for side in ("source", "target"):
            known, needed = (
                {word for example in part for word in getattr(example, side).split()}
                for part in (training, unseen)
            )
            assert needed <= known


def test_the_seed_decides_what_is_held_out():
    assert pairs(3) == pairs(3)
    assert {e.source for e in pairs(3)[1]} != {e.source for e in pairs(4)[1]}


def test_any_first_part_of_the_unseen_has_all_families():
    assert {example.family for example in pairs(0)[1][:60]} == {"plain", "sense", "reference"}
