"""Naming: what calls are called by the modules around them, and tensors where they are used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from minigrad.mode import Scope
from minigrad.tensor import Tensor
from viz.graphs.definition import Definition
from viz.graphs.look import Place
from viz.graphs.nodes import Path


class Naming:
    """What is called how.

    `given` are names by the identity of what has them. `roof` is the outermost call that is named;
    without one, all are.
    """

    def __init__(self, given: Mapping[int, str], roof: Scope | None = None) -> None:
        self.given, self.roof = given, roof
        self.scopes: dict[Path, Scope] = {}
        self._places: dict[int, tuple[Scope, Place]] = {}
        self._paths: dict[int, Path] = {}
        self._calls: Counter[Path] = Counter()
        self._members: dict[int, dict[int, str]] = {}

    def around(self, scope: Scope) -> Scope | None:
        """The call around a call."""
        return None if scope is self.roof else scope.parent

    def outward(self, scope: Scope | None) -> Iterator[Scope]:
        """A call and those around it, innermost first."""
        while scope is not None:
            yield scope
            scope = self.around(scope)

    def path(self, scope: Scope | None) -> Path:
        """The path of a module call, or of an op's definition."""
        if scope is None:
            return ()
        if id(scope) not in self._paths:
            around = self.around(scope)
            name = self.member_name(scope.module, around) or self.kind_of(scope).replace("_", " ")
            path = self.next_path(self.path(around), name)
            self._paths[id(scope)] = path
            self.scopes[path] = scope
        return self._paths[id(scope)]

    def next_path(self, path: Path, name: str) -> Path:
        """The path of one more call of this name inside the call at `path`."""
        self._calls[(*path, name)] += 1
        number = self._calls[(*path, name)]
        return (*path, f"{name} ({number})" if number > 1 else name)

    def place(self, scope: Scope | None) -> Place:
        """The place of a call, by which it can be opened; all calls of a module share it."""
        if scope is None:
            return ()
        if id(scope) not in self._places:
            around = self.around(scope)
            name = self.member_name(scope.module, around) or self.kind_of(scope)
            # With the scope itself: of one that is gone, another may have the id.
            self._places[id(scope)] = scope, (*self.place(around), name)
        return self._places[id(scope)][1]

    def kind_of(self, scope: Scope) -> str:
        """The class of the module that is called, or the op."""
        module = scope.module
        return module.op.name if isinstance(module, Definition) else type(module).__name__

    def member_name(self, x: Any, scope: Scope | None, outermost: bool = False) -> str | None:
        """What the nearest module around (or the outermost) calls a part of its own."""
        found = None
        for call in self.outward(scope):
            if not isinstance(call.module, Definition):
                members = self._members_of(call.module)
                # A slice of a buffer is known by the buffer's name.
                found = members.get(id(x)) or members.get(id(getattr(x, "base", x))) or found
            if found and not outermost:
                break
        return found

    def _members_of(self, module: Any) -> dict[int, str]:
        """The name of each module, parameter and buffer in a module, by identity."""
        if id(module) not in self._members:
            named = [*module.named_state(), *module.named_modules()]
            self._members[id(module)] = {id(member): name for name, member in reversed(named)}
        return self._members[id(module)]

    def own_name(self, x: Any) -> str | None:
        """The name that was given to a tensor or an array, or that a tensor has itself."""
        return self.given.get(id(x)) or (x.name if isinstance(x, Tensor) else None)

    def used_name(self, x: Any, scope: Scope | None) -> str | None:
        """The name of a tensor or an array where an op uses it, if it has one."""
        own = self.own_name(x)
        if scope is not None and isinstance(scope.module, Definition):
            return scope.module.name_of(x) or own or self.member_name(x, scope)
        return own or self.member_name(x, scope)
