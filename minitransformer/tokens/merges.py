"""Merges: the pairs of neighbouring pieces that sub-words are made of, learned from words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise

Merge = tuple[str, str]


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
    spelled = [[number_of[piece] for piece in word] for word in words]
    times = list(words.values())
    counts: dict[tuple[int, int], int] = defaultdict(int)
    places: dict[tuple[int, int], set[int]] = defaultdict(set)  # the words that have had a pair
    for place, word in enumerate(spelled):
        for pair in pairwise(word):
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
            before = spelled[place]
            after = spelled[place] = merged(before, pair, new)
            for each in pairwise(before):
                counts[each] -= times[place]
            for each in pairwise(after):
                counts[each] += times[place]
                if new in each:
                    places[each].add(place)
                    grown.add(each)
        del counts[pair]
        for each in grown:
            heappush(queue, (-counts[each], each))
    return merges, known


def merged(word: list[int], pair: tuple[int, int], new: int) -> list[int]:
    """A word in which a new number stands for each pair, from the left.

    >>> merged([1, 1, 1, 2], (1, 1), 3)
    [3, 1, 2]
    """
    left, right = pair
    found = []
    place, last = 0, len(word) - 1
    while place <= last:
        if place < last and word[place] == left and word[place + 1] == right:
            found.append(new)
            place += 2
        else:
            found.append(word[place])
            place += 1
    return found
