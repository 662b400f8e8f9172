"""Tracr's own RASP interpreter, which looks at each expression once: the reference for all else."""

from __future__ import annotations

from typing import Any

from planted.core.semantics import Value


class Interpreter:
    """Runs an expression on one task, and keeps what every expression below it gives."""

    def __init__(self, causal: bool = False) -> None:
        """Chooses the interpreter.

        Args:
            causal: Whether a position attends to itself and earlier ones alone.
        """
        from tracr.rasp import causal_eval, rasp

        kept: dict[int, Any] = {}
        base = causal_eval.CausalEvaluator if causal else rasp.DefaultRASPEvaluator

        class Memo(base):  # type: ignore[misc, valid-type]
            def evaluate(self, expr: Any, xs: Any) -> Any:
                if id(expr) not in kept:
                    kept[id(expr)] = super().evaluate(expr, xs)
                return kept[id(expr)]

        self._kept = kept
        self._evaluator = Memo()
        self._evaluator._eval_fn_by_expr_type = _by_class(self._evaluator)

    def run(self, order: Any, task: list[Value]) -> dict[str, Any]:
        """What each sequence holds at each position, by name.

        Args:
            order: Every expression, inputs before readers, the output last.
            task: Tokens without BOS.
        """
        from tracr.rasp import rasp

        self._kept.clear()
        self._evaluator.evaluate(order[-1], task)
        return {e.name: self._kept[id(e)] for e in order if isinstance(e, rasp.SOp)}


class _by_class(dict[type, Any]):  # noqa: N801
    """Tracr's table of evaluations, which knows no subclass of an expression's class."""

    def __init__(self, evaluator: Any) -> None:
        super().__init__(evaluator._eval_fn_by_expr_type)

    def __missing__(self, kind: type) -> Any:
        return next(self[parent] for parent in kind.__mro__[1:] if parent in self)
