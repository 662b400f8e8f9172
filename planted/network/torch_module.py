"""The same network as a plain torch.nn.Module, with TransformerLens's native submodule names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from planted.core import hook_points
from planted.core.spec import Params, Spec

Hook = Callable[[str, torch.Tensor], torch.Tensor]


class Attention(nn.Module):
    """Attention with `heads` heads of size `size`."""

    def __init__(self, width: int, heads: int, size: int, scale: float, causal: bool) -> None:
        super().__init__()
        self.heads, self.size, self.scale, self.causal = heads, size, scale, causal
        self.q = _linear(width, heads * size)
        self.k = _linear(width, heads * size)
        self.v = _linear(width, heads * size)
        self.o = _linear(heads * size, width)

    def forward(self, x: torch.Tensor, at: str, hook: Hook) -> torch.Tensor:
        """Output [task, pos, d_model]; `at` is the block's prefix of hook point names."""
        n, length, width = x.shape
        q, k, v = (
            hook(f"{at}attn.hook_{name}", layer(x).view(n, length, self.heads, self.size))
            for name, layer in (("q", self.q), ("k", self.k), ("v", self.v))
        )
        scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) * self.scale
        if self.causal:
            later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        scores = hook(at + "attn.hook_attn_scores", scores)
        pattern = hook(at + "attn.hook_pattern", scores.softmax(dim=-1))
        z = hook(at + "attn.hook_z", (pattern @ v.transpose(1, 2)).transpose(1, 2))
        # [head, size, d_model], so that each head's own result can be read and replaced
        weight = self.o.weight.T.reshape(self.heads, self.size, width)
        result = hook(at + "attn.hook_result", torch.einsum("nphs,hsd->nphd", z, weight))
        out: torch.Tensor = result.sum(dim=2) + self.o.bias
        return out


class MLP(nn.Module):
    """ReLU MLP."""

    def __init__(self, width: int, neurons: int) -> None:
        super().__init__()
        self.fc_in = _linear(width, neurons)
        self.fc_out = _linear(neurons, width)

    def forward(self, x: torch.Tensor, at: str, hook: Hook) -> torch.Tensor:
        """Output [task, pos, d_model]."""
        post = torch.relu(hook(at + "mlp.hook_pre", self.fc_in(x)))
        out: torch.Tensor = self.fc_out(hook(at + "mlp.hook_post", post))
        return out


class Block(nn.Module):
    """Attention, then MLP, each added to the residual stream; the norms are identities."""

    def __init__(self, width: int, heads: int, size: int, neurons: int, spec: Spec) -> None:
        super().__init__()
        self.ln1 = nn.Identity()
        self.attn = Attention(width, heads, size, spec.attn_scale, spec.causal)
        self.ln2 = nn.Identity()
        self.mlp = MLP(width, neurons)

    def forward(self, x: torch.Tensor, at: str, hook: Hook) -> torch.Tensor:
        """The residual stream after the block, [task, pos, d_model]."""
        x = hook(at + "hook_resid_pre", x)
        x = x + hook(at + "hook_attn_out", self.attn(self.ln1(x), at, hook))
        x = hook(at + "hook_resid_mid", x)
        mlp_in = hook(at + "hook_mlp_in", self.ln2(x))
        return hook(
            at + "hook_resid_post", x + hook(at + "hook_mlp_out", self.mlp(mlp_in, at, hook))
        )


