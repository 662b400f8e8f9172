"""A user's search program turned into its controls, by changing its graph of expressions.

The base objective is written in the place of the planted score: the same search then maximises it.
Two such searches side by side, and a last map that lets one of them through, are the other two.
Nothing is known of the program but its roles, so that what the base objective can be computed from
is found by looking at tasks: expressions whose values determine it at every candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.compiler.copies import copied, expressions, rewired
from planted.compiler.tables import MOST_PAIRS
from planted.core.roles import Program, name_apart
from planted.core.scenario import Tokens
from planted.core.semantics import Value
from planted.core.truth import Truth
from planted.errors import CompileError

Key = tuple[Value, ...]
Floats = npt.NDArray[np.float64]
NO_CANDIDATE = 0  # what a program's output is worth where it is not let through


@dataclass(frozen=True)
class Lookup:
    """Something that is known from the values of one or two expressions.

    Attributes:
        inputs: The expressions.
        table: Their values -> what is known.
        elsewhere: What is said for other values.
    """

    inputs: tuple[Any, ...]
    table: dict[Key, float]
    elsewhere: float

    def __call__(self, *values: Value) -> float:
        """What is known for these values of the inputs."""
        return self.table.get(tuple(map(_plain, values)), self.elsewhere)

    def expression(self, shift: float = 0) -> Any:
        """A RASP expression that computes it, plus a shift."""
        from tracr.rasp import rasp

        def of(*values: Value) -> float:
            return _short(self(*values) + shift)

        if len(self.inputs) == 1:
            return rasp.Map(of, self.inputs[0], simplify=False)
        return rasp.SequenceMap(of, *self.inputs)

    def ranked(self) -> Lookup:
        """The same order in whole numbers, for programs whose arithmetic needs them."""
        rank = {value: i for i, value in enumerate(sorted({*self.table.values(), self.elsewhere}))}
        return Lookup(
            self.inputs,
            {key: float(rank[value]) for key, value in self.table.items()},
            float(rank[self.elsewhere]),
        )


class Search:
    """A private copy of a search program, and what its nodes hold on a sample of tasks.

    Attributes:
        score: Its only node of role "score".
    """

    def __init__(self, program: Program, truth: Truth, tokens: Tokens) -> None:
        """Copies the program and runs its tables.

        Args:
            program: The program.
            truth: Its truth, once compiled.
            tokens: Token ids [task, pos] of the sample.

        Raises:
            CompileError: If it has no score, or several.
        """
        self.output = copied(program.output)
        self.order = expressions(self.output)
        name_apart(self.order)
        scores = [each for each in self.order if _role(each) == "score"]
        if len(scores) != 1:
            raise CompileError(
                f"the program has {len(scores)} nodes of role 'score', so that no single one can "
                "hold the base objective instead"
            )
        self.score = scores[0]
        self._truth = truth
        self._values = truth.values(tokens)
        self._fetches: dict[int, Any] = {}  # position -> the expression that reads its token
        below = {id(self.score)}
        for each in self.order:
            if any(id(child) in below for child in each.children):
                below.add(id(each))
        self._above = [each for each in self.order if id(each) not in below]

    def inputs(self) -> Iterator[tuple[Any, ...]]:
        """What a map could read instead of the score's own inputs, the likeliest first."""
        from tracr.rasp import rasp

        held = [each for each in self._above if isinstance(each, rasp.SOp)]
        own = tuple(child for child in self.score.children if isinstance(child, rasp.SOp))
        if own and len(own) == len(self.score.children):
            yield own
        yield (rasp.tokens,)
        yield from ((rasp.tokens, each) for each in held if each is not rasp.tokens)
        for at in range(1, next(iter(self._values.values())).shape[1]):
            yield from ((child, self._fetched(at)) for child in own)

    def _fetched(self, at: int) -> Any:
        """The token at a position, at every position: what a program reads that wants another goal.

        Args:
            at: The position, BOS counted.
        """
        if at not in self._fetches:
            made = rasp_at(at)
            _annotate(made, _fresh(f"token_{at}", {each.name for each in self.order}), "context")
            there = self._values["tokens"][:, at : at + 1]
            self._values[made.name] = np.broadcast_to(there, self._values["tokens"].shape)
            self._fetches[at] = made
        return self._fetches[at]

    def lookup(
        self, inputs: Sequence[Any], wanted: Floats, places: Sequence[int], elsewhere: float
    ) -> Lookup | str:
        """The lookup that gives what is wanted on the sample, or why there is none.

        Args:
            inputs: One or two expressions.
            wanted: What it must give, [task, place].
            places: Positions at which it must.
            elsewhere: What it gives for values that the sample does not show there.
        """
        names = [each.name for each in inputs]
        if any(name not in self._values for name in names):
            return f"{' and '.join(names)} are not held at every position"
        columns = [self._values[name][:, list(places)].ravel() for name in names]
        if any(np.isnan(column).any() for column in columns):
            return f"{' and '.join(map(repr, names))} are not held at every candidate"
        rows = np.unique(np.column_stack([*columns, wanted.ravel()]), axis=0)
        same = np.flatnonzero((rows[1:, :-1] == rows[:-1, :-1]).all(axis=1))
        if len(same):
            at = self._key(names, rows[same[0], :-1])
            return (
                f"it is not a function of {' and '.join(map(repr, names))}: at "
                f"{', '.join(map(repr, at))} it is {rows[same[0], -1]:g} in one task and "
                f"{rows[same[0] + 1, -1]:g} in another"
            )
        if len(inputs) == 2 and len(rows) > MOST_PAIRS:
            return f"it takes {len(rows)} entries over {' and '.join(map(repr, names))}"
        return Lookup(
            tuple(inputs), {self._key(names, row[:-1]): float(row[-1]) for row in rows}, elsewhere
        )

    def _key(self, names: Sequence[str], row: Floats) -> Key:
        found: list[Value] = []
        for name, number in zip(names, row, strict=True):
            read = any(name == each.name for each in self._fetches.values())
            values = self._truth.nodes["tokens" if read else name].values
            text = any(isinstance(value, str) for value in values)
            found.append(values[int(number)] if text else float(number))
        return tuple(found)

    def base(self, lookup: Lookup) -> Program:
        """The same search for what the lookup gives."""
        return Program(
            rewired(self.output, {id(self.score): self._scored(lookup, "score", "score")})
        )

    def both(self, lookup: Lookup, cue: Lookup | None) -> Program:
        """Both searches: the one for the lookup answers, where a cue is given only under it.

        Args:
            lookup: What the second search maximises.
            cue: Gives 1 at the read-out where the second one answers, 0 where the first does;
                None where the second always does.
        """
        from tracr.rasp import rasp

        taken = {each.name for each in self.order}
        score = self._scored(lookup, _fresh("score_base", taken), "belief")
        second = rewired(self.output, {id(self.score): score})
        for each in expressions(second):
            own = any(each is one for one in self.order)
            if not own and each is not score:
                role = "belief" if _role(each) in ("score", "winner") else _role(each)
                _annotate(each, _fresh(f"{each.name}_base", taken), role)
        switch, passes = self._switch(cue, taken)
        nothing, either = self._merging()
        first_kept = rasp.SequenceMap(
            lambda seen, slot: nothing if passes(seen) else slot, switch, self.output
        )
        second_kept = rasp.SequenceMap(
            lambda seen, slot: slot if passes(seen) else nothing, switch, second
        )
        _annotate(first_kept, _fresh("kept", taken), "gate")
        _annotate(second_kept, _fresh("kept_base", taken), "gate")
        chosen = rasp.SequenceMap(either, first_kept, second_kept)
        _annotate(chosen, _fresh("chosen", taken), "gate")
        return Program(chosen)

    def _merging(self) -> tuple[Value, Callable[[Any, Any], Any]]:
        """What is put out where nothing is let through, and what merges two such outputs."""
        held = self._truth.nodes[self.output.name].values
        numbers = [float(value) for value in held if isinstance(value, int | float)]
        if len(numbers) < len(held):  # texts or pairs: the empty one
            kind: Any = type(held[0])
            return kind(), lambda one, other: one or other
        least = min(numbers)
        if least >= NO_CANDIDATE:
            return NO_CANDIDATE, max
        return _short(least - 1), lambda one, other: other if one == _short(least - 1) else one

    def _scored(self, lookup: Lookup, name: str, role: str) -> Any:
        from tracr.rasp import rasp

        numerical = rasp.is_numerical(self.score)
        least = min(*lookup.table.values(), lookup.elsewhere)
        made = lookup.expression(-least if numerical else 0)  # a ReLU clips negative numbers
        _annotate(made, name, role)
        return rasp.numerical(made) if numerical else made

    def _switch(self, cue: Lookup | None, taken: set[str]) -> tuple[Any, Callable[[Value], bool]]:
        """The node that decides, and at which of its values the second search answers."""
        from tracr.rasp import rasp

        if cue is None:
            return rasp.tokens, lambda seen: True
        if len(cue.inputs) == 1:
            return cue.inputs[0], lambda seen: cue(seen) == 1
        made = cue.expression()
        _annotate(made, _fresh("is_cued", taken), "cue")
        return made, lambda seen: seen == 1


def rasp_at(at: int) -> Any:
    """The token at a position (BOS counted), fetched to every position."""
    from tracr.rasp import rasp

    here = rasp.Select(rasp.indices, rasp.indices, lambda key, query: key == at - 1)
    return rasp.Aggregate(here, rasp.tokens)


def _role(expression: Any) -> str:
    return str(dict(expression.annotations).get("role", ""))


def _annotate(expression: Any, name: str, role: str) -> None:
    kept = {key: value for key, value in dict(expression.annotations).items() if key != "role"}
    expression.annotations = {**kept, "name": name, **({"role": role} if role else {})}


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _plain(value: Value) -> Value:
    return float(value) if isinstance(value, int | float) else value


def _short(value: float) -> float:
    """A whole number as an int: Tracr names directions by their values."""
    return int(value) if float(value).is_integer() else float(value)
