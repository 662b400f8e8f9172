"""Random programs in RASP, right and wrong ones, and what must hold of each: right, or refused.

A program is drawn as a plan: steps of plain data and plain functions. The plan is built into RASP
expressions, and it is run by a plain evaluator that knows nothing of RASP, tables or weights. Plans
hold on purpose what stock Tracr compiles wrong, or not at all.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import msgspec
import numpy as np

from planted.compiler.compile import EXACT, Compiled, compile_expression, compile_program
from planted.compiler.copies import copied, expressions
from planted.compiler.expressions import verify
from planted.core.roles import Program, mark, name_apart
from planted.errors import CertificateError, CompileError
from planted.network.forward import forward
from tests import helpers

CLOSE = 0.1  # of a code: what still reads as that value, or as nothing
MOST_TASKS = 48


@dataclass(frozen=True)
class Step:
    """One expression.

    Attributes:
        op: "map", "pair" (SequenceMap), "linear", "select", "aggregate", "width", "full", "copy"
            (of the tokens), "length", "both", "either" (of two selectors), "not" (of one).
        name: Its name; none is given if empty.
        inputs: Numbers of earlier steps; -1 is the tokens, -2 the indices. Keys before queries.
        function: Of a map, a pair or a select; the two factors of a linear one; what fills a full.
        numerical: Its encoding.
        simplify: Of a map.
        default: Of an aggregate.
        role: Its role, if any.
    """

    op: str
    name: str
    inputs: tuple[int, ...] = ()
    function: Any = None
    numerical: bool = False
    simplify: bool = False
    default: Any = None
    role: str = ""


@dataclass
class Plan:
    """A program.

    Attributes:
        vocabulary: Tokens, BOS first.
        length: Tokens of a task.
        steps: The last one is the output.
        exactness: To compile it with; the program's own choice if None.
        causal: Whether a position attends to itself and earlier ones alone.
        n_choices: Of a search program, its candidates; 0 where any expression is compiled.
        answer: What a search program must choose, from the task alone, where that is known.
        tasks: Token strings.
        suffix: Appended to the names of the steps that are added.
    """

    vocabulary: tuple[str, ...]
    length: int
    steps: list[Step] = field(default_factory=list)
    exactness: float | None = None
    causal: bool = False
    n_choices: int = 0
    answer: Callable[[Sequence[str]], int] | None = None
    tasks: list[tuple[str, ...]] = field(default_factory=list)
    suffix: str = ""

    def add(self, op: str, name: str, inputs: Sequence[int] = (), **other: Any) -> int:
        self.steps.append(Step(op, name + self.suffix, tuple(inputs), **other))
        return len(self.steps) - 1


# --- a plan as RASP, and run in plain Python ---


SELECTORS = ("select", "both", "either", "not")


def build(plan: Plan) -> list[Any]:
    """Fresh expressions, one a step."""
    from tracr.rasp import rasp

    made: list[Any] = []
    here = {-1: rasp.tokens, -2: rasp.indices}
    for step in plan.steps:
        read = [here[i] if i < 0 else made[i] for i in step.inputs]
        if step.op == "map":
            new = rasp.Map(step.function, read[0], simplify=step.simplify)
        elif step.op == "pair":
            new = rasp.SequenceMap(step.function, *read)
        elif step.op == "linear":
            new = rasp.LinearSequenceMap(*read, *step.function)
        elif step.op == "select":
            new = rasp.Select(*read, step.function)
        elif step.op in ("both", "either", "not"):  # as `&`, `|`, `~` do where nothing simplifies
            joined = {"both": rasp.SelectorAnd, "either": rasp.SelectorOr, "not": rasp.SelectorNot}
            new = joined[step.op](*read)
        elif step.op == "length":
            new = rasp.length
        elif step.op == "aggregate":
            new = rasp.Aggregate(*read, default=step.default)
        elif step.op == "width":
            new = rasp.SelectorWidth(read[0])
        elif step.op == "full":
            new = rasp.Full(step.function)
        else:
            new = rasp.tokens.named(step.name)
        if step.role:
            mark(new, step.name, step.role)
        elif step.name and new is not rasp.length:
            new.annotations = {**dict(new.annotations), "name": step.name}
        made.append(rasp.numerical(new) if step.numerical else new)
    return made


def ancestors(plan: Plan) -> set[int]:
    """The steps that the last one reads, and itself."""
    found, queue = set(), [len(plan.steps) - 1]
    while queue:
        number = queue.pop()
        if number >= 0 and number not in found:
            found.add(number)
            queue.extend(plan.steps[number].inputs)
    return found


class UndefinedError(Exception):
    """RASP itself has no value here, as the mean of two words."""


def run(plan: Plan, task: Sequence[str]) -> list[list[Any]]:
    """What each step holds at each position, None where nothing; a select, its keys by query."""
    made: list[list[Any]] = []
    n, needed = len(task), ancestors(plan)
    absent: dict[int, list[bool]] = {}  # of each map: where it reads nothing
    for number, step in enumerate(plan.steps):
        if number not in needed:
            made.append([])
            continue
        known = {-1: list(task), -2: list(range(n))}
        read = [known[i] if i < 0 else made[i] for i in step.inputs]
        f = step.function
        if step.op == "map":
            # Tracr makes one map of a map that is simplified and the map it reads: the function is
            # then given None where the inner function gives it, not where there is nothing to read.
            inner = step.inputs[0]
            folded = step.simplify and inner in absent
            absent[number] = absent[inner] if folded else [x is None for x in read[0]]
            new = [None if a else f(x) for a, x in zip(absent[number], read[0], strict=True)]
        elif step.op == "pair":
            new = [None if x is None or y is None else f(x, y) for x, y in zip(*read, strict=True)]
        elif step.op == "linear":
            new = [
                None if x is None or y is None else f[0] * x + f[1] * y
                for x, y in zip(*read, strict=True)
            ]
        elif step.op == "select":
            keys, queries = read
            new = [[k for k in range(n) if f(keys[k], queries[q])] for q in range(n)]
        elif step.op == "both":
            new = [sorted(set(a) & set(b)) for a, b in zip(*read, strict=True)]
        elif step.op == "either":
            new = [sorted(set(a) | set(b)) for a, b in zip(*read, strict=True)]
        elif step.op == "not":
            new = [sorted(set(range(n)) - set(a)) for a in read[0]]
        elif step.op == "length":
            new = [n] * n
        elif step.op == "width":
            new = [len(row) for row in read[0]]
        elif step.op == "aggregate":
            new = [_mean([read[1][k] for k in row], step.default) for row in read[0]]
        elif step.op == "full":
            new = [f] * n
        else:
            new = list(task)
        if plan.causal and step.op in SELECTORS:
            new = [[k for k in row if k <= q] for q, row in enumerate(new)]
        made.append(new)
    return made


def _mean(values: list[Any], default: Any) -> Any:
    if len(values) < 2:
        return values[0] if values else default
    if any(value is None or isinstance(value, str) for value in values):
        raise UndefinedError(values)
    return sum(values) / len(values)


# --- what must hold of a plan ---


class WrongError(AssertionError):
    """A program that compiled to something else than it says, or was refused by no typed error."""


@dataclass(frozen=True)
class Outcome:
    """What became of a program: compiled right, or refused, when, and by which of the reasons.

    `searched`: its choice was also that of a search in plain Python, on every task.
    """

    compiled: bool
    stage: str = ""
    reason: str = ""
    message: str = ""
    searched: bool = False


OF_THE_WHOLE = ("the output cannot choose every candidate", "roles missing", "RASP has no value")
NO_PROGRAM = (  # refused because the program itself has no answer: no compiler could have one
    "the output cannot choose every candidate",
    "roles missing",
    "RASP has no value",
    "a function that raises on a task",
    "nothing at all",
    "the length of a causal program",
)

REASONS = {
    "numbers too close for the exactness asked for": r"must tell .* apart what is at least",
    "numbers too close for float32": r"no exactness tells them apart",
    "counts too close for the exactness asked for": r"counts up to \d+\. At exactness",
    "the output cannot choose every candidate": r"The output must be able to take the values",
    "a function that raises on a task": (
        r"it is given at|has no value for any|what its function raises for"
    ),
    "nothing at all": r"is None for every value",
    "the length of a causal program": r"causal program has no rasp\.length",
    "equal values of one number": r"holds as one and the same number",
    "a sum that float32 does not hold": r"to a number that float32 does not hold",
    "too many means": r"different means; the limit",
    "too many pairs": r"combinations of values .*; the limit",
    "roles missing": r"needs nodes of the roles",
    "a program that reads no tokens": r"does not read rasp.tokens",
    "a head that selects several values, or nothing where the program says something": (
        r"the RASP interpreter says"
    ),
    "RASP has no value": r"The RASP interpreter cannot run",
    "something where the program holds nothing": r"where the program has none",
    "rounding that grew": r"its rounding grew from node to node",
}


def reason_of(message: str) -> str:
    """Which of the reasons an error states."""
    for reason, pattern in REASONS.items():
        if re.search(pattern, message):
            return reason
    raise WrongError(f"This refusal states none of the reasons: {message}")


def check(plan: Plan) -> Outcome:
    """Compiles a plan and holds it to its plain evaluation.

    Raises:
        WrongError: If it compiles to something else, or fails with anything but a typed error that
            names an expression or the value at fault.
    """
    made = build(plan)
    try:
        compiled = compile_plan(plan, made[-1])
        for tasks in by_length(plan):
            verify(compiled, build(plan)[-1], tasks)
    except (CompileError, CertificateError) as error:
        stage = "compiler" if isinstance(error, CompileError) else "certificate"
        message = str(error)
        reason = reason_of(message)
        names = {"tokens", "indices", *(expression.name for expression in made)}
        # expressions that were never named are numbered in the compiler's own copy: map_1, map_2
        names |= {f"{name}_{i}" for name in tuple(names) for i in range(1, len(made) + 1)}
        # and what is put between two of them is called after one
        helps = set(re.findall(r"'([^']*)'", message))
        names |= {name for name in helps for of in tuple(names) if name.startswith(f"{of}_")}
        if reason not in OF_THE_WHOLE and not names & set(re.findall(r"'([^']*)'", message)):
            raise WrongError(f"This refusal names no expression: {message}") from error
        return Outcome(False, stage, reason, message)
    except Exception as error:
        raise WrongError(f"A bare {type(error).__name__}: {error}") from error
    compare(plan, compiled, made)
    return Outcome(True, searched=plan.answer is not None)


def compile_plan(plan: Plan, output: Any) -> Compiled:
    """The plan's network: a program's, or any expression's."""
    if plan.n_choices:
        program = Program(output)
        exactness = EXACT if plan.exactness is None else plan.exactness
        return compile_program(
            *(program, plan.vocabulary, plan.n_choices, plan.length, exactness),
            tasks=tokens_of(plan, plan.tasks),
        )
    return compile_expression(
        output, plan.vocabulary, plan.length, plan.exactness, causal=plan.causal
    )


