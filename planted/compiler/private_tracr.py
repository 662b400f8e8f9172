"""A private copy of Tracr's compiler, with some of its helpers replaced by faster equals.

The modules below `tracr.craft` and `tracr.compiler` are executed a second time, into module objects
that only planted's compiler holds, and the replacements are made there. The installed Tracr, which
other threads may be using, never changes; nor is its own compiler imported, which brings Haiku and
JAX. RASP expressions are the installed `tracr.rasp`'s: they are the user's.
"""

from __future__ import annotations

import builtins
import functools
import importlib.util
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

_COPIED = ("tracr.craft", "tracr.compiler")
_lock = threading.Lock()


class Copy:
    """Private modules by the names of those that they copy."""

    def __init__(self) -> None:
        found = importlib.util.find_spec("tracr")
        places = (found.submodule_search_locations if found is not None else None) or []
        self._root = Path(next(iter(places)))
        self._modules: dict[str, ModuleType] = {}

    def module(self, name: str) -> Any:
        """The private module of a name as "tracr.craft.bases"; a package's own code is left out."""
        if name not in self._modules:
            made = self._modules[name] = ModuleType(name)
            made.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
            path = self._root.joinpath(*name.split(".")[1:]).with_suffix(".py")
            if path.exists():
                code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
                exec(code, made.__dict__)
        return self._modules[name]

    def _import(
        self, name: str, globals: Any = None, locals: Any = None, names: Any = (), level: int = 0
    ) -> Any:
        if level or not name.startswith(_COPIED):
            return builtins.__import__(name, globals, locals, names, level)
        package = self.module(name)
        for each in names or ():
            if not hasattr(package, each):
                setattr(package, each, self.module(f"{name}.{each}"))
        return package


def module(name: str) -> Any:
    """The private copy of one of Tracr's modules.

    Args:
        name: Below "tracr", as "craft.bases".
    """
    with _lock:
        return _copy().module(f"tracr.{name}")


@functools.cache
def _copy() -> Copy:
    """The one copy, its slow helpers replaced.

    Tracr joins linear maps a direction at a time, and its depths walk every path to a node: 2^n of
    them where n nodes are read twice. In its graph stand items (`planted.compiler.items`).
    """
    made = Copy()
    nodes = made.module("tracr.compiler.nodes")

    bases = made.module("tracr.craft.bases")
    linear = made.module("tracr.craft.vectorspace_fns").Linear

    def combine_in_parallel(cls: Any, functions: Any) -> Any:
        start = bases.join_vector_spaces(*(each.input_space for each in functions))
        end = bases.join_vector_spaces(*(each.output_space for each in functions))
        matrix = np.zeros((start.num_dims, end.num_dims))
        for each in functions:
            rows = [start.index_by_direction[direction] for direction in each.input_space.basis]
            columns = [end.index_by_direction[direction] for direction in each.output_space.basis]
            matrix[np.ix_(rows, columns)] += each.matrix
        return cls(start, end, matrix)

    def depths(graph: Any, sources: Any) -> dict[Any, int]:
        found = dict.fromkeys(graph.nodes, -1)
        found |= dict.fromkeys(sources, 0)
        waiting = {node: graph.in_degree(node) for node in graph.nodes}
        ready = [node for node, n in waiting.items() if n == 0]
        while ready:
            node = ready.pop()
            for reader in graph.successors(node):
                step = graph.nodes[reader][nodes.EXPR].op != "select"
                if found[node] >= 0:
                    found[reader] = max(found[reader], found[node] + step)
                waiting[reader] -= 1
                if not waiting[reader]:
                    ready.append(reader)
        return found

    linear.combine_in_parallel = classmethod(combine_in_parallel)
    made.module("tracr.compiler.craft_graph_to_model").compute_computational_depth = depths
    return made
