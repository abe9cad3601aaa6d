"""Folding: tensors that share a node, as those of a module call do, and layers that share a box."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from minigrad import nn
from minigrad.tensor import Tensor
from viz.graphs.nodes import Path, prefixes
from viz.graphs.trace import Trace

Key = Any
"""What a node is known by before it has an id: the path of a folded call, or a tensor's order."""


class Folding:
    """The tensors of a trace gathered into nodes: `units` by their keys, oldest first.

    depth: calls nested deeper are folded; without one, it is the largest that leaves at most
    `limit` nodes. What has been opened by its name, and `scalars`, ops by their orders, stay open.

    Where a layer repeats, the nodes of the first stand for those of the others: `first` leads from
    the key of each of the latter to that of the former.
    """

    def __init__(
        self, trace: Trace, depth: int | None, limit: int, scalars: Collection[int] = ()
    ) -> None:
        self.trace = trace
        self.paths = {tensor.order: trace.path(tensor) for tensor in trace.drawn}
        self.calls = {path for whole in self.paths.values() for path in prefixes(whole)}
        self.opened = self._opened(scalars)
        deepest = max(map(len, self.paths.values()), default=0)
        self.depth = deepest if depth is None else depth
        self._fold()
        while depth is None and self.depth > 0 and len(self.units) - len(self.first) > limit:
            self.depth -= 1
            self._fold()
        self.is_reduced = depth is None and self.depth < deepest

    def _opened(self, scalars: Collection[int]) -> set[Path]:
        """The calls that stay open, for something in them is opened."""
        naming, look = self.trace.naming, self.trace.look
        named = [path for path in self.calls if look.opens(naming.place(naming.scopes[path]))]
        named += [self.paths[order] for order in scalars]
        return {around for path in named for around in prefixes(path)}

    def _is_folded(self, path: Path) -> bool:
        """Whether a call is one card."""
        zoom = self.trace.look.zoom
        if path in self.opened:
            return False
        if len(path) > self.depth or zoom == "model":
            return True
        if zoom != "module" or len(path) == 1:
            return False
        module = self.trace.naming.scopes[path].module
        inner = module.children() if isinstance(module, nn.Module) else ()
        return not any(any(child.children()) for _, child in inner)

    def _fold(self) -> None:
        """Gather the tensors into units at the present depth."""
        folded = {path for path in self.calls if self._is_folded(path)}
        self.units: dict[Key, list[Tensor]] = {}
        self.home: dict[int, Key] = {}
        for tensor in self.trace.drawn:
            around = prefixes(self.paths[tensor.order])
            key = next((path for path in around if path in folded), tensor.order)
            self.units.setdefault(key, []).append(tensor)
            self.home[tensor.order] = key
        self.first: dict[Key, Key] = {}
        self._runs: list[tuple[list[Path], set[Key]]] = []  # calls that repeat, and their nodes
        if self.trace.look.zoom in ("model", "module"):
            self._fold_repeats()

    def _fold_repeats(self) -> None:
        """Let the first of equal layers, one after the other, stand for all."""
        inside: dict[Path, list[Key]] = {}  # the nodes of each call
        for key, unit in self.units.items():
            for call in prefixes(key if isinstance(key, tuple) else self.paths[unit[0].order]):
                inside.setdefault(call, []).append(key)
        place = {key: i for i, key in enumerate(filter(self._computes, self.units))}
        runs: list[list[Path]] = []
        latest: dict[tuple[Path, str], list[Path]] = {}
        for call in sorted(inside, key=len, reverse=True):
            stem, number = numbered(call[-1])
            run = latest.get((call[:-1], stem), [])
            if number is None or call in self.opened:
                continue
            if run and self._repeats(run[-1], call, inside, place):
                run.append(call)
            else:
                latest[call[:-1], stem] = [call]
                runs.append(latest[call[:-1], stem])
        for run in runs:
            for call in run[1:]:
                for one, other in zip(inside[run[0]], inside[call], strict=True):
                    self.first.setdefault(other, one)
            if len(run) > 1:
                self._runs.append((run, {key for call in run for key in inside[call]}))

    def _computes(self, key: Key) -> bool:
        return any(tensor.op is not None for tensor in self.units[key])

    def _repeats(
        self, one: Path, other: Path, inside: dict[Path, list[Key]], place: dict[Key, int]
    ) -> bool:
        """Whether a call does just what another one did before it, with nothing between them."""
        (_, before), (_, now) = numbered(one[-1]), numbered(other[-1])
        if before is None or now != before + 1:
            return False
        places = sorted(place[key] for key in inside[one] + inside[other] if key in place)
        if not places or len(places) != places[-1] - places[0] + 1:
            return False
        return self._structure(one, inside[one]) == self._structure(other, inside[other])

    def _structure(self, call: Path, keys: Sequence[Key]) -> list[Any]:
        """What there is to compare of two calls: classes, ops, shapes and the edges inside."""
        naming = self.trace.naming
        within = [tensor for key in keys for tensor in self.units[key]]
        number = {tensor.order: i for i, tensor in enumerate(within)}
        found: list[Any] = [naming.kind(naming.scopes[call])]
        for key in keys:
            unit = self.units[key]
            path = key if isinstance(key, tuple) else self.paths[unit[0].order]
            found.append(path[len(call) :])
            for tensor in unit:
                sources = [number[x.order] for x in self._flowing([tensor]) if x.order in number]
                found.append((tensor.op and tensor.op.name, tensor.shape, sources))
        return found

    def drawn(self, key: Key) -> Key:
        """The key itself, or that of the node that stands for it."""
        while key in self.first:
            key = self.first[key]
        return key

    def labels(self, with_numbers: bool) -> dict[Path, str]:
        """What the first of some layers that repeat is called, by its path."""
        said = {}
        for run, _ in self._runs:
            first, last = run[0][-1], numbered(run[-1][-1])[1]
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
        """What flows from elsewhere into repeats that a node stands for, and not into itself."""
        known = {self.drawn(self.home[x.order]) for x in self._flowing(self.units[key])}
        found = []
        for other in keys[1:]:
            together = set().union(*(run for _, run in self._runs if other in run))
            for x in self._flowing(self.units[other]):
                source = self.home[x.order]
                if source not in together and self.drawn(source) not in known:
                    known.add(self.drawn(source))
                    found.append(x.order)
        return found


def numbered(name: str) -> tuple[str, int | None]:
    """The name of a call up to the number at its end, and that number."""
    found = re.fullmatch(r"(.*?)(\d+)", name)
    return (found[1], int(found[2])) if found else (name, None)
