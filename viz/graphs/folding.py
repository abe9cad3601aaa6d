"""Folding: tensors that share a node, as those of a module call do, and layers that share a box."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from minigrad import nn
from minigrad.tensor import Tensor
from viz.graphs.nodes import Path, prefixes
from viz.graphs.trace import Trace

Key = Any
"""What a node is known by before it has an id: the path of a folded call, or a tensor's order."""


@dataclass(frozen=True)
class Folding:
    """The tensors of a trace gathered into nodes, calls nested deeper than `depth` folded.

    The calls that are `open` stay so at any depth. `is_reduced` if there are deeper ones than are
    shown, although nobody asked for that.

    Where a layer repeats, the nodes of the first stand for those of the others.
    """

    trace: Trace
    depth: int
    open: frozenset[Path] = frozenset()
    is_reduced: bool = False

    def _is_folded(self, path: Path) -> bool:
        """Whether a call is one card."""
        zoom = self.trace.look.zoom
        if path in self.open:
            return False
        if len(path) > self.depth or zoom == "model":
            return True
        if zoom != "module" or len(path) == 1:
            return False
        module = self.trace.naming.scopes[path].module
        inner = module.children() if isinstance(module, nn.Module) else ()
        return not any(any(child.children()) for _, child in inner)

    @cached_property
    def home(self) -> dict[int, Key]:
        """The key of each tensor's node, by the tensor's order."""
        folded = {path for path in self.trace.calls if self._is_folded(path)}
        return {
            order: next((call for call in prefixes(path) if call in folded), order)
            for order, path in self.trace.paths.items()
        }

    @cached_property
    def units(self) -> dict[Key, list[Tensor]]:
        """The tensors that share a node, by its key, oldest first."""
        found: dict[Key, list[Tensor]] = {}
        for tensor in self.trace.drawn:
            found.setdefault(self.home[tensor.order], []).append(tensor)
        return found

    @cached_property
    def size(self) -> int:
        """The number of nodes."""
        return len(self.units) - len(self.first)

    @cached_property
    def inside(self) -> dict[Path, list[Key]]:
        """The keys of the nodes inside each call, and of its own if it is folded."""
        found: dict[Path, list[Key]] = {}
        for key in self.units:
            for call in prefixes(self._path(key)):
                found.setdefault(call, []).append(key)
        return found

    @cached_property
    def runs(self) -> list[list[Path]]:
        """Equal layers, one after the other, of which the first stands for all."""
        if self.trace.look.zoom not in ("model", "module"):
            return []
        place = {key: i for i, key in enumerate(filter(self._computes, self.units))}
        runs: list[list[Path]] = []
        latest: dict[tuple[Path, str], list[Path]] = {}
        for call in sorted(self.inside, key=len, reverse=True):
            stem, number = split_number(call[-1])
            run = latest.get((call[:-1], stem), [])
            if number is None or call in self.open:
                continue
            if run and self._repeats(run[-1], call, place):
                run.append(call)
            else:
                latest[call[:-1], stem] = [call]
                runs.append(latest[call[:-1], stem])
        return [run for run in runs if len(run) > 1]

    @cached_property
    def alike(self) -> list[set[Key]]:
        """The keys of all nodes in each of these runs of layers."""
        return [{key for call in run for key in self.inside[call]} for run in self.runs]

    @cached_property
    def first(self) -> dict[Key, Key]:
        """The node that stands for one in a layer that repeats, by both their keys."""
        found: dict[Key, Key] = {}
        for first, *others in self.runs:
            for call in others:
                for one, other in zip(self.inside[first], self.inside[call], strict=True):
                    found.setdefault(other, one)
        return found

    def _path(self, key: Key) -> Path:
        return key if isinstance(key, tuple) else self.trace.paths[key]

    def _computes(self, key: Key) -> bool:
        return any(tensor.op is not None for tensor in self.units[key])

    def _repeats(self, one: Path, other: Path, place: Mapping[Key, int]) -> bool:
        """Whether a call does exactly what the one before it did, with nothing in between."""
        (_, before), (_, now) = split_number(one[-1]), split_number(other[-1])
        if before is None or now != before + 1:
            return False
        places = sorted(place[key] for key in self.inside[one] + self.inside[other] if key in place)
        if not places or len(places) != places[-1] - places[0] + 1:
            return False
        return self._structure(one) == self._structure(other)

    def _structure(self, call: Path) -> list[Any]:
        """What two equal calls have in common: classes, ops, shapes and the edges inside."""
        naming = self.trace.naming
        keys = self.inside[call]
        within = [tensor for key in keys for tensor in self.units[key]]
        number = {tensor.order: i for i, tensor in enumerate(within)}
        found: list[Any] = [naming.kind_of(naming.scopes[call])]
        for key in keys:
            found.append(self._path(key)[len(call) :])
            for tensor in self.units[key]:
                sources = [number[x.order] for x in self._flowing([tensor]) if x.order in number]
                found.append((tensor.op and tensor.op.name, tensor.shape, sources))
        return found

    def drawn(self, key: Key) -> Key:
        """The key itself, or that of the node that stands for it."""
        while key in self.first:
            key = self.first[key]
        return key

    def labels(self, with_numbers: bool) -> dict[Path, str]:
        """The label of the first of each run of layers, by its path."""
        said = {}
        for run in self.runs:
            first, last = run[0][-1], split_number(run[-1][-1])[1]
            own = f", numbers of {first}" if with_numbers else ""
            said[run[0]] = f"{first} … {last} × {len(run)}{own}"
        return said

    def nodes(self) -> dict[Key, list[Key]]:
        """The keys that each node drawn stands for, its own first, in the order of drawing.

        An input that a later repeat is the first to use comes before the layer.
        """
        at: dict[Key, float] = {key: i for i, key in enumerate(self.units)}
        for key, unit in self.units.items():
            for leaf in (self.home[x.order] for x in self._flowing(unit) if x.op is None):
                if leaf != key:
                    at[leaf] = min(at[leaf], at[self.drawn(key)] - 0.5)
        found: dict[Key, list[Key]] = {}
        for key in sorted(self.units, key=at.__getitem__):
            found.setdefault(self.drawn(key), []).append(key)
        return found

    def _flowing(self, unit: Sequence[Tensor]) -> Iterator[Tensor]:
        return (x for tensor in unit for x in self.trace.sources(tensor))

    def joining(self, key: Key, keys: Sequence[Key]) -> list[int]:
        """What flows from elsewhere into the repeats that a node stands for, but not into it."""
        known = {self.drawn(self.home[x.order]) for x in self._flowing(self.units[key])}
        found = []
        for other in keys[1:]:
            together = set().union(*(keys for keys in self.alike if other in keys))
            for x in self._flowing(self.units[other]):
                source = self.home[x.order]
                if source not in together and self.drawn(source) not in known:
                    known.add(self.drawn(source))
                    found.append(x.order)
        return found


def fold(trace: Trace, scalars: Collection[int] = ()) -> Folding:
    """The Folding to the depth that is asked for, or to the largest that leaves few enough nodes.

    What has been opened by its name, and `scalars`, ops by their orders, stay open; so does the
    call around a part, which would be the whole picture.
    """
    naming, look = trace.naming, trace.look
    named = [path for path in trace.calls if look.opens(naming.place(naming.scopes[path]))]
    named += [trace.paths[order] for order in scalars]
    opened = frozenset(around for path in named for around in prefixes(path))
    if look.depth is not None:
        return Folding(trace, look.depth, opened)
    deepest = max(map(len, trace.paths.values()), default=0)
    least = 0 if naming.roof is None else 1
    folding = Folding(trace, max(deepest, least), opened)
    while folding.depth > least and folding.size > look.few:
        folding = Folding(trace, folding.depth - 1, opened, is_reduced=True)
    return folding


def split_number(name: str) -> tuple[str, int | None]:
    """The name of a call up to the number at its end, and that number."""
    found = re.fullmatch(r"(.*?)(\d+)", name)
    return (found[1], int(found[2])) if found else (name, None)