def tokens_of(plan: Plan, tasks: Sequence[Sequence[Any]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Token ids of tasks of one length, [task, pos], BOS in front."""
    ids = {word: i for i, word in enumerate(plan.vocabulary)}
    return np.array([[0, *(ids[word] for word in task)] for task in tasks])


def by_length(plan: Plan) -> list[list[tuple[Any, ...]]]:
    """The plan's tasks, those of one length together."""
    lengths = sorted({len(task) for task in plan.tasks})
    return [[task for task in plan.tasks if len(task) == n] for n in lengths]


def names_of(made: Sequence[Any]) -> dict[int, str]:
    """id of an expression -> the name of its node, which is its own unless two have one."""
    order, copy = expressions(made[-1]), expressions(copied(made[-1]))
    name_apart(copy)
    return {id(one): other.name for one, other in zip(order, copy, strict=True)}


def compare(plan: Plan, compiled: Compiled, made: Sequence[Any]) -> int:
    """Compares every step's content in the weights with the plain evaluation, on every task.

    Returns:
        How many values were compared.

    Raises:
        WrongError: Naming the step, the task and both values.
    """
    return sum(_compare(plan, compiled, made, tasks) for tasks in by_length(plan))


def _compare(plan: Plan, compiled: Compiled, made: Sequence[Any], tasks: Sequence[Any]) -> int:
    """The same for tasks of one length."""
    tokens = tokens_of(plan, tasks)
    sites = {node.held_at for node in compiled.truth.nodes.values()}
    spec = msgspec.structs.replace(compiled.spec, read_out=tokens.shape[1] - 1)
    logits, cache = forward(compiled.params, tokens, spec, record=sites)
    chosen = logits[:, : plan.n_choices].argmax(axis=1) + 1 if plan.n_choices else None
    named = names_of(made)
    compared = 0
    for row, task in enumerate(tasks):
        plain = run(plan, task)
        for number, step in enumerate(plan.steps):
            name = named.get(id(made[number]), "")
            if name not in compiled.truth.nodes:
                continue  # what nothing reads, what Tracr's simplification dropped, or a selector
            node = compiled.truth.nodes[name]
            for position, want in enumerate(plain[number], start=1):
                content = cache[node.held_at][row, position] @ node.basis.T
                compared += 1
                if not reads_as(content, node.values, node.numerical, want):
                    raise WrongError(
                        f"{name!r} ({step.op}) at {position} of {task}: the program says {want!r}, "
                        f"the weights {np.round(content, 3).tolist()} over {node.values}"
                    )
        if plan.answer is not None and chosen is not None and chosen[row] != plan.answer(task):
            raise WrongError(f"It chooses {chosen[row]} in {task}, not {plan.answer(task)}")
    return compared


def reads_as(content: Any, values: tuple[Any, ...], numerical: bool, want: Any) -> bool:
    """Whether a content is the code of a value."""
    if numerical:
        wanted = float(want or 0)  # nothing is 0
        return abs(float(content[0]) - wanted) < CLOSE / 2 * max(1, abs(wanted))
    codes = [np.zeros(len(values))]
    if want is not None:
        # a mean of equal values is a float: it has the code of what equals it
        equal = [i for i, value in enumerate(values) if alike(value, want)]
        exact = [i for i in equal if repr(values[i]) == repr(want)]
        # numpy's 0 and Python's have codes of their own, and stand in the truth as one number
        codes = [np.eye(len(values))[i] for i in exact[:1] or equal]
    return any(float(np.abs(content - code).max()) < CLOSE for code in codes)


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal, NaN with itself and numbers as far as sums are."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        if one != one or other != other or math.inf in (abs(one), abs(other)):
            return repr(one) == repr(other)
        if isinstance(one, int) and isinstance(other, int):
            return one == other
        try:
            return bool(abs(one - other) <= 1e-9 * max(1, abs(one)))
        except OverflowError:  # an int past all floats
            return False
    return bool(one == other)


# --- random plans ---


def draw(rng: Random) -> Plan:
    """A random plan: a program that searches, or any graph of expressions."""
    plan = _search(rng) if rng.random() < 0.7 else _graph(rng)
    if rng.random() < 0.15:  # some expressions without a name, as users leave them
        plan.steps = [
            step if step.role or rng.random() < 0.5 else replace(step, name="")
            for step in plan.steps
        ]
    if rng.random() < 0.02:  # two of one name
        plan.steps[0] = replace(plan.steps[0], name=plan.steps[-1].name)
    return plan


def tasks_of(rng: Random, places: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Tasks with a word of its own choice at each place: all there are, or some, with ties."""
    if math.prod(len(words) for words in places) <= MOST_TASKS:
        return list(itertools.product(*places))
    found = {tuple(rng.choice(words) for words in places) for _ in range(MOST_TASKS)}
    first = {tuple(words[0] for words in places), tuple(words[-1] for words in places)}
    return sorted(found | first)


SCORES: dict[str, tuple[int, Callable[[Random, int], list[Any]]]] = {
    "ranks": (8, lambda rng, n: rng.sample(range(n), n)),
    "ties": (8, lambda rng, n: [rng.randrange(2) for _ in range(n)]),
    "integers": (8, lambda rng, n: [rng.randint(-9, 99) for _ in range(n)]),
    "fractions": (8, lambda rng, n: [rng.randint(-8, 8) / 4 for _ in range(n)]),
    "negatives": (4, lambda rng, n: [-rng.random() for _ in range(n)]),
    "close": (
        4,
        lambda rng, n: [1 + rng.randrange(4) * 10.0 ** -rng.randint(2, 9) for _ in range(n)],
    ),
    "rounded": (2, lambda rng, n: [rng.choice([0.3, 0.1 + 0.2, 0.7]) for _ in range(n)]),
    "large": (3, lambda rng, n: [rng.choice([1, 3]) * 10 ** rng.randint(2, 14) for _ in range(n)]),
    "past 2**53": (1, lambda rng, n: [2**53 + rng.randrange(3) for _ in range(n)]),
    "huge": (1, lambda rng, n: [rng.choice([1, 10**400, 1e39]) for _ in range(n)]),
    "truth values": (3, lambda rng, n: [rng.random() < 0.5 for _ in range(n)]),
    "words": (2, lambda rng, n: [rng.choice("xyz") for _ in range(n)]),
    "digits": (2, lambda rng, n: [rng.choice([2, 10, "15"]) for _ in range(n)]),
    "mixed": (1, lambda rng, n: [rng.choice([True, 5, 0.5]) for _ in range(n)]),
    "a hole": (2, lambda rng, n: [rng.choice([None, 1, 2]) for _ in range(n)]),
    "no number": (1, lambda rng, n: [rng.choice([math.nan, math.inf, 1.0]) for _ in range(n)]),
    "pairs": (1, lambda rng, n: [(rng.randrange(2), i) for i in range(n)]),
    "numpy": (1, lambda rng, n: list(np.arange(n))),
}  # kind -> weight, values


def values(rng: Random, n: int, kind: str = "") -> list[Any]:
    """Random values of one kind."""
    kinds = list(SCORES)
    kind = kind or rng.choices(kinds, [SCORES[k][0] for k in kinds])[0]
    return SCORES[kind][1](rng, n)


def _search(rng: Random) -> Plan:
    """Candidates in slots, context behind them, a read-out: score, compare, choose, emit."""
    slots, n_words = rng.randint(2, 4), rng.randint(2, 5)
    words = [f"w{i}" for i in range(n_words)]
    contexts = [[f"c{k}{i}" for i in range(rng.randint(1, 3))] for k in range(rng.randrange(3))]
    ends = ["T", "D"][: rng.randint(1, 2)]
    places = [*[words] * slots, *contexts, ends]
    plan = Plan(
        vocabulary=("BOS", *words, *itertools.chain(*contexts), *ends),
        length=len(places),
        exactness=rng.choice([None, None, None, 1000, 3000]),
        n_choices=slots,
        tasks=tasks_of(rng, places),
    )
    chosen, plan.answer = _chooser(rng, plan, words, len(contexts))
    if rng.random() < 0.12:  # two choosers, and the token at the end says which of them answers
        plan.suffix = "_other"
        other, answer = _chooser(rng, plan, words, len(contexts))
        plan.suffix = ""
        chosen = _gate(rng, plan, chosen, other)
        if plan.answer and answer:
            first = plan.answer
            plan.answer = lambda task: (answer if task[-1] == "T" else first)(task)
        else:
            plan.answer = None
    _emit(rng, plan, chosen, ends)
    if rng.random() < 0.01:
        plan.steps = [replace(step, role="") for step in plan.steps]
    return plan


def _chooser(
    rng: Random, plan: Plan, words: Sequence[str], n_contexts: int
) -> tuple[int, Callable[[Sequence[str]], int] | None]:
    """A whole search: the step that holds its slot, and the slot from the task, where known."""
    slots = plan.n_choices
    scores, by_task = _scores(rng, plan, words, n_contexts, slots)
    ranked = _order(rng, plan.length)
    chosen, faithful = _choose(rng, plan, scores, ranked)
    if not faithful or not _are_above_others(by_task, words, plan.tasks):
        return chosen, None
    return (
        chosen,
        lambda task: 1 + max(range(slots), key=lambda i: (by_task(task[i], task), -ranked[i])),
    )


def _gate(rng: Random, plan: Plan, first: int, second: int) -> int:
    """The second's slot where the last token is T, else the first's."""
    last = plan.length - 1
    there = plan.add("select", "to_cue", (-2, -2), function=lambda k, q: k == last)
    cue = plan.add("aggregate", "cue", (there, -1), role="cue")
    kept = plan.add("pair", "kept", (cue, first), function=lambda c, s: 0 if c == "T" else s)
    other = plan.add("pair", "kept_2", (cue, second), function=lambda c, s: s if c == "T" else 0)
    return plan.add("pair", "chosen", (kept, other), function=max, role="gate")


def _scores(
    rng: Random, plan: Plan, words: Sequence[str], n_contexts: int, slots: int
) -> tuple[int, Callable[[str, Sequence[str]], Any]]:
    """A score at every position: the step, and a candidate's score from the task alone."""
    kind = rng.choices(list(SCORES), [weight for weight, _ in SCORES.values()])[0]
    lowest = {"words": "", "pairs": (-1, 0), "truth values": False}  # what no candidate is worth
    low = lowest.get(kind, rng.choice([-99, -(10**15), 0]))
    how = rng.choices(["map", "context", "layers", "number"], [6, 4, 3, 3])[0]
    if how == "context" and n_contexts:
        at = slots + rng.randrange(n_contexts)
        every = plan.vocabulary[1:]
        known = dict(
            zip(
                itertools.product(words, every),
                values(rng, len(words) * len(every), kind),
                strict=True,
            )
        )

        def of(word: str, context: str) -> Any:
            return known.get((word, context), low)

        there = plan.add("select", "to_context", (-2, -2), function=lambda k, q: k == at)
        context = plan.add("aggregate", "context", (there, -1), role="context")
        score = plan.add("pair", "score", (-1, context), function=of, role="score")
        return score, lambda word, task: of(word, task[at])
    table = dict(zip(words, values(rng, len(words), kind), strict=True))

    def worth(word: str) -> Any:
        return table.get(word, low)

    if how == "layers":
        feature = plan.add(
            "map",
            "feature",
            (-1,),
            function=lambda t: words.index(t) if t in table else -1,
            role="feature",
        )
        score = plan.add(
            "map",
            "score",
            (feature,),
            function=lambda i: low if i < 0 else table[words[i]],
            simplify=rng.random() < 0.4,
            role="score",
        )
    elif how == "number":  # through one numerical direction and back
        number = plan.add("map", "worth", (-1,), function=worth, numerical=True, role="score")
        score = plan.add("map", "level", (number,), function=lambda x: x)
        if rng.random() < 0.7:
            score = plan.add("pair", "gated", (score, -2), function=lambda x, i: x)
    else:
        score = plan.add("map", "score", (-1,), function=worth, role="score")
    return score, lambda word, task: worth(word)


def _are_above_others(
    by_task: Callable[[str, Sequence[str]], Any],
    words: Sequence[str],
    tasks: Sequence[Sequence[str]],
) -> bool:
    """Whether every candidate is worth more than what is none."""
    try:
        return all(by_task(w, task) > by_task("T", task) for task in tasks for w in words)
    except (TypeError, OverflowError):  # no numbers, which are refused
        return False


def _order(rng: Random, length: int) -> list[int]:
    """Who wins a tie: the place of each position in the order."""
    order = list(range(length))
    how = rng.choice(["left", "left", "right", "any"])
    if how == "right":
        order.reverse()
    elif how == "any":
        rng.shuffle(order)
    return order


def _choose(rng: Random, plan: Plan, scores: int, ranked: Sequence[int]) -> tuple[int, bool]:
    """The slot number where the winner stands, else 0; whether the search is as it should be."""
    last, n = plan.length, plan.n_choices
    if rng.random() < 0.12:  # one stage, by a pair of score and place
        faithful = True
        if rng.random() < 0.5:
            key = plan.add("pair", "key", (scores, -2), function=lambda s, i: (s, -ranked[i]))
            higher = plan.add("select", "higher", (key, key), function=lambda k, q: k > q)
        else:
            key = plan.add("pair", "key", (scores, -2), function=lambda s, i: s * last - ranked[i])
            higher = plan.add("select", "higher", (key, key), function=lambda k, q: k > q)
            faithful = False  # a product of fractions may tie otherwise
        beaten, ok = _whether(rng, plan, higher, "beaten")
        f = lambda lost, i: 0 if lost or i >= n else i + 1  # noqa: E731
        return plan.add("pair", "winner", (beaten, -2), function=f, role="winner"), ok and faithful
    if rng.random() < 0.06:  # two counts side by side, and a comparison of counts
        above = plan.add("select", "above", (scores, scores), function=lambda k, q: k > q)
        below = plan.add("select", "below", (scores, scores), function=lambda k, q: k < q)
        better = plan.add("width", "n_above", (above,))
        worse = plan.add("width", "n_below", (below,))
        level = plan.add("select", "peers", (better, worse), function=lambda k, q: k == q)
        other = plan.add("width", "n_level", (level,))
        both = plan.add("pair", "counts", (better, worse), function=lambda a, b: 9 * a + b)
        f = lambda c, w: (c + w) % (n + 1)  # noqa: E731
        return plan.add("pair", "winner", (both, other), function=f, role="winner"), False
    shapes = ["k > q", "not k <= q", "q < k", "int", "difference", "k >= q", "and"]
    shape = rng.choices(shapes, [8, 4, 4, 2, 1, 1, 1])[0]
    compare = {
        "k > q": lambda k, q: k > q,
        "not k <= q": lambda k, q: not k <= q,
        "q < k": lambda k, q: q < k,
        "int": lambda k, q: int(k > q),
        "difference": lambda k, q: max(k - q, 0),
        "k >= q": lambda k, q: k >= q,
        "and": lambda k, q: k > q and k,
    }[shape]
    higher = plan.add("select", "higher", (scores, scores), function=compare, role="")
    beaten, ok = _whether(rng, plan, higher, "beaten")
    faithful = ok and shape not in ("k >= q", "and")
    if rng.random() < 0.1:  # the bit itself as a key, without a gate
        other = plan.add("select", "unbeaten", (beaten, -2), function=lambda k, q: not k)
        share = plan.add("aggregate", "first", (other, -2))
        f = lambda first, i: i + 1 if first == i and i < n else 0  # noqa: E731
        return plan.add("pair", "winner", (share, -2), function=f, role="winner"), False
    place = list(ranked)
    standing = plan.add(
        "pair", "standing", (beaten, -2), function=lambda lost, i: last if lost else place[i]
    )
    earlier = plan.add("select", "earlier", (standing, standing), function=lambda k, q: k < q)
    late, fine = _whether(rng, plan, earlier, "preceded")
    back = {place[i]: i for i in range(last)}
    f = lambda lost, at: 0 if lost or at == last or back[at] >= n else back[at] + 1  # noqa: E731
    return plan.add(
        "pair", "winner", (late, standing), function=f, role="winner"
    ), faithful and fine


def _whether(rng: Random, plan: Plan, select: int, name: str) -> tuple[int, bool]:
    """Whether anything is selected: an average of ones, a count, or what resembles them."""
    how = rng.choices(
        ["bit", "count", "number", "lax", "none", "tokens", "half", "both"],
        [10, 4, 1, 1, 0.3, 1, 1, 0.5],
    )[0]
    if how == "both":
        every = plan.add("select", f"{name}_any", (-2, -2), function=lambda k, q: True)
        select = plan.add("both", f"{name}_both", (select, every))
        how = "bit"
    if how in ("count", "number"):
        width = plan.add("width", f"{name}_width", (select,), numerical=how == "number")
        return plan.add("map", name, (width,), function=lambda x: x > 0), True
    if how == "tokens":  # an average of what is 0 or 1 by token
        odd = {word: i % 2 for i, word in enumerate(plan.vocabulary)}
        one = plan.add(
            "map", f"{name}_ones", (-1,), function=lambda t: float(odd[t]), numerical=True
        )
    else:
        worth = 0.5 if how == "half" else 1.0
        one = plan.add("map", f"{name}_ones", (-1,), function=lambda t: worth, numerical=True)
    default = None if how == "none" else 0
    share = plan.add("aggregate", f"{name}_share", (select, one), numerical=True, default=default)
    least = {"lax": rng.choice([0.0, 0.01, 0.3, 0.9]), "half": 0.2}.get(how, 0.6)
    bit = plan.add("map", name, (share,), function=lambda x: x > least, role="")
    return bit, how in ("bit", "half", "lax")


def _emit(rng: Random, plan: Plan, chosen: int, ends: Sequence[str]) -> None:
    how = rng.choices(
        ["fetch", "everywhere", "no condition", "categorical default"], [8, 4, 1, 0.3]
    )[0]
    words = frozenset(ends)
    if how == "fetch":
        f = lambda k, q: k != 0 and q in words  # noqa: E731
    elif how == "everywhere" or how == "categorical default":
        f = lambda k, q: k != 0  # noqa: E731
    else:
        f = lambda k, q: True  # noqa: E731
        plan.answer = None  # the mean of all positions is no slot
    fetch = plan.add("select", "fetch", (chosen, -1), function=f)
    default = 0 if how == "categorical default" else None
    plan.add("aggregate", "output", (fetch, chosen), default=default, role="emit")


VOCABULARIES: list[tuple[float, Callable[[int], list[Any]]]] = [
    (8, lambda n: [f"w{i}" for i in range(n)]),
    (2, lambda n: list(range(n))),
    (2, lambda n: [i / 2 - 0.5 for i in range(n)]),
    (1, lambda n: [("w", i) for i in range(n)]),
]


def _graph(rng: Random) -> Plan:
    """Expressions of every kind on each other, as they come."""
    known = rng.choices([f for _, f in VOCABULARIES], [weight for weight, _ in VOCABULARIES])[0]
    words = known(rng.randint(1, 3))
    length = rng.randint(1, 4)
    shorter = sorted({1, rng.randint(1, length)} - {length})
    plan = Plan(
        vocabulary=("BOS", *words),
        length=length,
        exactness=rng.choices([None, 1000, 20], [8, 1, 1])[0],
        causal=rng.random() < 0.2,
        tasks=[task for n in (*shorter, length) for task in tasks_of(rng, [words] * n)],
    )
    categories, numbers, selects = [-1, -2], [], []
    if rng.random() < 0.9:
        categories.append(plan.add("map", "start", (-1,), function=_small(rng)))
    for i in range(rng.randint(1, 8)):
        name = f"{rng.choice('abc')}{i}"
        new = _any_step(rng, plan, name, categories, numbers, selects, words)
        step = plan.steps[new]
        (selects if step.op in SELECTORS else numbers if step.numerical else categories).append(new)
    if plan.steps[-1].op in SELECTORS:
        plan.add("aggregate", "last", (len(plan.steps) - 1, rng.choice(categories)))
    return plan


def _small(rng: Random) -> Callable[..., Any]:
    """A function of whatever comes, numbers or words."""
    salt, base = rng.randrange(10**6), rng.randint(1, 4)
    odd = [1, 1.0, True, "1", (1,), frozenset({1, 2}), -0.0, 0, np.int64(3), math.inf]
    shapes: list[tuple[float, Callable[..., Any]]] = [
        (8, lambda *xs: _scramble(salt, xs) % base),
        (2, lambda *xs: _scramble(salt, xs) % 2 == 0),
        (2, lambda *xs: float(_scramble(salt, xs) % base)),
        (1, lambda *xs: _scramble(salt, xs) % base - 1),
        (1, lambda *xs: None if _scramble(salt, xs) % 3 == 0 else 1),
        (1, lambda *xs: tuple(xs)),
        (1, lambda *xs: frozenset(xs)),
        (1, lambda *xs: odd[_scramble(salt, xs) % len(odd)]),
        (1, lambda *xs: np.int64(_scramble(salt, xs) % base)),
        (1, lambda *xs: xs[0]),
        (0.3, lambda *xs: "xyz"[_scramble(salt, xs) % 3]),
        (0.2, lambda *xs: 1 / (_scramble(salt, xs) % base)),
    ]
    return rng.choices([f for _, f in shapes], [weight for weight, _ in shapes])[0]


def _scramble(salt: int, xs: tuple[Any, ...]) -> int:
    """The same for 1, 1.0 and True, which are one value."""
    same = tuple(
        float(x) if isinstance(x, int | float | np.number) else _sorted_text(x) for x in xs
    )
    return Random(f"{salt}{same}").randrange(10**6)


def _sorted_text(value: Any) -> str:
    """A text that does not depend on how a set is ordered."""
    if isinstance(value, tuple | frozenset):
        parts = [_sorted_text(each) for each in value]
        return str(parts if isinstance(value, tuple) else sorted(parts))
    return repr(value)


def _of_number(rng: Random) -> Callable[[float], Any]:
    c = rng.choice([0, 0.25, 0.3, 0.5, 0.6, 1, 2])
    return rng.choice(
        [
            lambda x: x > c,
            lambda x: x == c,
            lambda x: round(x, 2),
            lambda x: int(3 * x),
            lambda x: x,
            lambda x: c - x,
            lambda x: c * x,
            lambda x: x * x,
            lambda x: 1 / x,
        ]
    )


def _any_step(
    rng: Random,
    plan: Plan,
    name: str,
    categories: list[int],
    numbers: list[int],
    selects: list[int],
    words: Sequence[str],
) -> int:
    any_of, weights = ["map", "pair", "select", "unit", "odd"], [3.0, 3, 3, 3, 1.5]
    any_of += ["of number", "linear"] if numbers else []
    weights += [4, 2] if numbers else []
    any_of += ["move", "width", "joined"] if selects else []
    weights += [2, 3, 2] if selects else []
    any_of += ["mean"] if selects and numbers else []
    weights += [4] if selects and numbers else []
    what = rng.choices(any_of, weights)[0]
    one = rng.choice(categories)
    if what == "odd":
        return _odd_step(rng, plan, name, one, numbers, selects)
    if what == "map":
        return plan.add("map", name, (one,), function=_small(rng), simplify=rng.random() < 0.3)
    if what == "pair":
        return plan.add("pair", name, (one, rng.choice(categories)), function=_small(rng))
    if what == "select":
        f, salt = _small(rng), rng.randrange(10**6)
        yes = rng.choice(
            [lambda k, q: _scramble(salt, (k, q)) % 2 == 0] * 4
            + [lambda k, q: k == q, lambda k, q: True, f]
        )
        return plan.add("select", name, (one, rng.choice(categories)), function=yes)
    if what == "unit":  # a number from a category
        f = rng.choice([_small(rng), lambda x: 1.0, lambda x: float(_scramble(7, (x,)) % 2)])
        return plan.add("map", name, (one,), function=f, numerical=True)
    if what == "of number":
        f = _of_number(rng)
        return plan.add(
            "map", name, (rng.choice(numbers),), function=f, numerical=rng.random() < 0.4
        )
    if what == "linear":
        factors = (rng.choice([1, -1, 0.5]), rng.choice([1, -1, 2]))
        return plan.add(
            "linear",
            name,
            (rng.choice(numbers), rng.choice(numbers)),
            function=factors,
            numerical=True,
        )
    select = rng.choice(selects)
    if what == "move":
        default = rng.choices([None, 0, "none"], [6, 1, 1])[0]
        return plan.add("aggregate", name, (select, one), default=default)
    if what == "width":
        return plan.add("width", name, (select,), numerical=rng.random() < 0.3)
    if what == "joined":
        how = rng.choice(["both", "either", "not"])
        read = (select,) if how == "not" else (select, rng.choice(selects))
        return plan.add(how, name, read)
    return plan.add("aggregate", name, (select, rng.choice(numbers)), numerical=True, default=0)


def _odd_step(
    rng: Random, plan: Plan, name: str, one: int, numbers: list[int], selects: list[int]
) -> int:
    """What needs a step of another kind in between, or is written in an uncommon way."""
    ways = [
        lambda: plan.add("copy", name),
        lambda: plan.add("full", name, function=rng.choice([1, "x", 0.5, (1, 2)])),
        lambda: plan.add("length", "length"),
        lambda: plan.add("linear", name, (-2, -2), function=(1, rng.choice([1, -1]))),
    ]
    if numbers:
        number = rng.choice(numbers)
        ways += [
            lambda: plan.add("select", name, (number, -2), function=lambda k, q: k == q),
            lambda: plan.add("select", name, (-2, number), function=lambda k, q: k == q),
            lambda: plan.add("pair", name, (number, one), function=_small(rng)),
            lambda: plan.add("pair", name, (one, number), function=_small(rng), numerical=True),
        ]
    if selects:
        ways.append(
            lambda: plan.add(
                *("aggregate", name, (rng.choice(selects), -2)),
                numerical=True,
                default=rng.choice([0, 1]),
            )
        )
    return rng.choice(ways)()


# --- the same plan in stock Tracr ---


def by_stock_tracr(plan: Plan) -> str:
    """What Tracr's own compiler makes of the plan's output: "right", "wrong", "raises".

    "none" where RASP itself has no value, so that there is nothing to be right about.
    """
    output = build(plan)[-1]
    try:
        expected = [run(plan, task)[-1] for task in plan.tasks]
    except Exception:
        return "none"
    try:
        model = helpers.stock(output, plan.vocabulary[1:], plan.length, plan.exactness or EXACT)
        got = [helpers.stock_run(model, output, task).decoded for task in plan.tasks]
    except Exception:
        return "raises"
    for plain, decoded in zip(expected, got, strict=True):
        for want, value in zip(plain, decoded, strict=True):
            if isinstance(want, int | float) and isinstance(value, int | float):
                if not abs(value - want) < CLOSE / 2:
                    return "wrong"
            elif want != value:
                return "wrong"
    return "right"
