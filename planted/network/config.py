"""The sizes of a network, by the names that other libraries look for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from planted.core.spec import Spec


@dataclass(frozen=True)
class Config:
    """The sizes of a network by TransformerLens's names; what differs between blocks is a tuple.

    Attributes:
        d_model: Width of the residual stream.
        n_layers: Number of blocks.
        n_heads: Heads of each block.
        d_head: Their size in each block.
        d_mlp: Neurons of each block.
        n_ctx: Positions, BOS included.
        d_vocab: Token ids.
        d_vocab_out: Output columns.
        attn_scale: Factor on query-key products.
        read_out: Position that is unembedded.
        logit_scale: Factor on the logits.
        act_fn, normalization_type, attention_dir, model_type: The same for every network here.
    """

    d_model: int
    n_layers: int
    n_heads: tuple[int, ...]
    d_head: tuple[int, ...]
    d_mlp: tuple[int, ...]
    n_ctx: int
    d_vocab: int
    d_vocab_out: int
    attn_scale: float
    read_out: int
    logit_scale: float
    act_fn: str = "relu"
    normalization_type: str | None = None
    attention_dir: str = "bidirectional"
    model_type: str = "planted"

    @property
    def hidden_size(self) -> int:
        """`d_model`, by Hugging Face's name."""
        return self.d_model

    def to_dict(self) -> dict[str, Any]:
        """Name -> value."""
        return asdict(self)

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], spec: Spec) -> Config:
        """The sizes that parameters of these shapes have."""
        depth = 1 + max(int(name.split(".")[1]) for name in shapes if name.startswith("blocks."))
        heads = [shapes[f"blocks.{i}.attn.b_Q"] for i in range(depth)]
        return cls(
            d_model=shapes["embed.W_E"][1],
            n_layers=depth,
            n_heads=tuple(shape[0] for shape in heads),
            d_head=tuple(shape[1] for shape in heads),
            d_mlp=tuple(shapes[f"blocks.{i}.mlp.b_in"][0] for i in range(depth)),
            n_ctx=shapes["pos_embed.W_pos"][0],
            d_vocab=shapes["embed.W_E"][0],
            d_vocab_out=shapes["unembed.W_U"][1],
            attn_scale=spec.attn_scale,
            read_out=spec.read_out,
            logit_scale=spec.logit_scale,
        )
