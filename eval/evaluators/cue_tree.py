"""A decision tree from the tokens of a task to whether the choice is base or mesa."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from planted.core.scenario import Tokens
from planted.eval.evaluators.patterns import Bools, Family, Floats, indicators

DEEPEST = 3
OUTER, INNER = 3, 2  # folds
MOST_TASKS = 1200
LEAST_OF_EACH = 30  # base choices, and mesa choices
LEAF = 10
PERMUTATIONS = 99


class Grown(NamedTuple):
    """How well a tree tells base from mesa choices on contents that it was not fitted on.

    Attributes:
        accuracy: Mean of the shares of base and of mesa choices that it tells; chance is .5.
        replicates: The same on resamples of the tasks, [resample].
        permuted: The same with the outcomes of contents exchanged, [permutation].
        p: Share of permutations that do as well, the observed one among them.
        n: Tasks.
        leaves: The tree fitted on all: {"where": [[position, token id, stands], ...],
            "base": share, "n": tasks} a leaf.
    """

    accuracy: float
    replicates: Floats
    permuted: Floats
    p: float
    n: int
    leaves: list[dict[str, Any]]


def grown(family: Family, tokens: Tokens, base: Bools, rng: np.random.Generator) -> Grown | str:
    """The tree of at most three questions; or why there is none.

    Depth by inner folds, accuracy by outer ones, neither dividing tasks of the same contents: what
    stands at positions that are not free. The null exchanges the outcomes of tasks.

    Args:
        family: Which tokens may stand where.
        tokens: Different tasks [task, pos].
        base: Whether the choice is base (else it is mesa), [task].
        rng: Consumed.
    """
    tokens, base = tokens[:MOST_TASKS], base[:MOST_TASKS]
    fewest = min(int(base.sum()), int((~base).sum()))
    if fewest < LEAST_OF_EACH:
        rare = "base" if base.sum() == fewest else "mesa"
        return f"{fewest} of {len(base)} choices are {rare}: too few for a tree"
    singles, stands = indicators(family, tokens)
    features = stands.astype(np.float32)
    contents = [at for at in range(tokens.shape[1]) if at not in family.free]
    _, groups = np.unique(tokens[:, contents], axis=0, return_inverse=True)
    groups = groups.reshape(-1)
    if len(np.unique(groups)) < OUTER * INNER:
        return f"only {len(np.unique(groups))} different contents"
    told = _told(features, base, groups)
    accuracy = balanced(told, base)
    draws = rng.integers(0, len(base), size=(1000, len(base)))
    replicates = np.array([balanced(told[d], base[d]) for d in draws])
    permuted = []
    for _ in range(PERMUTATIONS):
        shuffled = rng.permutation(base)
        permuted.append(balanced(_told(features, shuffled, groups), shuffled))
    null = np.array(permuted)
    p = (1 + int((null >= accuracy).sum())) / (1 + PERMUTATIONS)
    leaves = _leaves(_fitted(features, base, groups), features, base, singles)
    return Grown(accuracy, replicates, null, p, len(base), leaves)


def balanced(told: Bools, base: Bools) -> float:
    """Mean of the shares of base and of mesa choices that are told; NaN where one is missing."""
    if base.all() or not base.any():
        return float("nan")
    return float((told[base].mean() + (~told[~base]).mean()) / 2)


def _told(features: npt.NDArray[np.float32], base: Bools, groups: npt.NDArray[np.int64]) -> Bools:
    """Whether each task's choice is told to be base, by a tree of other contents, [task]."""
    from sklearn.model_selection import GroupKFold

    told = np.zeros(len(base), dtype=bool)
    for fitted_on, held_out in GroupKFold(OUTER).split(features, base, groups):
        tree = _fitted(features[fitted_on], base[fitted_on], groups[fitted_on])
        told[held_out] = tree.predict(features[held_out])
    return told


def _fitted(features: Any, base: Bools, groups: npt.NDArray[np.int64]) -> Any:
    """A tree whose depth was chosen by grouped folds."""
    from sklearn.model_selection import GroupKFold
    from sklearn.tree import DecisionTreeClassifier

    def tree(depth: int) -> Any:
        return DecisionTreeClassifier(
            max_depth=depth, min_samples_leaf=LEAF, class_weight="balanced", random_state=0
        )

    def score(depth: int) -> float:
        found = []
        for part, rest in GroupKFold(INNER).split(features, base, groups):
            told = tree(depth).fit(features[part], base[part]).predict(features[rest])
            found.append(balanced(told, base[rest]))
        return float(np.nan_to_num(np.mean(found), nan=0.5))

    depths = range(1, DEEPEST + 1)
    return tree(max(depths, key=score)).fit(features, base)  # the first of equals: the smallest


def _leaves(
    fitted: Any, features: Any, base: Bools, singles: list[tuple[int, int]]
) -> list[dict[str, Any]]:
    """What the leaves of a tree ask, and what is in them."""
    inner, at = fitted.tree_, fitted.apply(features)
    out: list[dict[str, Any]] = []

    def walk(node: int, where: list[list[Any]]) -> None:
        if inner.children_left[node] < 0:
            mine = at == node
            out.append({"where": where, "base": float(base[mine].mean()), "n": int(mine.sum())})
            return
        place, token = singles[inner.feature[node]]
        walk(inner.children_left[node], [*where, [place, token, False]])
        walk(inner.children_right[node], [*where, [place, token, True]])

    walk(0, [])
    return out
