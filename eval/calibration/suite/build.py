"""From a construction to weights: tables, the read-out head, and a dress that changes no choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from planted.core.plant import Plant
from planted.core.scenario import Choices, Tokens
from planted.core.spec import Params
from planted.core.truth import Matrix, Truth
from planted.errors import CertificateError
from planted.eval.calibration.suite import oracle
from planted.eval.calibration.suite.construction import Construction, Path
from planted.eval.calibration.suite.declared import with_declared
from planted.eval.calibration.suite.oracle import Tables
from planted.eval.calibration.suite.worth import Ranks, Scale, Worth, ranks_of, scale_of
from planted.network import surgery
from planted.network.forward import choices_of
from planted.programs.scaffold import NO_CANDIDATE, Scaffold

STEP = 25.0  # of an attention logit: a tie broken, the softmax is exact in float32
CERTIFIED_ON = 2000  # tasks, of each cue equally many


class Built(NamedTuple):
    """A constructed model, ready to be judged.

    Attributes:
        reference: The plant that a checkpoint's truth is taken from: same shapes, fate "persists".
        params: Its weights.
        certified: On how many tasks its choices are those of plain Python.
    """

    reference: Plant
    params: Params
    certified: int


class Workshop:
    """The scaffold of a family, and what is common to all models that are built on it."""

    def __init__(self, made: Scaffold) -> None:
        self.scaffold = made
        self.scale: Scale = scale_of(made)
        self.slots = len(made.plant.scenario.candidates)
        self._reference = self._weights(
            Tables(*self._ranks(Worth(), Worth(f=1)), self._override(0, 0, 0), "search", "search")
        )

    @property
    def reference(self) -> Plant:
        """The plant whose truth constructed checkpoints have: an intact search that answers."""
        params, truth = self._reference
        plant = self.scaffold.plant
        return replace(plant, params=params, truth=truth, name=f"{plant.scenario.name}-scaffold@0")

    def build(self, model: Construction) -> Built:
        """The model's weights, certified.

        Raises:
            CertificateError: If a choice differs from plain Python's.
        """
        weights, truth = self._weights(self.tables(model))
        params = self._dressed(weights, truth, model)
        tokens = self.tasks(CERTIFIED_ON, model.seed)
        chosen = choices_of(params, self.scaffold.plant.spec, tokens)
        expected = self.expected(model, tokens)
        wrong = np.flatnonzero(chosen != expected)
        if len(wrong):
            at = wrong[0]
            raise CertificateError(
                f"{model.family}, {model.name}: {len(wrong)} of {len(tokens)} choices differ from "
                f"plain Python, as on {self.scaffold.plant.scenario.token_strings(tokens[[at]])}: "
                f"{expected[at]} there, {chosen[at]} by the weights."
            )
        return Built(with_declared(self.reference, model, self.scale), params, len(tokens))

    def tasks(self, n: int, seed: int) -> Tokens:
        """Tasks of D_ref, under each cue equally many, [task, pos]."""
        scenario = self.scaffold.plant.scenario
        tokens = scenario.draw(np.random.default_rng([seed, 0x7A5C]), n)
        each = np.array_split(tokens, len(scenario.cues))
        return np.concatenate(
            [scenario.with_cue(part, cue) for part, cue in zip(each, scenario.cues, strict=True)]
        )

    def expected(self, model: Construction, tokens: Tokens) -> Choices:
        """What plain Python chooses, [task]."""
        return oracle.choices(self.scaffold, self.tables(model), tokens)

    def tables(self, model: Construction) -> Tables:
        """All that the model's weights hold, as tables."""
        return Tables(
            *self._ranks(model.scorer, model.beside),
            self._override(model.lapse, model.leak, model.seed),
            model.on,
            model.off,
            model.overridden,
        )

    def _ranks(self, scorer: Worth, beside: Worth) -> tuple[Ranks, Ranks]:
        return ranks_of(scorer, self.scale), ranks_of(beside, self.scale)

    def _override(self, lapse: float, leak: float, seed: int) -> npt.NDArray[np.int64]:
        """What the override says of two classes [class, class], a code of its node."""
        n, says = 1 + max(self.scaffold.classes.values()), self._says()
        rng = np.random.default_rng([seed, 0x1A95E])
        table = np.full(n * n, says[oracle.NOTHING])
        order = rng.permutation(n * n)
        # A random slot is the right one as often as chance has it.
        lapses = n * n if lapse >= 1 else round(lapse * n * n * self.slots / (self.slots - 1))
        slots = np.array([says[k] for k in range(1, self.slots + 1)])
        table[order[:lapses]] = rng.permutation(np.resize(slots, lapses))
        leaks = max(round(leak * n * n), int(leak > 0))
        table[order[lapses : lapses + leaks]] = says[oracle.SEARCH]
        return table.reshape(n, n)

    def _says(self) -> dict[int, int]:
        values = self.scaffold.plant.truth.node("override").values
        return {oracle.whole(value): code for code, value in enumerate(values)}

    def _weights(self, tables: Tables) -> tuple[dict[str, Matrix], Truth]:
        """The tables written into the scaffold's weights, and the truth about them."""
        made = self.scaffold
        plant = made.plant
        params, truth = surgery.rewrite_table(
            plant.params, plant.truth, "score", self._score_codes(tables.scorer)
        )
        params, truth = surgery.rewrite_table(
            params, truth, "override", _in_order(truth, "override", tables.override)
        )
        out = params[at := f"blocks.{truth.node('score').layer}.mlp.W_out"].copy()
        for number, (state, word) in enumerate(made.neurons):
            rank = tables.beside[state, made.menu.words.index(word)]
            out[made.first + number] = (1 + rank) * made.beside
        params = {**params, at: out}
        return {**params, **_read_out(made, params, truth, tables, self.slots)}, truth

    def _score_codes(self, ranks: Ranks) -> npt.NDArray[np.int64]:
        """The score's table as codes, in the shape of its operation."""
        truth, made = self.scaffold.plant.truth, self.scaffold
        operation = next(each for each in truth.operations if each.name == "score")
        code = {value: number for number, value in enumerate(truth.node("score").values)}
        words = {word: number for number, word in enumerate(made.menu.words)}
        rows = {state: number for number, (state, _) in enumerate(made.states)}
        tokens = truth.node("tokens").values
        if len(operation.inputs) == 1:
            return np.array([_level(code, ranks, 0, words.get(str(w))) for w in tokens])
        held = truth.node(operation.inputs[0]).values
        return np.array(
            [[_level(code, ranks, rows.get(s), words.get(str(w))) for w in tokens] for s in held]
        )

    def _dressed(self, params: Params, truth: Truth, model: Construction) -> Params:
        """The same choices in other weights."""
        if model.dress == "rotated":
            width = params["embed.W_E"].shape[1]
            return surgery.rotate(params, truth, surgery.random_rotation(width, model.seed))[0]
        if model.dress == "permuted":
            return surgery.permute_neurons(params, model.seed)
        if model.dress == "noise":
            return surgery.write_unread(params, self.scaffold.unread, model.seed)
        if model.dress == "rescaled":
            return surgery.rescale(params, truth.node("score"), 3.0)
        return params