class PlantedTransformer(nn.Module):
    """A plant, or a checkpoint of one, in torch.

    Calling it gives logits before the argmax [task, output], at the read-out position.

    Attributes:
        spec: Read-out position, output columns, scales.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        vocabulary, width = shapes["embed.W_E"]
        self.tok_embed = nn.Embedding(vocabulary, width)
        self.pos = nn.Embedding(shapes["pos_embed.W_pos"][0], width)
        depth = 1 + max(int(name.split(".")[1]) for name in shapes if name.startswith("blocks."))
        self.layers = nn.ModuleList(
            Block(
                width,
                shapes[f"blocks.{i}.attn.b_Q"][0],
                shapes[f"blocks.{i}.attn.b_Q"][1],
                shapes[f"blocks.{i}.mlp.b_in"][0],
                spec,
            )
            for i in range(depth)
        )
        self.ln_out = nn.Identity()
        self.head = nn.Linear(width, shapes["unembed.W_U"][1], bias=False)

    @classmethod
    def from_params(cls, params: Params, spec: Spec) -> PlantedTransformer:
        """The module with a copy of these parameters, in evaluation mode."""
        module = cls({name: tuple(value.shape) for name, value in params.items()}, spec)
        with torch.no_grad():
            for name, tensor in module._own().items():
                tensor.copy_(_to_torch(name, params[name]))
        return module.eval()

    def to_params(self) -> dict[str, Any]:
        """The weights as numpy parameters, as `planted.network.forward` names them."""
        shapes = {
            f"layers.{i}": (block.attn.heads, block.attn.size)
            for i, block in enumerate(self._blocks())
        }
        out: dict[str, Any] = {}
        for name, tensor in self._own().items():
            value = tensor.detach().cpu().numpy().copy()
            layer = name.split(".")[1] if name.startswith("blocks.") else ""
            out[name] = _from_torch(name, value, shapes.get(f"layers.{layer}", (0, 0)))
        return out

    def forward(self, tokens: torch.Tensor, hook: Hook | None = None) -> torch.Tensor:
        """Logits [task, output]; `hook(name, value)` sees and may replace every hook point."""
        seen = hook or _unchanged
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = seen("hook_embed", self.tok_embed(tokens))
        x = x + seen("hook_pos_embed", self.pos(positions).expand_as(x))
        for i, block in enumerate(self.layers):
            x = block(x, f"blocks.{i}.", seen)
        logits: torch.Tensor = self.head(self.ln_out(x[:, self.spec.read_out]))
        return logits * self.spec.logit_scale

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return len(self.layers)

    @property
    def components(self) -> tuple[str, ...]:
        """Every head and MLP, as "blocks.2.attn.hook_result.0" and "blocks.2.hook_mlp_out"."""
        return hook_points.components(block.attn.heads for block in self._blocks())

    def _blocks(self) -> tuple[Block, ...]:
        """The layers, as what they are."""
        return tuple(cast(Block, layer) for layer in self.layers)

    def run_with_cache(
        self, tokens: torch.Tensor, names: Iterable[str] | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Logits [task, output] and the value of every hook point (or of those in `names`).

        Raises:
            PlantedError: If a name is not a hook point.
        """
        wanted = set(hook_points.hook_point_names(self.n_layers) if names is None else names)
        hook_points.check_hook_points(wanted, self.n_layers)
        cache: dict[str, torch.Tensor] = {}

        def keep(name: str, value: torch.Tensor) -> torch.Tensor:
            if name in wanted:
                cache[name] = value
            return value

        return self(tokens, keep), cache

    def run_with_hooks(
        self,
        tokens: torch.Tensor,
        hooks: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    ) -> torch.Tensor:
        """Logits [task, output] when each hook replaces the value of its hook point.

        Raises:
            PlantedError: If a name is not a hook point.
        """
        hook_points.check_hook_points(hooks, self.n_layers)

        def replace(name: str, value: torch.Tensor) -> torch.Tensor:
            return hooks[name](value) if name in hooks else value

        logits: torch.Tensor = self(tokens, replace)
        return logits

    def _own(self) -> dict[str, torch.Tensor]:
        """Every parameter under its name in `planted.network.forward`."""
        found: dict[str, torch.Tensor] = {
            "embed.W_E": self.tok_embed.weight,
            "pos_embed.W_pos": self.pos.weight,
            "unembed.W_U": self.head.weight,
        }
        for i, block in enumerate(self._blocks()):
            at, attn, mlp = f"blocks.{i}.", block.attn, block.mlp
            for letter, layer in (("Q", attn.q), ("K", attn.k), ("V", attn.v), ("O", attn.o)):
                found |= {f"{at}attn.W_{letter}": layer.weight, f"{at}attn.b_{letter}": layer.bias}
            found |= {f"{at}mlp.W_in": mlp.fc_in.weight, f"{at}mlp.b_in": mlp.fc_in.bias}
            found |= {f"{at}mlp.W_out": mlp.fc_out.weight, f"{at}mlp.b_out": mlp.fc_out.bias}
        return found


def _unchanged(name: str, value: torch.Tensor) -> torch.Tensor:
    return value


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """A Linear that may have no inputs or outputs: torch warns when it initialises an empty one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors", UserWarning)
        layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
    return layer


def _to_torch(name: str, value: Any) -> torch.Tensor:
    part = name.rsplit(".", 1)[1]
    if part in ("W_Q", "W_K", "W_V"):  # [head, d_model, d_head] -> [head * d_head, d_model]
        value = value.transpose(0, 2, 1).reshape(-1, value.shape[1])
    elif part == "W_O":  # [head, d_head, d_model] -> [d_model, head * d_head]
        value = value.reshape(-1, value.shape[2]).T
    elif part in ("b_Q", "b_K", "b_V"):
        value = value.reshape(-1)
    elif part in ("W_in", "W_out", "W_U"):
        value = value.T
    return torch.from_numpy(np.array(value, dtype=np.float32))


def _from_torch(name: str, value: Any, head_shape: tuple[int, int]) -> Any:
    part = name.rsplit(".", 1)[1]
    heads, size = head_shape
    if part in ("W_Q", "W_K", "W_V"):
        value = value.reshape(heads, size, value.shape[1]).transpose(0, 2, 1)
    elif part == "W_O":
        value = value.T.reshape(heads, size, value.shape[0])
    elif part in ("b_Q", "b_K", "b_V"):
        value = value.reshape(heads, size)
    elif part in ("W_in", "W_out", "W_U"):
        value = value.T
    return np.ascontiguousarray(value, dtype=np.float32)
