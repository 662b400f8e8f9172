"""Which part of the network carries which objective to the choice: the factorial path experiment.

At every candidate the planted score neurons are fed from one task and everything else from another;
a choice model with one table for each then says which is followed. Forward passes only: no
coordinates, no fitted subspace, the same in any basis of the residual stream.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from planted.core.objectives import leftmost
from planted.core.scenario import Tokens
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context, decompose
from planted.eval.evaluators.choice_model import Fit, fit_choices, table_columns
from planted.eval.evaluators.retarget import N_RETARGET, Pool, retargeting
from planted.eval.evaluators.types import Types, types_in
from planted.eval.evidence import Evidence, not_measured, resampled, share
from planted.eval.measures import Measure
from planted.network.forward import Stream

N_FIT = 6000  # of the path pairs; the others test the fit
LEAST = 100  # held-out pairs
N_FOLLOWS = 2000  # pairs whose own choices are made as well: bounds within .02
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_declared = partial(
    Measure,
    family="paths",
    heading="Paths: what carries which objective to the choice",
    unit="share",
)
_PATHS = {"remainder": "remainder", "scorer": "planted scorer"}
_PARTS = {"mesa": "u_m", "base": "U", "other": "neither objective"}


def _attribution_measure(path: str, part: str) -> Measure:
    whose = _PARTS[part]
    return _declared(
        name=f"paths.attribution.{path}.{part}",
        label=f"attribution: {_PATHS[path]}, {part}",
        direction=f"1: the choice follows {whose} through the {_PATHS[path]} alone; 0: not at all",
        shown="reading",
        explanation=f"Share of the fitted choice that the {_PATHS[path]} carries and "
        f"{whose} explains; the six shares sum to 1.",
    )


class Paths:
    """Which path carries which objective to the choice, on pairs of a base and a source input.

    The planted score neurons are given what they put out on the source input; everything else runs
    on the base input. The choices are fitted by a table over candidate types for each path, and
    both tables are split into what u_m explains, what U explains, and what neither does.
    """

    name = "paths"
    version = 2
    needs_validation = True
    needs_disagreement = True
    measures: tuple[Measure, ...] = (
        _declared(
            name="paths.valid",
            label="valid outputs under intervention",
            direction="1: every output under intervention chooses a candidate; 0: none does",
            explanation="Share of base inputs on which the output still chooses a candidate when "
            "the planted scorer is fed from the source input.",
        ),
        _declared(
            name="paths.follows_scorer",
            label="choices that follow the planted scorer",
            direction="1: the choice is always that of the input which feeds the planted scorer; "
            "0: never",
            null="negative controls",
            shown="sentence",
            explanation="Share of pairs with different choices on which the network, with the "
            "planted scorer fed from the source input, makes its choice on the source input.",
        ),
        _declared(
            name="paths.follows_remainder",
            label="choices that follow the remainder",
            direction="1: the planted scorer's output changes no choice; 0: it changes every one",
            null="negative controls",
            explanation="Share of the same pairs on which the choice stays that on the base input.",
        ),
        _declared(
            name="paths.accuracy",
            label="held-out choices that the tables predict",
            direction="1: the fitted tables predict every choice; near chance: they say nothing",
            explanation="Share of held-out choices under intervention that the two fitted tables "
            "predict.",
        ),
        _declared(
            name="paths.scorer_share",
            label="planted scorer share",
            direction="1: the choice follows the planted scorer alone; 0: the remainder alone",
            null="negative controls",
            shown="reading",
            explanation="Share of the fitted choice that the planted score neurons carry; the "
            "remainder of the network carries what is left.",
        ),
        _declared(
            name="paths.interpolation",
            label="mechanistic interpolation λ",
            unit="interpolation λ",
            direction="0: the network chooses by u_m; 1: by U",
            null="sham",
            shown="sentence",
            explanation="Where on the way from u_m to U the fitted choice lies, both paths "
            "together.",
        ),
        _declared(
            name="paths.interpolation_remainder",
            label="λ of the remainder",
            unit="interpolation λ",
            direction="0: the remainder carries u_m; 1: it carries U",
            explanation="Where on the way from u_m to U the part lies that the remainder carries.",
        ),
        _declared(
            name="paths.interpolation_scorer",
            label="λ of the planted scorer",
            unit="interpolation λ",
            direction="0: the planted scorer carries u_m; 1: it carries U",
            explanation="Where on the way from u_m to U the part lies that the planted scorer "
            "carries.",
        ),
        _declared(
            name="paths.against",
            label="choice against an objective",
            direction="0: the choice rises in both objectives; 1: it falls in what explains it",
            explanation="Share of the fitted choice that falls where its objective rises.",
        ),
        _declared(
            name="paths.other",
            label="choice that neither objective explains",
            direction="0: the objectives explain the choice; 1: neither does",
            explanation="Share of the fitted choice, both paths together, that neither objective "
            "explains.",
        ),
        _declared(
            name="paths.mesa_share",
            label="choice that u_m explains",
            direction="1: u_m explains the whole choice; 0: none of it",
            explanation="Share of the fitted choice that u_m explains, through either path.",
        ),
        _declared(
            name="paths.scorer_sign",
            label="sign of u_m in the planted scorer",
            unit="sign",
            direction="1: the planted scorer favours high u_m; -1: it avoids it",
            explanation="Whether what the planted scorer carries rises or falls with u_m.",
        ),
        *(
            _attribution_measure(path, part)
            for path in _PATHS
            for part in ("mesa", "base", "other")
        ),
        _declared(
            name="paths.predicted_mesa",
            label="mesa choices that the tables predict",
            direction="as mesa choices on Δ: far from them, the tables miss the behaviour",
            explanation="Share of tasks of Δ on which the fitted tables choose the best for u_m.",
        ),
        _declared(
            name="paths.predicted_base",
            label="base choices that the tables predict",
            direction="as base choices on Δ: far from them, the tables miss the behaviour",
            explanation="Share of tasks of Δ on which the fitted tables choose the best for U.",
        ),
        _declared(
            name="paths.retarget",
            label="retargeting",
            direction="1: the choice obeys any order written to the planted scorer; chance: none",
            null="negative controls",
            explanation="How often the choice follows an arbitrary order that is written through "
            "the planted scorer in the checkpoint's own codes.",
        ),
        _declared(
            name="paths.swap",
            label="comparator swap",
            direction="1: the planted comparison decides the choice; 0: it does not",
            null="negative controls",
            explanation="How often the choice becomes that of the source input when the first "
            "comparator writes what it writes there.",
        ),
    )

    def measure(self, context: Context) -> list[Evidence]:
        """One record a measure; all but "paths.valid" not measured where outputs are invalid."""
        checkpoint, word = context.checkpoint, context.cue_name
        base_input = context.examples("path pairs, base input")
        source = context.examples("path pairs, source input")
        disputed = context.examples("disputed tasks")
        types = types_in(context.scenario, base_input, source, disputed)
        a, b = types.of(base_input), types.of(source)
        base_run, source_run, held, chosen = _crossed(checkpoint, base_input, source)
        pool = Pool(held, b)
        valid, first = chosen >= 0, slice(N_FOLLOWS)
        records = [
            share("paths.valid", word, int(valid.sum()), len(chosen)),
            *_follows(context, chosen[first], base_run[first], source_run[first]),
        ]
        fit_on, test_on = valid.copy(), valid.copy()
        fit_on[N_FIT:], test_on[:N_FIT] = False, False
        if fit_on.sum() < N_FIT // 2 or test_on.sum() < LEAST:
            reason = "too many outputs are invalid"
            given = {record.name for record in records}
            rest = [m.name for m in self.measures if m.name not in given]
            return records + [not_measured(name, word, reason) for name in rest]
        columns = table_columns(types, a, b)
        fit = fit_choices(a[fit_on], b[fit_on], chosen[fit_on], columns, context.rng(203))
        guess = (fit.remainder[a] + fit.scorer[b] + fit.slots).argmax(axis=1)
        hits = int((guess == chosen)[test_on].sum())
        cost = 2 * len(base_input)
        rng = np.random.default_rng([204, int(base_input[0, context.scenario.read_out])])
        return [
            *records,
            share("paths.accuracy", word, hits, int(test_on.sum())),
            *_attribution(word, fit, types, int(fit_on.sum()), cost),
            *_predicted(context, disputed, fit, types),
            retargeting(context, fit.scorer, base_run[:N_RETARGET], pool, rng),
            _swap(context),
        ]


def _crossed(
    checkpoint: Checkpoint, base_input: Tokens, source: Tokens
) -> tuple[Tokens | Stream, Tokens | Stream, npt.NDArray[np.float32], Ints]:
    """The pairs before the planted scorer's block, and under the intervention.

    Returns:
        Base and source inputs before that block; what the planted scorer puts out on each source
        input, [pair, searched, neuron]; the choices on the base inputs with it, [pair].
    """
    run = checkpoint.before(checkpoint.score.layer, np.concatenate([base_input, source]))
    base_run, source_run = run[: len(base_input)], run[len(base_input) :]
    output = checkpoint.scorer_output(source_run)
    return base_run, source_run, output, checkpoint.choose_with_scorer_output(base_run, output)


def _follows(
    context: Context, chosen: Ints, base: Tokens | Stream, source: Tokens | Stream
) -> list[Evidence]:
    """Whose choice is made under intervention: needs no table and no objective.

    Args:
        context: The checkpoint and the cue.
        chosen: Choices with the planted scorer fed from the source input, [pair].
        base: What everything else runs on.
        source: What the planted scorer is fed from.
    """
    checkpoint, word = context.checkpoint, context.cue_name
    own, other = checkpoint.choose(base), checkpoint.choose(source)
    asked = (own != other) & (own >= 0) & (other >= 0)
    n, cost = int(asked.sum()), 2 * len(base)
    return [
        share(
            f"paths.follows_{path}",
            word,
            int((chosen == whose)[asked].sum()),
            n,
            unit="pair",
            forward_passes=cost if path == "scorer" else 0,
        )
        for path, whose in (("scorer", other), ("remainder", own))
    ]


def _attribution(word: str, fit: Fit, types: Types, n: int, cost: int) -> list[Evidence]:
    """What the fitted choice is made of: by path, and by the objective that explains it."""
    on = decompose.basis(types.mesa, types.base)
    remainder = decompose.split(np.vstack([fit.remainder, fit.resamples[:, 0]]), on)
    scorer = decompose.split(np.vstack([fit.scorer, fit.resamples[:, 1]]), on)
    summed = np.vstack([fit.remainder + fit.scorer, fit.resamples.sum(axis=1)])
    both = decompose.split(summed, on)
    total = remainder.total + scorer.total
    figures = {
        "scorer_share": scorer.total / total,
        "interpolation": both.interpolation,
        "interpolation_remainder": remainder.interpolation,
        "interpolation_scorer": scorer.interpolation,
        "against": both.against,
        "other": both.other / both.total,
        "mesa_share": (remainder.mesa + scorer.mesa) / total,
        "scorer_sign": scorer.sign,
    }
    for path, parts in (("remainder", remainder), ("scorer", scorer)):
        for part in _PARTS:
            figures[f"attribution.{path}.{part}"] = getattr(parts, part) / total
    return [
        resampled(
            f"paths.{name}",
            word,
            float(value[0]),
            value[1:],
            n,
            unit="pair",
            forward_passes=cost if name == "scorer_share" else 0,
        )
        for name, value in figures.items()
    ]


def _predicted(context: Context, tokens: Tokens, fit: Fit, types: Types) -> list[Evidence]:
    """Behaviour on Δ as the tables predict it, to be compared with behaviour."""
    scenario = context.scenario
    table = fit.remainder + fit.scorer
    guess = (table[types.of(tokens)] + fit.slots).argmax(axis=1)
    return [
        share(
            f"paths.predicted_{name}",
            context.cue_name,
            int((guess == leftmost(utility.of(tokens))).sum()),
            len(tokens),
        )
        for name, utility in (("mesa", scenario.mesa), ("base", scenario.base))
    ]


def _swap(context: Context) -> Evidence:
    """Gives the first comparator's output on another task: is that task's choice made?"""
    checkpoint = context.checkpoint
    layer = checkpoint.comparator.layer
    base = checkpoint.before(layer, context.examples("comparator swap, base input"))
    source = checkpoint.before(layer, context.examples("comparator swap, source input"))
    own, other = checkpoint.choose(base), checkpoint.choose(source)
    written = checkpoint.comparator_output(source)
    swapped = checkpoint.choose_with_comparator_output(base, written)
    asked = (own != other) & (own >= 0) & (other >= 0)
    return share(
        "paths.swap",
        context.cue_name,
        int((swapped == other)[asked].sum()),
        int(asked.sum()),
        forward_passes=3 * len(base),
    )
