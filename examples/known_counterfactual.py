"""A known-counterfactual test for pyvene (pyvene 0.1.8).

pyvene exchanges what a node's subspace holds between two tasks. What the network must then answer
is known three times over: by pyvene, by planted's own numpy runtime, and by the RASP program, which
has no weights.
"""

import numpy as np
import pyvene

import planted
from planted.adapters.pyvene import place, to_pyvene

PLANT, TIER, TASKS = "red-doors", "rotated", 64


def main():
    """For every node that the answer depends on: how often the three agree."""
    model = planted.load(PLANT, TIER, runtime="torch")
    module = to_pyvene(model)
    base, source = model.inputs(TASKS, seed=1), model.inputs(TASKS, seed=2)
    plain, read_out = model.choices(base), model.spec.read_out
    agreed = {}
    for name in model.truth.nodes:
        values = model.expected(name, source)
        if np.isnan(values[:, 1:]).any():
            continue  # in some task the node holds nothing
        intervenable = pyvene.IntervenableModel(place(model, name), model=module)
        logits = intervenable(base={"tokens": base}, sources=[{"tokens": source}])[1]
        by_pyvene = logits.argmax(dim=1).numpy()
        by_planted = model.intervene({name: values}, base).argmax(axis=1)
        output = model.truth.values(base, {name: values})["output"][:, read_out]
        said = np.isfinite(output)
        by_program = np.array([model.spec.outputs.index(str(int(v))) for v in output[said]])
        moved = (by_planted != plain).mean()
        if moved:
            agreed[name] = (by_pyvene == by_planted).mean(), (by_pyvene[said] == by_program).mean()
            print(
                f"{name:12} choice moved {moved:.2f}; pyvene = planted {agreed[name][0]:.2f}, ",
                end="",
            )
            print(f"= program {agreed[name][1]:.2f} of {said.sum()} tasks")
    return agreed


if __name__ == "__main__":
    main()