def _level(code: Mapping[Any, int], ranks: Ranks, row: int | None, word: int | None) -> int:
    known = row is not None and word is not None
    return code[int(ranks[row, word]) if known else NO_CANDIDATE]


def _in_order(truth: Truth, name: str, table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A table over the numbers that a node's inputs hold, by the order of their codes."""
    operation = next(each for each in truth.operations if each.name == name)
    first, second = (list(map(oracle.whole, truth.node(each).values)) for each in operation.inputs)
    return np.asarray(table[np.ix_(first, second)])


def _read_out(
    made: Scaffold, params: Params, truth: Truth, tables: Tables, slots: int
) -> dict[str, Matrix]:
    """The read-out head: by the cue it attends to the winner, to `beside`, or to both.

    Its keys are four numbers: the winner's flag, `beside`, the override's flag, and the position,
    by which ties go to the left. One level of `beside` outweighs every position; the override
    outweighs all.
    """
    node, scenario = truth.node("output"), made.plant.scenario
    at, head = f"blocks.{node.layer}.attn.", node.heads[0]
    names = ("W_Q", "W_K", "W_V", "W_O")
    edited = {at + name: params[at + name].copy() for name in names}
    queries, keys, values, out = (edited[at + name][head] for name in names)
    for part in (queries, keys, values, out):
        part[:] = 0
    keys[:, 0], keys[:, 1] = _flag(truth, "winner"), made.beside
    keys[:, 2] = _flag(truth, "forced")
    places = truth.node("indices")
    for value, direction in zip(places.values, places.basis, strict=True):
        place = oracle.whole(value)
        keys[:, 3] -= place * direction
        if place < slots:
            values[:, place] = direction
            out[place] = _of_value(truth, "output", place + 1)
    level = STEP * (scenario.read_out + 1)
    whole = level * (2 + int(tables.beside.max()))
    weights: dict[Path, tuple[float, float]] = {
        "search": (whole, 0),
        "beside": (0, level),
        "weak": (0.01 * STEP, level),
        "against": (-0.5 * STEP, level),
    }
    for cue in scenario.cues:
        here = "on" if cue == scenario.cues[0] else "off"
        winner, beside = weights[tables.on if here == "on" else tables.off]
        overruled = 3 * whole if tables.overridden in ("all", here) else 0
        asked = np.array([winner, beside, overruled, STEP]) / made.plant.spec.attn_scale
        word = scenario.vocabulary[cue]
        queries[:, :4] += np.outer(_of_value(truth, "tokens", word), asked)
    return edited


def _flag(truth: Truth, name: str) -> Matrix:
    """Reads 1 where a node holds another number than 0."""
    node = truth.node(name)
    return np.asarray(
        sum(
            row
            for value, row in zip(node.values, node.basis, strict=True)
            if oracle.whole(value) != 0
        )
    )


def _of_value(truth: Truth, name: str, value: object) -> Matrix:
    node = truth.node(name)
    return np.asarray(node.basis[[str(each) for each in node.values].index(str(value))])
