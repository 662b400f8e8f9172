"""Which parameters a recipe trains."""

from __future__ import annotations

from collections.abc import Iterable

from planted.errors import unknown


def trainable(train: str, names: Iterable[str]) -> dict[str, bool]:
    """Which parameters a recipe trains: parameter name -> bool.

    Args:
        train: "all", "read-out" (the last block and the unembedding), "embed" (with the positions),
            "blocks.K", "unembed", or several of them with commas between.
        names: The network's parameters.

    Raises:
        UnknownNameError: If `train` names something that is not in the network.

    Example:
        >>> trainable("unembed", ["embed.W_E", "blocks.0.mlp.b_in", "unembed.W_U"])
        {'embed.W_E': False, 'blocks.0.mlp.b_in': False, 'unembed.W_U': True}
    """
    names = list(names)
    depth = 1 + max(int(name.split(".")[1]) for name in names if name.startswith("blocks."))
    single = ["embed", *(f"blocks.{i}" for i in range(depth)), "unembed"]
    groups = {"all": single, "read-out": single[-2:], **{part: [part] for part in single}}
    chosen: set[str] = set()
    for part in train.split(","):
        if part.strip() not in groups:
            raise unknown("part of the network to train", part.strip(), groups)
        chosen.update(groups[part.strip()])
    if "embed" in chosen:
        chosen.add("pos_embed")
    return {name: name.startswith(tuple(f"{part}." for part in chosen)) for name in names}
