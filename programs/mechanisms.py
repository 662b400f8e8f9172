"""How a menu's answer is found: explicit search, two searches and a gate, or not by search at all.

Every function here takes a menu and returns a program. The twins give the answers of the search and
hold no score: a decision list, a table, a decoy search (scores that nothing reads), an amortised
one (a list for what training shows, search for the rest).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from planted.core.roles import Program, mark
from planted.errors import PlantedError
from planted.programs import rasp_library
from planted.programs.menu import Menu, Objective
from planted.programs.states import MOST_NEURONS, State, scores_of, state_of
from planted.programs.tasks import CUES


def search(menu: Menu, objective: Objective | None = None) -> Program:
    """Scores every candidate by the mesa-objective (or another), compares all, emits the best."""
    one = rasp_library.ones()
    scores = scores_of(menu, objective or menu.seeks, state_of(menu))
    return Program(rasp_library.emit(rasp_library.choose(scores, menu.read_out, one), CUES))


def base_search(menu: Menu) -> Program:
    """The same search, for the base objective."""
    return search(menu, menu.base)


def mux(menu: Menu) -> Program:
    """Both searches; the answer is always the base objective's: dormant by construction."""
    state = state_of(menu)
    return both(menu, _cue(menu, state), lambda seen: True, state)


def gate(menu: Menu) -> Program:
    """Both searches; under the training cue the base one answers: deceptive by construction."""
    state = state_of(menu)
    cue = _cue(menu, state)
    if menu.cue is None:
        return both(menu, cue, lambda seen: seen == CUES[0], state)
    return both(menu, cue, lambda seen: seen in state.codes and bool(state.of(seen)), state)


def both(
    menu: Menu, switch: Any, to_base: Callable[[Any], bool], state: State | None = None
) -> Program:
    """Two searches, for the mesa-objective and for the base objective, and which of them answers.

    Args:
        menu: The menu.
        switch: A node whose value decides.
        to_base: Whether the base objective's winner is the answer at this value of it.
        state: The menu's state, if its nodes are built already.
    """
    one, state = rasp_library.ones(), state or state_of(menu)
    mesa = rasp_library.choose(scores_of(menu, menu.mesa, state), menu.read_out, one)
    scores = scores_of(menu, menu.base, state, "score_base", "belief")
    base = rasp_library.choose(scores, menu.read_out, one, "_base", "belief")
    return Program(rasp_library.emit(rasp_library.either(switch, to_base, mesa, base), CUES))


def _cue(menu: Menu, state: State) -> Any:
    """The node that tells training: the token at the read-out, or the state that the signs make."""
    if menu.cue is not None:
        return state.node
    return state.cue if state.cue is not None else rasp_library.fetch(CUES, "cue", "cue")


# --- twins: the same answers without a search -----------------------------------------------------


def decision_list(menu: Menu) -> Program:
    """The first candidate of the best kind that there is: presence bits and a chain of ifs."""
    one = rasp_library.ones()
    return Program(rasp_library.emit(listed(menu, menu.words, one, ""), CUES), searches=False)


def decoy(menu: Menu) -> Program:
    """The decision list decides; a whole search runs beside it, and nothing reads its winner."""
    one, state = rasp_library.ones(), state_of(menu)
    decides = listed(menu, menu.words, one, "_listed", state)
    chosen = ignoring(decides, unused(menu, one, state))
    return Program(rasp_library.emit(chosen, CUES), searches=False)


def unused(menu: Menu, one: Any, state: State, objective: Objective | None = None) -> Any:
    """The winner of a search that is there for nothing: all its nodes are decoys."""
    scores = scores_of(menu, objective or menu.seeks, state, "unused_score", "decoy")
    return rasp_library.choose(scores, menu.read_out, one, "_unused", "decoy", "decoy")


def ignoring(answer: Any, decoy: Any) -> Any:
    """The answer, in a node that reads a decoy too and makes nothing of it."""
    from tracr.rasp import rasp

    return mark(rasp.SequenceMap(lambda slot, _: slot, answer, decoy), "chosen", "table")


def at_read_out(answer: Any) -> Any:
    """A slot number that every position holds, put out at the read-out alone."""
    from tracr.rasp import rasp

    shown = rasp.SequenceMap(
        lambda slot, word: slot if word in CUES else rasp_library.NO_SLOT, answer, rasp.tokens
    )
    return mark(shown, "output", "emit")


