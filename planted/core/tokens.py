"""Whether tokens can be a network's input: for arrays and tensors alike."""

from __future__ import annotations

from typing import Any

from planted.errors import PlantedError

BOS_ID = 0  # in every scenario


def check_tokens(
    tokens: Any, vocabulary: int, read_out: int, positions: int, bos: int | None = BOS_ID
) -> None:
    """Refuses what is no batch of tasks.

    Args:
        tokens: Whole numbers, an array or a tensor.
        vocabulary: Number of token ids.
        read_out: The position that is unembedded.
        positions: Number of position embeddings.
        bos: The id that stands at position 0 and nowhere else; None if there is no such rule.

    Raises:
        PlantedError: If the shape, an id, or BOS at position 0 is wrong.
    """
    shape = list(tokens.shape)
    if len(shape) != 2 or not read_out < shape[1] <= positions:
        length = positions if positions == read_out + 1 else f"{read_out + 1} to {positions}"
        hint = " One task is a batch of one: tokens[None]." if len(shape) == 1 else ""
        short = len(shape) == 2 and bos is not None and shape[1] == read_out
        hint = f" Position 0 is BOS (id {bos})." if short else hint
        raise PlantedError(f"Tokens are whole numbers [task, {length}], got {shape}.{hint}")
    outside = (tokens < 0) | (tokens >= vocabulary)
    if bool(outside.any()):
        raise PlantedError(f"Token id {int(tokens[outside][0])} is outside 0..{vocabulary - 1}.")
    if bos is not None and bool((tokens[:, 0] != bos).any() | (tokens[:, 1:] == bos).any()):
        raise PlantedError(f"BOS (id {bos}) stands at position 0 of a task and nowhere else.")
