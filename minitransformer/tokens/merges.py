"""Merges: the pairs of neighbouring pieces that sub-words are made of, learned from words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise

Merge = tuple[str, str]
Pair = tuple[int, int]

LONGEST = 256
"""Pieces of a word that are looked at together. No language has longer ones, and the work grows by
the square of it."""


def learn_merges(
    words: Mapping[tuple[str, ...], int],
    pieces: Iterable[str],
    size: int | None,
    join: Callable[[str, str], str],
) -> tuple[list[Merge], list[str]]:
    """(merges in the order in which they are learned, all pieces), at most `size` pieces.

    words: how often each word occurs, as the pieces that it begins as. Again and again the pair
    that occurs most often becomes one piece; of several, the pair whose pieces were known first.
    None for the size goes on until each word is one piece. That is byte-pair encoding: Sennrich et
    al., "Neural Machine Translation of Rare Words with Subword Units" (2016), algorithm 1.

    >>> learn_merges({("l", "o", "w"): 5, ("l", "o", "t"): 2}, "lotw", 6, str.__add__)
    ([('l', 'o'), ('lo', 'w')], ['l', 'o', 't', 'w', 'lo', 'low'])
    """
    known = list(pieces)
    number_of = {piece: number for number, piece in enumerate(known)}
    spelled, times = [], []
    for word, count in words.items():
        for start in range(0, len(word), LONGEST):
            spelled.append([number_of[piece] for piece in word[start : start + LONGEST]])
            times.append(count)
    counts: dict[Pair, int] = defaultdict(int)
    places: dict[Pair, set[int]] = defaultdict(set)  # the words that have had a pair
    for place, numbers in enumerate(spelled):
        for pair in pairwise(numbers):
            counts[pair] += times[place]
            places[pair].add(place)
    # The most frequent first. A count that has fallen since is corrected when its turn comes.
    queue = [(-count, pair) for pair, count in counts.items()]
    heapify(queue)
    merges = []
    while queue and (size is None or len(known) < size):
        count, pair = heappop(queue)
        if -count != counts[pair]:
            if counts[pair]:
                heappush(queue, (-counts[pair], pair))
            continue
        merges.append((known[pair[0]], known[pair[1]]))
        piece = join(*merges[-1])
        new = number_of.setdefault(piece, len(known))  # "abc" may be "ab" + "c" and "a" + "bc"
        if new == len(known):
            known.append(piece)
        grown = set()
        for place in places.pop(pair):
            lost, found = merge(spelled[place], pair, new)
            for each in lost:
                counts[each] -= times[place]
            for each in found:
                counts[each] += times[place]
                places[each].add(place)
            grown.update(found)
        del counts[pair]
        for each in grown:
            if counts[each]:  # "aaaa" becomes "aa aa", and "aa a" was there for a moment alone
                heappush(queue, (-counts[each], each))
    return merges, known


def merge(word: list[int], pair: Pair, new: int) -> tuple[list[Pair], list[Pair]]:
    """Put a new number in the place of each pair in a word, from the left: (the neighbouring pairs
    that are no more, those that are new).

    >>> word = [1, 1, 1, 2]
    >>> merge(word, (1, 1), 3), word
    (([(1, 1)], [(3, 1)]), [3, 1, 2])
    """
    left, right = pair
    lost, found = [], []
    place, last = 0, len(word) - 1
    while place < last:
        if word[place] != left or word[place + 1] != right:
            place += 1
            continue
        word[place : place + 2] = [new]
        last -= 1
        if place:
            lost.append((word[place - 1], left))
            found.append((word[place - 1], new))
        if place < last:
            lost.append((right, word[place + 1]))
            found.append((new, word[place + 1]))
        place += 1
    return lost, found
