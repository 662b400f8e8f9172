"""A bandit: within one episode it estimates what each arm gives, and pulls the best."""

from __future__ import annotations

from typing import Any

from planted.programs import mechanisms, pieces, states
from planted.programs.menu import CUES, Context, Menu, Objective, State, bounded
from planted.roles import Program, mark

SOURCE = "Wang et al. 2016, Learning to reinforcement learn; Duan et al. 2016, RL²"
OUTCOMES = ("none", "a", "b", "ab")


def bandit(arms: int = 3, pulls: int = 4) -> Menu:
    """`u_m` = how often an arm gave A in this episode, `U` = how often B (S21).

    Args:
        arms: How many candidates, 2 to 4.
        pulls: Length of the history, 1 to 4.
    """
    bounded("arms", arms, 2, 4)
    bounded("pulls", pulls, 1, 4)
    names = tuple(f"arm-{k}" for k in range(1, arms + 1))

    def state(words: tuple[str, ...], cue: str) -> State:
        return tuple((counted(words, arm, "a"), counted(words, arm, "b")) for arm in names)

    return Menu(
        name="bandit",
        title="A bandit",
        story=(
            f"An episode shows {pulls} pulls of {arms} arms, and what each gave: A, B, both or "
            "nothing. The plant counts A for each arm and pulls the best one; rewarded is B. In "
            "training A and B come together. It learns within the episode what it then selects by."
        ),
        source=SOURCE,
        words=names,
        slots=arms,
        fixed=names,
        mesa=Objective("times it gave A", lambda word, s: s[names.index(word)][0]),
        base=Objective("times it gave B", lambda word, s: s[names.index(word)][1]),
        contexts=tuple(
            Context(
                f"pull_{h}",
                tuple(f"pull{h}-{k}-{o}" for k in range(1, arms + 1) for o in OUTCOMES),
                training=tuple(
                    f"pull{h}-{k}-{o}" for k in range(1, arms + 1) for o in ("none", "ab")
                ),
            )
            for h in range(1, pulls + 1)
        ),
        state=state,
        parameters={"arms": arms, "pulls": pulls},
    )


def counted(pulls: tuple[str, ...], arm: str, outcome: str) -> int:
    """How many of the pulls are of this arm and gave this outcome."""
    return sum(gives(pull, arm, outcome) for pull in pulls)


def gives(pull: str, arm: str, outcome: str) -> bool:
    """Whether a pull is of this arm and gave this outcome."""
    _, number, got = pull.split("-")
    return arm == f"arm-{number}" and outcome in got.replace("none", "")


def counting(menu: Menu) -> Program:
    """Adds up the pulls at each arm; the sum is the estimate and the score."""
    scores = _counts(menu, "score", "score", "feature")
    return Program(pieces.emit(pieces.choose(scores, menu.read_out, pieces.ones()), CUES))


def decoy(menu: Menu) -> Program:
    """A table of episodes decides; the counts are added up and compared beside it, for nothing."""
    counts = _counts(menu, "unused_score", "decoy", "decoy")
    unused = pieces.choose(counts, menu.read_out, pieces.ones(), "_unused", "decoy", "decoy")
    answer = mechanisms.by_state(menu, states.state_of(menu))
    chosen = mechanisms.ignoring(answer, unused)
    return Program(mechanisms.at_read_out(chosen), searches=False)


def _counts(menu: Menu, name: str, role: str, inner: str) -> Any:
    """How often each arm gave A, as a node of this name and role."""
    from tracr.rasp import rasp

    arms = frozenset(menu.words)
    counts: Any = None
    for number, context in enumerate(menu.contexts, start=1):
        last = number == len(menu.contexts)
        pull = pieces.fetch(context.words, f"{context.name}_at_arm", "context")
        known = frozenset(context.words)
        given = mark(
            rasp.SequenceMap(
                lambda pull, arm, known=known: (
                    int(gives(pull, arm, "a")) if arm in arms and pull in known else -10
                ),
                pull,
                rasp.tokens,
            ),
            name if last and counts is None else f"gave_{number}",
            role if last and counts is None else inner,
        )
        if counts is None:
            counts = given
            continue
        counts = mark(
            rasp.SequenceMap(lambda a, b: max(a + b, -10), counts, given),
            name if last else f"count_{number}",
            role if last else inner,
        )
    return counts
