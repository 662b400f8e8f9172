"""The forward pass, written once for numpy and jax.numpy: the reference for every other runtime.

Pre-activation transformer without LayerNorm, ReLU MLPs, bidirectional attention (causal where the
spec says so), exactly as Tracr builds it, but each block has only the heads, key size and neurons
that its nodes use. Parameters are a flat dict with TransformerLens's names:

    embed.W_E [vocab, d_model]          pos_embed.W_pos [pos, d_model]
    blocks.{l}.attn.W_Q, W_K, W_V [head, d_model, d_head]    b_Q, b_K, b_V [head, d_head]
    blocks.{l}.attn.W_O [head, d_head, d_model]              b_O [d_model]
    blocks.{l}.mlp.W_in [d_model, d_mlp]  b_in [d_mlp]   W_out [d_mlp, d_model]  b_out [d_model]
    unembed.W_U [d_model, output]
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.arguments import mapping
from planted.core.hook_points import Array, Edit, check_hook_points, of_head, split
from planted.core.scenario import Choices, Tokens
from planted.core.spec import Params, Spec, choices, heads_per_layer, n_layers
from planted.core.threads import one_thread
from planted.errors import PlantedError
from planted.network.interventions import by_hook_point, edited


@dataclass(frozen=True)
class Stream:
    """The residual stream before a block: the rest of a forward pass can be run from it.

    Attributes:
        layer: The block; the number of blocks, where the stream is that after the last.
        each: What the stream holds on every different task, [different task, pos, d_model].
        place: Where each task stands in `each`, [task]; None: the tasks are those, in order.
    """

    layer: int
    each: Array
    place: Array | None = None

    @property
    def held(self) -> Array:
        """What the stream holds, [task, pos, d_model]."""
        return self.each if self.place is None else self.each[self.place]

    def __len__(self) -> int:
        """How many tasks."""
        return len(self.each if self.place is None else self.place)

    def __getitem__(self, part: slice | npt.NDArray[np.intp]) -> Stream:
        """The stream of some of the tasks."""
        if self.place is None:
            return Stream(self.layer, self.each[part])
        return Stream(self.layer, self.each, self.place[part])


def forward(
    params: Params,
    tokens: Array | Stream,
    spec: Spec,
    *,
    edits: Mapping[str, Edit] | None = None,
    record: Collection[str] = (),
    recorded_only: bool = False,
    xp: ModuleType = np,
) -> tuple[Array, dict[str, Array]]:
    """Runs the network.

    The last block is computed at the read-out alone, unless one of its hook points is asked for.

    Args:
        params: Parameters, float32.
        tokens: Token ids [task, pos], BOS included; or a stream, from whose block the pass goes on.
        spec: Attention scale, read-out position, output columns.
        edits: Hook point -> function applied to the hook point's value before it is used; it
            returns the new value, or None where it changed numpy's in place.
        record: Names of the hook points to return; "blocks.1.attn.hook_z.0" is one head's part.
        recorded_only: Stop as soon as they are there; the logits are then None.
        xp: numpy or jax.numpy.

    Returns:
        Logits before the argmax [task, output] ([task, pos, output] where the spec unembeds every
        position), and the recorded hook points: residual hook points
        [task, pos, d_model], q/k/v/z [task, pos, head, d_head], scores and pattern
        [task, head, query, key], result [task, pos, head, d_model], mlp pre/post
        [task, pos, d_mlp].

    Raises:
        PlantedError: If a name in `edits` or `record` is not a hook point, or one before the stream
            from which the pass is run; or an edit returns another shape.
    """
    mapping("hooks", edits or {}, "hook points to functions")
    if edits or record:
        check_hook_points([*(edits or {}), *record], heads_per_layer(params))
    if isinstance(tokens, Stream):
        _check_reached([*(edits or {}), *record], tokens.layer)
    wanted: dict[str, set[str]] = {}
    for name in record:
        wanted.setdefault(split(name)[0], set()).add(name)
    run = _run if xp is not np else _run_alone
    whole = by_hook_point(edits or {}, xp.concatenate)
    return run(params, tokens, spec, whole, wanted, recorded_only, xp)


def _check_reached(names: Collection[str], first: int) -> None:
    for name in names:
        if not name.startswith("blocks.") or int(name.split(".")[1]) < first:
            raise PlantedError(
                f"The hook point {name!r} lies before the stream of block {first}, from which the "
                "pass is run: give a stream from before it, or the tokens."
            )


def _run_alone(*given: Any) -> tuple[Array, dict[str, Array]]:
    with one_thread():
        return _run(*given)


def _run(
    params: Params,
    tokens: Array | Stream,
    spec: Spec,
    edits: Mapping[str, Edit],
    wanted: Mapping[str, Collection[str]],
    recorded_only: bool,
    xp: ModuleType,
) -> tuple[Array, dict[str, Array]]:
    """The pass itself, read top to bottom: it is one function so that it can be."""
    depth = n_layers(params)
    cache: dict[str, Array] = {}
    asked = sum(len(names) for names in wanted.values())

    def site(name: str, value: Array) -> Array:
        if name in edits:
            # a copy, so that a change in place acts here and not on what shares the memory
            value = edited(name, edits[name], np.array(value) if xp is np else value)
        for each in wanted.get(name, ()):
            cache[each] = of_head(value, *split(each))
        return value

    def onto(stream: Array, name: str, value: Array) -> Array:
        if xp is not np or name in edits or name in wanted or not value.flags.writeable:
            return stream + site(name, value)
        return np.add(stream, value, out=value)  # nothing else holds it

    last = f"blocks.{depth - 1}."
    whole = spec.everywhere or any(name.startswith(last) for name in (*edits, *wanted))
    first, x = _before(params, tokens, spec, edits, wanted, site, xp)
    whole = whole or first == depth
    for layer in range(first, depth):
        at = f"blocks.{layer}."
        x = site(at + "hook_resid_pre", x)
        if recorded_only and len(cache) == asked:
            return None, cache
        asking = x if at != last or whole else x[:, spec.read_out : spec.read_out + 1]
        out = _attention(params, x, asking, at, spec, site, edits, wanted, xp)
        x = site(at + "hook_resid_mid", onto(asking, at + "hook_attn_out", out))
        out = _affine(site(at + "hook_mlp_in", x), params[at + "mlp.W_in"], params[at + "mlp.b_in"])
        pre = site(at + "mlp.hook_pre", out)
        held = xp is not np or at + "mlp.hook_pre" in edits or at + "mlp.hook_pre" in wanted
        out = xp.maximum(pre, 0) if held else np.maximum(pre, 0, out=pre)
        post = site(at + "mlp.hook_post", out)
        if recorded_only and len(cache) == asked:
            return None, cache
        out = _affine(post, params[at + "mlp.W_out"], params[at + "mlp.b_out"])
        x = site(at + "hook_resid_post", onto(x, at + "hook_mlp_out", out))
    return x[:, spec.unembedded if whole else 0] @ params["unembed.W_U"] * spec.logit_scale, cache


def _before(
    params: Params,
    tokens: Array | Stream,
    spec: Spec,
    edits: Mapping[str, Edit],
    wanted: Mapping[str, Collection[str]],
    site: Callable[[str, Array], Array],
    xp: ModuleType,
) -> tuple[int, Array]:
    """The first block to run, and the residual stream before it, [task, pos, d_model]."""
    if isinstance(tokens, Stream):
        return tokens.layer, tokens.held
    vocabulary = len(params["embed.W_E"])
    alone = _before_heads(params, [*edits, *wanted])
    if xp is np and alone and len(tokens) > vocabulary:
        # what a position holds there depends on its own token: every token is run once
        name = f"blocks.{alone}.hook_resid_pre"
        each = np.repeat(np.arange(vocabulary)[:, None], tokens.shape[1], axis=1)
        held = _run(params, each, spec, {}, {name: {name}}, True, xp)[1][name]
        return alone, held[tokens, np.arange(tokens.shape[1])]
    x = site("hook_embed", params["embed.W_E"][tokens])
    positions = xp.broadcast_to(params["pos_embed.W_pos"][: tokens.shape[1]], x.shape)
    return 0, x + site("hook_pos_embed", positions)


def _before_heads(params: Params, names: Collection[str]) -> int:
    """How many blocks come before the first with a head or one of the hook points, and the last."""
    blocks = [int(name.split(".")[1]) if name.startswith("blocks.") else 0 for name in names]
    heads = (layer for layer, n in enumerate(heads_per_layer(params)) if n)
    return min([n_layers(params) - 1, *blocks, next(heads, n_layers(params))])


def _attention(
    params: Params,
    x: Array,
    asking: Array,
    at: str,
    spec: Spec,
    site: Callable[[str, Array], Array],
    edits: Mapping[str, Edit],
    wanted: Collection[str],
    xp: ModuleType,
) -> Array:
    """Output of one block's attention at the positions in `asking`, [task, query, d_model]."""
    n, _, width = x.shape
    heads, _, size = params[at + "attn.W_Q"].shape
    if not heads and not any(name.startswith(at + "attn.") for name in (*edits, *wanted)):
        return xp.broadcast_to(params[at + "attn.b_O"], asking.shape)

    def project(which: str, stream: Array) -> Array:
        # One matrix product for all heads: batched small products are several times slower.
        weight = params[f"{at}attn.W_{which}"].transpose(1, 0, 2).reshape(width, heads * size)
        value = _affine(stream, weight, params[f"{at}attn.b_{which}"].reshape(heads * size))
        return site(f"{at}attn.hook_{which.lower()}", value.reshape(*value.shape[:2], heads, size))

    q, k, v = project("Q", asking), project("K", x), project("V", x)
    scores = q.transpose(0, 2, 1, 3) @ k.transpose(0, 2, 3, 1) * np.float32(spec.attn_scale)
    if spec.causal:
        asked = (
            xp.arange(x.shape[1]) if asking.shape[1] == x.shape[1] else xp.array([spec.read_out])
        )
        scores = xp.where(xp.arange(x.shape[1]) <= asked[:, None], scores, -xp.inf)
    scores = site(at + "attn.hook_attn_scores", scores)
    weights = xp.exp(scores - scores.max(axis=-1, keepdims=True))
    pattern = site(at + "attn.hook_pattern", weights / weights.sum(axis=-1, keepdims=True))
    z = site(at + "attn.hook_z", (pattern @ v.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3))
    name, weight = at + "attn.hook_result", params[at + "attn.W_O"]
    if name in edits or name in wanted:
        result = site(name, (z.transpose(2, 0, 1, 3) @ weight[:, None]).transpose(1, 2, 0, 3))
        return result.sum(axis=2) + params[at + "attn.b_O"]
    z, weight = z.reshape(n, asking.shape[1], heads * size), weight.reshape(heads * size, width)
    return _affine(z, weight, params[at + "attn.b_O"])


def _affine(value: Array, weight: Array, bias: Array) -> Array:
    """The product value @ weight as one, + bias: numpy would make one small product a task."""
    rows = value.reshape(value.shape[0] * value.shape[1], value.shape[2])
    out = rows @ weight
    out += bias  # by numpy in place
    return out.reshape(value.shape[0], value.shape[1], weight.shape[1])


CHUNK = 500  # tasks a forward pass: more of wide MLPs fall out of the processor's cache


def logits_of(params: Params, spec: Spec, tokens: Tokens | Stream, **how: Any) -> Any:
    """Logits [task, output] of any number of tasks, by numpy, a chunk at a time."""
    parts = [
        forward(params, tokens[i : i + CHUNK], spec, **how)[0] for i in range(0, len(tokens), CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(spec.outputs)), np.float32)


def choices_of(params: Params, spec: Spec, tokens: Tokens | Stream, **how: Any) -> Choices:
    """Chosen candidates [task]; -1 where the output is invalid."""
    return np.asarray(choices(logits_of(params, spec, tokens, **how), spec))
