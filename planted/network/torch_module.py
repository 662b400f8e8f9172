"""The same network as a plain torch.nn.Module, with TransformerLens's native submodule names.

Every submodule is called, and every hook point is one: a forward hook on it sees what stands there
and may replace it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast

import torch
from torch import nn

from planted.core import hook_points
from planted.core.arguments import mapping
from planted.core.arrays import to_numpy
from planted.core.hook_points import Edit
from planted.core.spec import Params, Spec
from planted.core.tokens import BOS_ID, check_tokens
from planted.errors import CheckpointError, PlantedError
from planted.network.config import Config
from planted.network.interventions import by_hook_point, edited
from planted.network.layout import from_torch, to_torch, torch_name
from planted.network.torch_hook_point import HookPoint


class Output(nn.Linear):
    """The output matrix of attention, head by head."""

    def __init__(self, heads: int, size: int, width: int) -> None:
        super().__init__(heads * size, width)
        self.heads, self.size = heads, size
        self.hook_result = HookPoint()

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """The sum of all heads' results [task, pos, d_model] for z [task, pos, head * d_head]."""
        n, length, _ = z.shape
        apart = z.view(n, length, self.heads, self.size)
        weight = self.weight.T.reshape(self.heads, self.size, self.out_features)
        result = self.hook_result(torch.einsum("nphs,hsd->nphd", apart, weight))
        out: torch.Tensor = result.sum(dim=2) + self.bias
        return out


