"""Methods to compare with (exact patching, a linear probe) and the nulls of every method.

Each is made for a scenario, which is where it has its labels from: `exact_patching(scenario)` is a
method of the form that `planted.score` takes. All run by numpy, also when given a torch module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.objectives import leftmost
from planted.core.scenario import Choices, Scenario
from planted.core.spec import Params, n_layers
from planted.eval.methods.locate import Method, Scores
from planted.network.forward import forward
from planted.network.model import Network

Floats = npt.NDArray[np.float64]
Change = npt.NDArray[np.float32]  # [task, pos, d_model]
# (component's place, its change of the stream) -> what of the change is patched in
Part = Callable[[int, Change], Change]

ALPHA = 1.0  # ridge penalty, on standardised features
FOLDS = 5  # of pairs
ROUNDING = 1e-5  # of the largest logit: what float32 makes of no change, across layers


def exact_patching(scenario: Scenario) -> Method:
    """Puts one component's counterfactual output at a time into the run, and the other way round.

    The score of a component is the mean absolute change of the logit difference between the two
    winners (the mesa-choices on the two tasks of a pair), divided by the mean absolute change when
    all of the input is exchanged: the fraction of the effect that this component carries. A ratio
    of means, since single pairs may have no effect; absolute, since a component may push either
    way; divided, since logit scales differ between networks, and scores are compared between
    networks.
    """

    def locate(module: Any, tokens: Any, counterfactual: Any) -> dict[str, float]:
        return _patched(module, scenario, tokens, counterfactual, lambda _, change: change)

    return locate


def matched_rank(scenario: Scenario, rank: int, seed: Sequence[int]) -> Method:
    """The null without directions: patches a random subspace of this rank at each component."""

    def locate(module: Any, tokens: Any, counterfactual: Any) -> dict[str, float]:
        rng = np.random.default_rng([*seed, 0x5B5])

        def part(_: int, change: Change) -> Change:
            kept = np.empty_like(change)
            for position in range(change.shape[1]):
                basis = np.linalg.qr(rng.normal(size=(change.shape[2], rank)))[0]
                basis = basis.astype(np.float32)
                kept[:, position] = (change[:, position] @ basis) @ basis.T
            return kept

        return _patched(module, scenario, tokens, counterfactual, part)

    return locate


def random_scores(shape: tuple[int, ...], seed: Sequence[int]) -> Scores:
    """The null that has not looked: a uniform score for each component, [component, position]."""
    return np.random.default_rng([*seed, 0x4A4]).random(shape)


def linear_probe(scenario: Scenario) -> Method:
    """Reads the value u_m of the candidate at a position off each component's output there.

    The score of a component is the R² of ridge regression on held-out pairs (pooled over folds;
    both tasks of a pair are in one fold), negative ones counting 0. It is told the candidates'
    values and positions: components at other positions, where it has no label, are left at 0. A
    probe finds what can be read, not what is used: it fires wherever a component knows which token
    it stands on.
    """

    def locate(module: Any, tokens: Any, counterfactual: Any) -> dict[str, float]:
        network = as_network(module)
        both = np.concatenate([np.asarray(tokens), np.asarray(counterfactual)])
        fold = np.arange(len(both)) % len(tokens) % FOLDS
        values = scenario.mesa.of(both)
        return {
            f"{name}@{position}": read_off(output[:, position], values[:, i], fold)
            for name, output in _outputs(network, both).items()
            for i, position in enumerate(scenario.candidates)
        }

    return locate


def read_off(output: npt.ArrayLike, labels: Floats, fold: Choices) -> float:
    """R² of labels [task] read off features [task, d_model] by cross-validated ridge, at least 0.

    In closed form, a fold at a time: scikit-learn's Ridge gives the same numbers and spends nine
    tenths of its time on checking its arguments.
    """
    features = np.asarray(output, dtype=np.float64)
    spread = features.std(axis=0)
    live = spread > 1e-6 * np.abs(features).max(initial=1.0)
    features, read = features[:, live] / spread[live], np.empty_like(labels)
    if not live.any() or np.ptp(labels) == 0:
        return 0.0
    for held_out in np.unique(fold):
        train, test = fold != held_out, fold == held_out
        centre, level = features[train].mean(axis=0), labels[train].mean()
        x = features[train] - centre
        gram = x.T @ x + ALPHA * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x.T @ (labels[train] - level))
        read[test] = (features[test] - centre) @ weights + level
    lost = ((labels - read) ** 2).sum() / ((labels - labels.mean()) ** 2).sum()
    return max(0.0, 1.0 - float(lost))


# Name -> what makes the method for a scenario.
BUILTIN: Mapping[str, Callable[[Scenario], Method]] = MappingProxyType(
    {"exact-patching": exact_patching, "linear-probe": linear_probe}
)


def as_network(module: Any) -> Network:
    """The network by numpy, whichever runtime it came in."""
    return module if isinstance(module, Network) else Network(module.to_params(), module.spec)


def _place(component: str) -> tuple[int, int | None]:
    """Layer and head of a component; the head of an MLP is None."""
    parts = component.split(".")
    return int(parts[1]), int(parts[-1]) if parts[-1].isdigit() else None


def _outputs(network: Network, tokens: Any) -> dict[str, Change]:
    """What each component writes into the residual stream: name -> [task, pos, d_model]."""
    names = [f"blocks.{layer}.attn.hook_result" for layer in range(network.n_layers)]
    names += [f"blocks.{layer}.hook_mlp_out" for layer in range(network.n_layers)]
    _, cache = network.run_with_cache(tokens, names)
    out = {}
    for component in network.components:
        layer, head = _place(component)
        out[component] = (
            cache[component]
            if head is None
            else cache[f"blocks.{layer}.attn.hook_result"][:, :, head]
        )
    return out


def _patched(
    module: Any, scenario: Scenario, tokens: Any, counterfactual: Any, part: Part
) -> dict[str, float]:
    """Scores of patching each component with `part` of its change: "hook_point@pos" -> fraction.

    Both directions run as one batch. A patch only changes the network downstream of its component,
    so each runs from there on, all positions of a component in one forward pass; a component that
    writes the same on both tasks of a pair changes nothing and is not run.
    """
    network = as_network(module)
    network = Network(_without_silent(network.params), network.spec)
    n = len(tokens)
    batch = np.concatenate([np.asarray(tokens), np.asarray(counterfactual)])
    winner = leftmost(scenario.mesa.of(batch))
    other = np.roll(winner, n)
    streams = [f"blocks.{i}.hook_resid_{at}" for i in range(network.n_layers) for at in _AFTER]
    logits, stream = network.run_with_cache(batch, streams)
    before = _difference(logits, winner, other)
    whole = float(np.abs(_difference(np.roll(logits, n, axis=0), winner, other) - before).mean())
    found: dict[str, float] = {}
    for i, (component, output) in enumerate(_outputs(network, batch).items()):
        layer, head = _place(component)
        change = np.roll(output, n, axis=0) - output
        task, position = np.nonzero(change.any(axis=-1))
        if not len(task) or whole == 0:
            continue
        at = "post" if head is None else "mid"
        patched = stream[f"blocks.{layer}.hook_resid_{at}"][task]
        patched[np.arange(len(task)), position] += part(i, change)[task, position]
        after = _difference(_onwards(network, layer, at, patched), winner[task], other[task])
        change = np.abs(beyond_rounding(after - before[task], logits[task]))
        moved = np.bincount(position, change, minlength=batch.shape[1]) / len(batch)
        found |= {f"{component}@{p}": float(share) for p, share in enumerate(moved / whole)}
    return found


def beyond_rounding(change: Any, logits: Any) -> Any:
    """A change of logits without what rounding makes of none: 0 where it is that small.

    Otherwise what has no effect is ranked by rounding, which differs between processors.

    Args:
        change: Of logits or of their differences, [task] or [task, output].
        logits: What was changed, [task, output].
    """
    return np.where(np.abs(change) > ROUNDING * np.abs(logits).max(), change, 0)


_AFTER = ("mid", "post")  # where heads, and the MLP, have been added to the residual stream
_NEURONS = {"W_in": 1, "b_in": 0, "W_out": 0}  # axis of the neurons
_CHUNK = 200  # tasks a forward pass: at 1000, these wide MLPs take up to twice as long


def _difference(logits: Any, winner: Choices, other: Choices) -> Any:
    """Logit of one winner minus that of the other, [task]."""
    rows = np.arange(len(logits))
    return logits[rows, winner] - logits[rows, other]


def _onwards(network: Network, layer: int, at: str, stream: Change) -> Any:
    """Logits when the residual stream in the middle or at the end of a block holds `stream`."""
    params = _from_block(network.params, layer, with_mlp=at == "mid")
    tokens = np.zeros(stream.shape[:2], dtype=np.int64)
    parts = []
    for i in range(0, len(stream), _CHUNK):
        here = stream[i : i + _CHUNK]
        edits = {f"blocks.0.hook_resid_{at}": lambda _, here=here: here}
        parts.append(forward(params, tokens[i : i + _CHUNK], network.spec, edits=edits)[0])
    return np.concatenate(parts)


def _without_silent(params: Params) -> dict[str, Any]:
    """The same network without neurons that write nothing: in a plant most are padding."""
    kept = dict(params)
    for layer in range(n_layers(params)):
        at = f"blocks.{layer}.mlp."
        live = params[at + "W_out"].any(axis=1)
        for name, axis in _NEURONS.items():
            kept[at + name] = params[at + name].compress(live, axis=axis)
    return kept


def _from_block(params: Params, layer: int, with_mlp: bool) -> dict[str, Any]:
    """The blocks from `layer` on, the first without its heads and, if told so, its neurons."""
    kept = {name: value for name, value in params.items() if not name.startswith("blocks.")}
    for name, value in params.items():
        if name.startswith("blocks.") and int(name.split(".")[1]) >= layer:
            _, at, rest = name.split(".", 2)
            kept[f"blocks.{int(at) - layer}.{rest}"] = value
    emptied = {"attn.W_Q": 0, "attn.W_K": 0, "attn.W_V": 0, "attn.W_O": 0}
    emptied |= {"attn.b_Q": 0, "attn.b_K": 0, "attn.b_V": 0}
    for part, axis in emptied.items():
        kept[f"blocks.0.{part}"] = kept[f"blocks.0.{part}"].take([], axis=axis)
    if not with_mlp:
        for part, axis in _NEURONS.items():
            kept[f"blocks.0.mlp.{part}"] = kept[f"blocks.0.mlp.{part}"].take([], axis=axis)
    return kept