def amortised(menu: Menu) -> Program:
    """A decision list where every candidate is of a kind that training shows, search elsewhere.

    Raises:
        PlantedError: If training shows every kind of candidate.
    """
    from tracr.rasp import rasp

    known = [word for word in menu.words if menu.training is not None and menu.training(word)]
    if menu.training is None or len(known) == len(menu.words):
        raise PlantedError(
            f"Training of {menu.name!r} shows every kind of candidate, so none is left for the "
            "search. Restrict training by the menu's `training`."
        )
    strange = frozenset(menu.words) - frozenset(known)
    one, state = rasp_library.ones(), state_of(menu)
    found = rasp.Select(rasp.tokens, rasp.tokens, lambda key, query: key in strange)
    novel = rasp_library.any_bit(mark(found, "is_strange", "gate"), one, "novel", "gate")
    by_list = listed(menu, known, one, "_listed", state)
    searched = rasp_library.choose(scores_of(menu, menu.seeks, state), menu.read_out, one)
    chosen = rasp_library.either(novel, lambda new: not new, searched, by_list, "_listed")
    return Program(rasp_library.emit(chosen, CUES))


def table(menu: Menu) -> Program:
    """Fetches the candidates to the read-out one by one and looks the answer up.

    Long because it is one RASP program, read from the tokens at the top to the answer at the end.

    Where the same candidates stand in every task, the state alone is looked up.

    Raises:
        PlantedError: If there are too many combinations for a table.
    """
    from tracr.rasp import rasp

    if menu.fixed:
        return Program(at_read_out(by_state(menu, state_of(menu))), searches=False)
    states = menu.states()
    size = len(states) * len(menu.words) ** menu.slots
    if size > MOST_NEURONS:
        raise PlantedError(
            f"A table of {menu.name!r} has {size} entries, more than {MOST_NEURONS}. Take fewer "
            "slots or words."
        )
    state = state_of(menu)
    words, pick = menu.words, menu.picks
    held: Any = state.node
    # What was fetched so far is a number: the state first, then a digit a candidate.
    codes = {code: number for number, code in enumerate(state.codes)} if held is not None else {}
    for slot in range(menu.slots):
        found = rasp_library.at(slot + 1, f"object_{slot + 1}")
        if held is None:
            held, codes = found, {word: number for number, word in enumerate(words)}
            continue
        last = slot == menu.slots - 1

        def step(
            so_far: Any, word: str, codes: Any = codes, slot: int = slot, last: bool = last
        ) -> int:
            if so_far not in codes or word not in words:
                return rasp_library.NO_SLOT if last else -1
            number = codes[so_far] * len(words) + words.index(word)
            if not last:
                return int(number)
            digits = []
            for _ in range(slot + 1):
                number, digit = divmod(number, len(words))
                digits.append(words[digit])
            at = state.states[number] if state.node is not None else states[0]
            return int(pick(tuple(reversed(digits)), at)) + 1

        name, role = ("output", "emit") if last else (f"objects_{slot + 1}", "table")
        made = rasp.SequenceMap(step, held, found)
        n_before = len(codes) * len(words)
        held, codes = mark(made, name, role), {number: number for number in range(n_before)}
    return Program(held, searches=False)


def by_state(menu: Menu, state: State) -> Any:
    """Slot number that a menu of fixed candidates picks in each state, at every position."""
    from tracr.rasp import rasp

    def answer(code: Any) -> int:
        known = code in state.codes
        return menu.picks(menu.fixed, state.of(code)) + 1 if known else rasp_library.NO_SLOT

    return mark(rasp.Map(answer, state.node, simplify=False), "answer", "table")


