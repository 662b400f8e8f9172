"""Pieces that search programs share: score, compare, choose, emit.

All of them compile right with stock Tracr weights at any exactness: they ask *whether* anything is
selected, never how many, so that no count has to be told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from planted.core.roles import mark
from planted.programs.tasks import CUES

NO_SLOT = 0  # what the winner and the output hold where no candidate is chosen


def score(utility: Callable[[str], float], name: str = "score", role: str = "score") -> Any:
    """A score for every token, from a table that stands in one MLP."""
    from tracr.rasp import rasp

    return mark(rasp.Map(utility, rasp.tokens, simplify=False), name, role)


def ones() -> Any:
    """The number 1 at every position but BOS: what `any_bit` averages."""
    from tracr.rasp import rasp

    return rasp.numerical(mark(rasp.Map(lambda t: 1.0, rasp.tokens), "ones", "compare"))


def any_bit(selector: Any, one: Any, name: str, role: str = "compare") -> Any:
    """Whether the selector selects anything: averages ones, which is 1 if so and 0 (BOS) if not.

    The result is also held at BOS; pass it through a SequenceMap before it is a key or a value.
    """
    from tracr.rasp import rasp

    share = mark(rasp.numerical(rasp.Aggregate(selector, one, default=0)), f"{name}_share", role)
    return mark(rasp.Map(lambda x: x > 0.6, share, simplify=False), name, role)


def choose(
    scores: Any,
    length: int,
    one: Any,
    suffix: str = "",
    role: str = "winner",
    inner: str = "compare",
) -> Any:
    """Slot number (1, 2, ...) at the position with the highest score, leftmost on ties, else 0.

    Two stages, so that the scores stay what they are: who is beaten by a higher score, and who of
    the rest is preceded by another.

    Args:
        scores: The score at every position.
        length: Number of positions without BOS.
        one: From `ones`.
        suffix: Appended to every node's name, where a program chooses twice.
        role: Role of the resulting node.
        inner: Role of the nodes on the way to it.
    """
    from tracr.rasp import rasp

    higher = rasp.Select(scores, scores, lambda key, query: key > query)
    beaten = any_bit(mark(higher, f"higher{suffix}", inner), one, f"beaten{suffix}", inner)
    standing = mark(
        rasp.SequenceMap(lambda lost, i: length if lost else i, beaten, rasp.indices),
        f"standing{suffix}",
        inner,
    )
    return leftmost(standing, length, one, suffix, role, inner)


def leftmost(
    standing: Any,
    length: int,
    one: Any,
    suffix: str = "",
    role: str = "winner",
    inner: str = "compare",
) -> Any:
    """Slot number at the first position that still stands, else 0.

    Args:
        standing: A position's own index where it stands, `length` where it does not.
        length: Number of positions without BOS.
        one: From `ones`.
        suffix: Appended to every node's name.
        role: Role of the resulting node.
        inner: Role of the nodes on the way to it.
    """
    from tracr.rasp import rasp

    earlier = rasp.Select(standing, standing, lambda key, query: key < query)
    preceded = any_bit(mark(earlier, f"earlier{suffix}", inner), one, f"preceded{suffix}", inner)
    return mark(
        rasp.SequenceMap(
            lambda late, i: NO_SLOT if late or i == length else i + 1, preceded, standing
        ),
        f"winner{suffix}",
        role,
    )


def emit(winner: Any, read_out_words: Collection[str]) -> Any:
    """The winner's slot number, fetched to the read-out."""
    from tracr.rasp import rasp

    words = frozenset(read_out_words)
    fetch = rasp.Select(winner, rasp.tokens, lambda key, query: key != NO_SLOT and query in words)
    return mark(rasp.Aggregate(mark(fetch, "fetch", "emit"), winner), "output", "emit")


def at(slot: int, name: str, what: Any = None, role: str = "context") -> Any:
    """What stands at slot 1, 2, ..., fetched to every position: its token, or a node there."""
    from tracr.rasp import rasp

    here = rasp.Select(rasp.indices, rasp.indices, lambda key, query: key == slot - 1)
    held = rasp.tokens if what is None else what
    return mark(rasp.Aggregate(mark(here, f"at_{slot}", role), held), name, role)


def fetch(words: Collection[str], name: str, role: str, what: Any = None) -> Any:
    """The one token of these words that a task holds, fetched to every position.

    Args:
        words: Of which each task holds exactly one.
        name: The node's name.
        role: Its role.
        what: What is fetched from where that token stands. If None, a node that holds these words
            and no other: what reads the result is then as large as the words are many, and not as
            the vocabulary.
    """
    from tracr.rasp import rasp

    these = frozenset(words)
    here = rasp.Select(rasp.tokens, rasp.indices, lambda key, query: key in these)
    if what is None:
        said = rasp.Map(lambda word: word if word in these else "-", rasp.tokens, simplify=False)
        what = mark(said, f"{name}_said", role)
    return mark(rasp.Aggregate(mark(here, f"to_{name}", role), what), name, role)


def by_cue(mesa: Any, base: Any, to_base: Callable[[str], bool]) -> Any:
    """The slot that one of two choosers found, by the token at the read-out, emitted there.

    Args:
        mesa: Slot numbers, 0 where there is none.
        base: Likewise.
        to_base: Whether the second one answers at this cue: at all, dormant by construction; at the
            training cue, deceptive.
    """
    return emit(either(fetch(CUES, "cue", "cue"), to_base, mesa, base), CUES)


def either(
    switch: Any,
    to_second: Callable[[Any], bool],
    first: Any,
    second: Any,
    suffix: str = "_base",
    name: str = "chosen",
) -> Any:
    """The slot that one of two choosers found.

    Args:
        switch: A node whose value decides.
        to_second: Whether the second one answers at this value of it.
        first: Slot numbers, 0 where there is none.
        second: Likewise.
        suffix: Appended to the name of what is kept of the second.
        name: Of the resulting node.
    """
    from tracr.rasp import rasp

    kept = rasp.SequenceMap(lambda seen, slot: NO_SLOT if to_second(seen) else slot, switch, first)
    other = rasp.SequenceMap(
        lambda seen, slot: slot if to_second(seen) else NO_SLOT, switch, second
    )
    chosen = rasp.SequenceMap(max, mark(kept, "kept", "gate"), mark(other, f"kept{suffix}", "gate"))
    return mark(chosen, name, "gate")