class Attention(nn.Module):
    """Attention with `heads` heads of size `size`."""

    accepts_pattern_fn = True  # TransformerLens's bridge then passes its hook_pattern

    def __init__(self, width: int, heads: int, size: int, scale: float, causal: bool) -> None:
        super().__init__()
        self.heads, self.size, self.scale, self.causal = heads, size, scale, causal
        self.q = nn.Linear(width, heads * size)
        self.k = nn.Linear(width, heads * size)
        self.v = nn.Linear(width, heads * size)
        self.o = Output(heads, size, width)
        self.hook_q, self.hook_k, self.hook_v = HookPoint(), HookPoint(), HookPoint()
        self.hook_attn_scores, self.hook_pattern = HookPoint(), HookPoint()
        self.hook_z = HookPoint()

    def forward(
        self,
        x: torch.Tensor,
        pattern_fn: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Output [task, pos, d_model]; `pattern_fn` sees and may replace the pattern."""
        n, length, _ = x.shape
        apart = (n, length, self.heads, self.size)
        q = self.hook_q(self.q(x).view(apart))
        k = self.hook_k(self.k(x).view(apart))
        v = self.hook_v(self.v(x).view(apart))
        scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) * self.scale
        if self.causal:
            later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=-1))
        pattern = pattern if pattern_fn is None else pattern_fn(pattern)
        z = self.hook_z((pattern @ v.transpose(1, 2)).transpose(1, 2))
        out: torch.Tensor = self.o(z.reshape(n, length, self.heads * self.size))
        return out


class MLP(nn.Module):
    """ReLU MLP."""

    def __init__(self, width: int, neurons: int) -> None:
        super().__init__()
        self.fc_in = nn.Linear(width, neurons)
        self.fc_out = nn.Linear(neurons, width)
        self.hook_pre, self.hook_post = HookPoint(), HookPoint()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Output [task, pos, d_model]."""
        post = self.hook_post(torch.relu(self.hook_pre(self.fc_in(x))))
        out: torch.Tensor = self.fc_out(post)
        return out


class Unchanged(nn.Identity):
    """In the place of a norm: gives its input on, as memory of its own."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The input, copied, so that an edit in place does not reach the stream."""
        return input.clone()


class Block(nn.Module):
    """Attention, then MLP, each added to the residual stream; the norms are identities."""

    def __init__(self, width: int, heads: int, size: int, neurons: int, spec: Spec) -> None:
        super().__init__()
        self.ln1 = Unchanged()
        self.attn = Attention(width, heads, size, spec.attn_scale, spec.causal)
        self.ln2 = Unchanged()
        self.mlp = MLP(width, neurons)
        self.hook_resid_pre, self.hook_resid_mid = HookPoint(), HookPoint()
        self.hook_resid_post = HookPoint()
        self.hook_attn_out, self.hook_mlp_out = HookPoint(), HookPoint()
        self.hook_mlp_in = HookPoint()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The residual stream after the block, [task, pos, d_model]."""
        x = self.hook_resid_pre(x)
        x = self.hook_resid_mid(x + self.hook_attn_out(self.attn(self.ln1(x))))
        out = self.hook_mlp_out(self.mlp(self.hook_mlp_in(self.ln2(x))))
        after: torch.Tensor = self.hook_resid_post(x + out)
        return after


class PlantedTransformer(nn.Module):
    """A plant, or a checkpoint of one, in torch.

    Calling it gives logits before the argmax [task, output], at the read-out position.

    Attributes:
        spec: Read-out position, output columns, scales.
        config: Its sizes.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], spec: Spec, bos: int | None = BOS_ID
    ) -> None:
        super().__init__()
        self.spec, self.bos = spec, bos
        self.config = Config.of(shapes, spec)
        vocabulary, width = shapes["embed.W_E"]
        with _own_random_state():
            self.tok_embed = nn.Embedding(vocabulary, width)
            self.pos = nn.Embedding(self.config.n_ctx, width)
            sizes = zip(self.config.n_heads, self.config.d_head, self.config.d_mlp, strict=True)
            self.layers = nn.ModuleList(
                Block(width, heads, size, neurons, spec) for heads, size, neurons in sizes
            )
            self.ln_out = Unchanged()
            self.head = nn.Linear(width, self.config.d_vocab_out, bias=False)
        self.hook_embed, self.hook_pos_embed = HookPoint(), HookPoint()
        self.to(torch.float32)  # whatever torch's default type is

    @classmethod
    def from_params(
        cls, params: Params, spec: Spec, bos: int | None = BOS_ID
    ) -> PlantedTransformer:
        """The module with a copy of these parameters, in evaluation mode.

        Args:
            params: As `planted.network.forward` takes them.
            spec: How to run them.
            bos: Id of the token at position 0 and nowhere else; None if there is no such rule.
        """
        module = cls({name: tuple(value.shape) for name, value in params.items()}, spec, bos)
        with torch.no_grad():
            for name, tensor in module._own().items():
                tensor.copy_(torch.from_numpy(to_torch(name, params[name])))
        return module.eval()

    def to_params(self) -> dict[str, Any]:
        """The weights as numpy parameters, float32, as `planted.network.forward` names them.

        Raises:
            CheckpointError: If a layer was replaced by one that is not a plain Linear, as an
                adapter that is not merged.
        """
        found = {}
        for name, tensor in self._own().items():
            layer = int(name.split(".")[1]) if ".attn." in name else 0
            heads, size = self.config.n_heads[layer], self.config.d_head[layer]
            found[name] = from_torch(name, tensor, heads, size)
        return found

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.tok_embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of its weights, and of all that it computes."""
        return self.tok_embed.weight.dtype

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return len(self.layers)

    @property
    def components(self) -> tuple[str, ...]:
        """Every head and MLP, as "blocks.2.attn.hook_result.0" and "blocks.2.hook_mlp_out"."""
        return hook_points.components(self.config.n_heads)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [task, output].

        Args:
            tokens: Token ids [task, pos], BOS included; brought to the module's device.

        Raises:
            PlantedError: If they are no tasks.
        """
        tokens = self._tokens(tokens)
        positions = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
        x = self.hook_embed(self.tok_embed(tokens)) + self.hook_pos_embed(self.pos(positions))
        for block in self.layers:
            x = block(x)
            x = x[0] if isinstance(x, tuple) else x  # as TransformerLens's bridge gives it
        logits: torch.Tensor = self.head(self.ln_out(x[:, self.spec.unembedded]))
        return logits * self.spec.logit_scale

    def path_of(self, name: str) -> str:
        """Where the submodule of a hook point is, as "layers.0.attn.hook_pattern".

        Raises:
            PlantedError: If the name is not a hook point.
        """
        hook_points.check_hook_points([name], self.config.n_heads)
        point, _ = hook_points.split(name)
        path = point.replace("blocks.", "layers.")
        return path.replace("attn.hook_result", "attn.o.hook_result")

    def hook_point(self, name: str) -> HookPoint:
        """The submodule that stands for a hook point, for forward hooks of one's own.

        Raises:
            PlantedError: If the name is not a hook point.
        """
        return cast(HookPoint, self.get_submodule(self.path_of(name)))

    def run_with_cache(
        self, tokens: torch.Tensor, names: str | Iterable[str] | Callable[[str], bool] | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Logits [task, output] and the value of hook points.

        Args:
            tokens: Token ids [task, pos], BOS included.
            names: All hook points if None; or one, several, or a function from a name to whether
                it is wanted. "blocks.1.attn.hook_result.0" is one head's part.

        Raises:
            PlantedError: If a name is not a hook point, or the tokens are no tasks.
        """
        wanted: dict[str, list[str]] = {}
        for name in hook_points.selected(names, self.config.n_heads):
            wanted.setdefault(hook_points.split(name)[0], []).append(name)
        cache: dict[str, torch.Tensor] = {}

        def keep(point: str) -> Callable[[torch.Tensor], None]:
            def hook(value: torch.Tensor) -> None:
                for name in wanted[point]:
                    cache[name] = hook_points.of_head(value, *hook_points.split(name))

            return hook

        with self._hooked({point: keep(point) for point in wanted}):
            return self(tokens), cache

    def run_with_hooks(self, tokens: torch.Tensor, hooks: Mapping[str, Edit]) -> torch.Tensor:
        """Logits [task, output] when hooks replace the values of their hook points.

        Args:
            tokens: Token ids [task, pos], BOS included.
            hooks: Hook point, or a head of one as "blocks.1.attn.hook_z.0", -> function of its
                value that returns the new one, or None where it changed it in place.

        Raises:
            PlantedError: If a name is not a hook point, the tokens are no tasks, or a hook returns
                another shape.
        """
        mapping("hooks", hooks, "hook points to functions")
        hook_points.check_hook_points(hooks, self.config.n_heads)

        def replacing(name: str, edit: Edit) -> Edit:
            return lambda value: edited(name, edit, value)

        whole = by_hook_point(hooks, torch.cat)
        with self._hooked({name: replacing(name, edit) for name, edit in whole.items()}):
            logits: torch.Tensor = self(tokens)
        return logits

    @contextmanager
    def _hooked(self, hooks: Mapping[str, Callable[[torch.Tensor], Any]]) -> Iterator[None]:
        """Forward hooks on hook points, as long as the context lasts."""
        handles = []
        try:
            for name, hook in hooks.items():
                point = self.hook_point(name)
                handles.append(
                    point.register_forward_hook(lambda _, __, value, hook=hook: hook(value))
                )
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _tokens(self, tokens: Any) -> torch.Tensor:
        """The tokens on the module's device, checked where their values can be looked at."""
        given: torch.Tensor = (
            tokens if isinstance(tokens, torch.Tensor) else torch.from_numpy(to_numpy(tokens))
        )
        if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
            raise PlantedError(f"Tokens are whole numbers [task, pos], got {given.dtype}.")
        given = given.to(self.device, torch.int64)
        if not (torch.compiler.is_compiling() or torch._C._get_tracing_state()):
            config = self.config
            with suppress(RuntimeError):  # inside vmap a value is none that can be asked for
                check_tokens(given, config.d_vocab, self.spec.needed, config.n_ctx, self.bos)
        return given

    def _own(self) -> dict[str, torch.Tensor]:
        """Every parameter under its name in `planted.network.forward`."""
        names = ["embed.W_E", "pos_embed.W_pos"]
        for layer in range(self.n_layers):
            at = f"blocks.{layer}."
            names += [f"{at}attn.{kind}_{x}" for x in "QKVO" for kind in "Wb"]
            names += [f"{at}mlp.{kind}_{x}" for x in ("in", "out") for kind in "Wb"]
        found: dict[str, torch.Tensor] = {}
        for name in (*names, "unembed.W_U"):
            path, _, which = torch_name(name).rpartition(".")
            try:
                layer_of = self.get_submodule(path)
            except AttributeError:
                raise _changed(f"there is no {path}") from None
            if not isinstance(layer_of, nn.Linear | nn.Embedding):
                raise _changed(f"{path} is a {type(layer_of).__name__}, merge an adapter first")
            if not isinstance(tensor := getattr(layer_of, which), torch.Tensor):
                raise _changed(f"{path} has no {which}")
            found[name] = tensor
        self._check_nothing_else(found)
        return found

    def _check_nothing_else(self, found: Mapping[str, torch.Tensor]) -> None:
        """That no other parameter, norm or mask makes of the weights what they do not say.

        Raises:
            CheckpointError: Naming what was added or replaced.
        """
        own = {id(tensor) for tensor in found.values()}
        for name, parameter in self.named_parameters():
            if id(parameter) not in own:
                raise _changed(f"{name} is a parameter that a plant has not")
        norms: dict[str, Any] = {"ln_out": self.ln_out}
        blocks: Iterable[Any] = self.layers
        for number, block in enumerate(blocks):
            norms |= {f"layers.{number}.{name}": getattr(block, name) for name in ("ln1", "ln2")}
            if block.attn.causal != self.spec.causal:
                raise _changed(f"layers.{number}.attn.causal is {block.attn.causal}")
        for name, norm in norms.items():
            if not isinstance(norm, Unchanged):
                raise _changed(f"{name} is a {type(norm).__name__}, and a plant has no norms")


def _changed(what: str) -> CheckpointError:
    return CheckpointError(
        f"The weights of this module are no longer a plant's: {what}. Put back what was replaced "
        "or added, or run the module by itself: its own forward pass and hooks still work."
    )


@contextmanager
def _own_random_state() -> Iterator[None]:
    """Makes layers without taking numbers from torch's random state.

    Not on the meta device, whose first use costs two seconds of imports. torch warns where a layer
    of no inputs or outputs is initialised.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors", UserWarning)
        yield
