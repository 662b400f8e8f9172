"""What a score reads: the state that a menu's context comes to, and candidates in it."""

from __future__ import annotations

from typing import Any

from planted.core.roles import mark
from planted.errors import PlantedError
from planted.programs import rasp_library
from planted.programs.menu import Menu, Objective
from planted.programs.tasks import CUES

MOST_NEURONS = 1100  # of one SequenceMap: past it a table is no small transformer any more


class State:
    """The node that holds a menu's state at every position.

    Attributes:
        node: The expression; None where there is one state only.
        codes: The values it takes for a state, each once.
        states: The state of each code.
        cue: The node that fetched the cue, if one did.
    """

    def __init__(self, node: Any, states: dict[Any, Any], cue: Any = None) -> None:
        self.node, self.cue = node, cue
        self.codes, self.states = list(states), list(states.values())
        self._by_code = states

    def of(self, code: Any) -> Any:
        """The state that a code stands for."""
        return self._by_code[code]


def state_of(menu: Menu) -> State:
    """Fetches the context's tokens (and the cue, where it matters) and combines them.

    Long because it is one RASP program, read from the tokens at the top to the state at the end.

    Raises:
        PlantedError: If there are too many combinations.
    """
    from tracr.rasp import rasp

    if len(menu.states()) == 1:
        return State(None, {})
    # what always stands there says nothing
    telling = [i for i, context in enumerate(menu.contexts) if len(context.words) > 1]
    constant = [context.words[0] for context in menu.contexts]
    sources = [(c.words, c.name, c.role) for c in (menu.contexts[i] for i in telling)]
    reads_cue = any(
        menu.state(words, CUES[0]) != menu.state(words, CUES[1]) for words, _ in menu.settings()
    )
    if reads_cue:
        sources.append((CUES, "cue", "cue"))
    fetched = [rasp_library.fetch(*source) for source in sources]
    cue = fetched[-1] if reads_cue else None

    def comes_to(words: tuple[str, ...]) -> Any:
        behind = dict(enumerate(constant)) | dict(zip(telling, words, strict=False))
        return menu.state(tuple(behind.values()), words[-1] if reads_cue else CUES[0])

    held = fetched[0]
    prefixes: dict[Any, tuple[str, ...]] = {word: (word,) for word in sources[0][0]}
    for number, (words, name, _) in enumerate(sources[1:], start=1):
        last = number == len(sources) - 1
        longer = [(*prefix, word) for prefix in prefixes.values() for word in words]
        if len(longer) > MOST_NEURONS:
            raise PlantedError(
                f"The context of {menu.name!r} has {len(longer)} combinations and more, past the "
                f"{MOST_NEURONS} that one node may tell apart. Take fewer contexts or words."
            )
        if last:
            kinds = list(dict.fromkeys(comes_to(words) for words in longer))
            code_of = {words: kinds.index(comes_to(words)) for words in longer}
        else:
            code_of = {words: at for at, words in enumerate(longer)}

        def combine(
            so_far: Any, word: str, prefixes: Any = prefixes, code_of: Any = code_of
        ) -> int:
            return code_of.get((*prefixes[so_far], word), -1) if so_far in prefixes else -1

        made = rasp.SequenceMap(combine, held, fetched[number])
        held = mark(made, "state" if last else f"with_{name}", "context")
        prefixes = {code: words for words, code in code_of.items()}
    kinds = list(dict.fromkeys(map(comes_to, prefixes.values())))
    if len(kinds) < len(prefixes):  # one source, several of whose words come to the same
        number_of = {code: kinds.index(comes_to(words)) for code, words in prefixes.items()}
        held = rasp.Map(lambda code: number_of.get(code, -1), held, simplify=False)
        return State(mark(held, "state", "context"), dict(enumerate(kinds)), cue)
    return State(held, {code: comes_to(words) for code, words in prefixes.items()}, cue)


def scores_of(
    menu: Menu,
    objective: Objective,
    state: State,
    name: str = "score",
    role: str = "score",
) -> Any:
    """A score for every token: below every candidate's for what is none."""
    from tracr.rasp import rasp

    words, lowest = frozenset(menu.words), _plain(menu.values(objective)[0] - 1)
    if state.node is None:
        at = menu.states()[0]
        return rasp_library.score(
            lambda word: _plain(objective.value(word, at)) if word in words else lowest, name, role
        )
    known = frozenset(state.codes)

    def value(code: Any, word: str) -> float:
        if word not in words or code not in known:
            return lowest
        return _plain(objective.value(word, state.of(code)))

    return mark(rasp.SequenceMap(value, state.node, rasp.tokens), name, role)


def _plain(value: float) -> float:
    """A whole number as an int: Tracr names directions by their values."""
    return int(value) if float(value).is_integer() else float(value)