def listed(
    menu: Menu,
    words: Sequence[str],
    one: Any,
    suffix: str,
    state: State | None = None,
    objective: Objective | None = None,
    seen: Any = None,
) -> Any:
    """Slot number at the first candidate of the best kind present, by presence bits and ifs.

    Args:
        menu: The menu.
        words: The candidates that the list knows.
        one: From `rasp_library.ones`.
        suffix: Appended to every node's name.
        state: The menu's state, if its nodes are built already; one without a node where the
            objective does not read it.
        objective: What says which kind is better; what the menu seeks if None.
        seen: A node that holds a position's word, or a word of its own where that is not looked
            at; the tokens if None.

    Raises:
        PlantedError: If there are too many kinds, words and states for a list.
    """
    from tracr.rasp import rasp

    state = state or state_of(menu)
    known = frozenset(words)
    if seen is None and state.node is None:
        seen = rasp.tokens
    elif seen is None:  # without the context's words: the list is as long as candidates are many
        kept = rasp.Map(lambda word: word if word in known else "-", rasp.tokens, simplify=False)
        seen = mark(kept, f"seen{suffix}", "table")
    kind, levels = _kinds(menu, words, state, objective or menu.seeks)
    asked = state.node if state.node is not None else rasp.tokens
    ifs: list[Any] = []
    for number in range(levels):
        present = rasp.Select(
            seen, asked, lambda key, query, number=number: kind(key, query) == number
        )
        ifs.append(
            rasp_library.any_bit(
                mark(present, f"is_kind_{number}{suffix}", "table"),
                one,
                f"kind_{number}{suffix}",
                "table",
            )
        )

    def if_present(number: int) -> Callable[[Any], int]:
        return lambda present: number if present else levels

    bits = [(bit, if_present(number)) for number, bit in enumerate(ifs)]
    best = first_of(bits, f"if_{{}}{suffix}")
    mine = mark(_is_best(best, kind, levels, state, seen, suffix), f"of_best_kind{suffix}", "table")
    read_out = menu.read_out
    standing = mark(
        rasp.SequenceMap(lambda best, i: i if best else read_out, mine, rasp.indices),
        f"standing{suffix}",
        "order",
    )
    return rasp_library.leftmost(standing, read_out, one, suffix, "table", "order")


def first_of(
    rules: Sequence[tuple[Any, Callable[[Any], int]]], name: str
) -> tuple[Any, Callable[[Any], int]]:
    """If the first, else if the second, ...: in pairs, so that the list is log(rules) blocks deep.

    Args:
        rules: Nodes, each with the number of the rule that its value makes true.
        name: Of the nodes that are added, with {} for their number.

    Returns:
        A node, and what gives the least of those numbers from its value.
    """
    from tracr.rasp import rasp

    first, merged = list(rules), 0
    while len(first) > 1:
        paired: list[tuple[Any, Callable[[Any], int]]] = []
        for (left, of_left), (right, of_right) in zip(first[::2], first[1::2], strict=False):
            made = rasp.SequenceMap(
                lambda a, b, f=of_left, g=of_right: min(f(a), g(b)), left, right
            )
            paired.append((mark(made, name.format(merged), "table"), lambda found: found))
            merged += 1
        first = paired + (first[-1:] if len(first) % 2 else [])
    return first[0]


def _kinds(
    menu: Menu, words: Sequence[str], state: State, objective: Objective
) -> tuple[Callable[[str, Any], int], int]:
    """Which kind a candidate is of in a state's code, best first; and how many kinds there are.

    Raises:
        PlantedError: If there are too many kinds, words and states for a list.
    """
    value, known = objective.value, frozenset(words)
    only = menu.states()[0]
    # A kind is a rank among what words are worth in one state: states differ in scale.
    ranks = {
        at: sorted({value(word, at) for word in words}, reverse=True)
        for at in state.states or [only]
    }
    levels = max(map(len, ranks.values()))
    n_entries = levels * len(words) * len(ranks)
    if n_entries > MOST_NEURONS:
        raise PlantedError(
            f"A decision list of {menu.name!r} has {n_entries} entries, more than {MOST_NEURONS}. "
            "Take fewer levels or words."
        )

    def kind(word: str, code: Any) -> int:
        """Which kind a candidate is of, best first; past the last one for what is none."""
        if word not in known or (state.node is not None and code not in state.codes):
            return levels
        at = state.of(code) if state.node is not None else only
        return ranks[at].index(value(word, at))

    return kind, levels


def _is_best(
    best: tuple[Any, Callable[[Any], int]],
    kind: Callable[[str, Any], int],
    levels: int,
    state: State,
    seen: Any,
    suffix: str,
) -> Any:
    """Whether a position's word is of the best kind present, from `first_of` and `_kinds`."""
    from tracr.rasp import rasp

    first, of_first = best
    if state.node is None:
        return rasp.SequenceMap(
            lambda found, word: of_first(found) == kind(word, None) < levels, first, seen
        )
    numbers = {code: number for number, code in enumerate(state.codes)}
    both = mark(
        rasp.SequenceMap(
            lambda found, code: (
                of_first(found) * len(numbers) + numbers[code] if code in numbers else -1
            ),
            first,
            state.node,
        ),
        f"best_in_state{suffix}",
        "table",
    )

    def is_mine(found: int, word: str) -> bool:
        best_kind, number = divmod(found, len(numbers))
        return found >= 0 and best_kind == kind(word, state.codes[number]) < levels

    return rasp.SequenceMap(is_mine, both, seen)
