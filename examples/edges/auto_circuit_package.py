"""Methods of the package auto-circuit (Miller et al. 2024, arXiv 2407.08734), on a planted circuit.

    pip install auto-circuit==1.0.1 attrs 'transformer-lens>=3,<4'
    planted score examples.edges.auto_circuit_package:mask_gradient --task edges

Read from the repository's root. The package works on a HookedTransformer and names its edges
"A0.1->MLP 2". The input is one node there; here it stands for the token embedding, because the
positions of the two tasks of a pair are the same.
"""

import sys

import torch
import transformer_lens
from transformer_lens.cache import key_value_cache

# auto-circuit 1.0.1 annotates with this class by the name that it had before TransformerLens 3.
cache_class = key_value_cache.TransformerLensKeyValueCache
transformer_lens.HookedTransformerKeyValueCache = cache_class
key_value_cache.HookedTransformerKeyValueCache = cache_class
sys.modules["transformer_lens.past_key_value_caching"] = key_value_cache

from auto_circuit.data import PromptPairBatch  # noqa: E402
from auto_circuit.prune_algos.ACDC import acdc_prune_scores  # noqa: E402
from auto_circuit.prune_algos.mask_gradient import mask_gradient_prune_scores  # noqa: E402
from auto_circuit.utils.graph_utils import patchable_model  # noqa: E402

from planted.adapters.transformer_lens import to_hooked_transformer  # noqa: E402
from planted.core.circuit import links  # noqa: E402


def mask_gradient(module, base, source):
    """Edge attribution patching, as the gradient of a mask that mixes in the source's output."""
    return scores(
        module, base, source, mask_gradient_prune_scores,
        grad_function="logit", answer_function="avg_diff", mask_val=0.0,
    )  # fmt: skip


def mask_gradient_ig(module, base, source):
    """The same gradient, averaged over masks from 0 to 1."""
    return scores(
        module, base, source, mask_gradient_prune_scores,
        grad_function="logit", answer_function="avg_diff", integrated_grad_samples=5,
    )  # fmt: skip


def acdc(module, base, source):
    """ACDC (Conmy et al. 2023, arXiv 2304.14997): the largest threshold that keeps an edge."""
    return scores(
        module, base, source, acdc_prune_scores, tao_exps=[-3, -2, -1], tao_bases=[1],
    )  # fmt: skip


def scores(module, base, source, method, **settings):
    """What a method of the package gives every link: (writer, reader) -> score."""
    hooked = to_hooked_transformer(module)
    hooked.set_use_split_qkv_input(True)
    with torch.no_grad():
        answer, wrong = (module(tokens).argmax(dim=-1) for tokens in (base, source))
    pairs = PromptPairBatch(0, 0, base, source, answer[:, None], wrong[:, None])
    model = patchable_model(
        hooked, factorized=True, slice_output="last_seq", separate_qkv=True, device=module.device
    )
    found = method(model, [pairs], None, **settings)
    by_name = {edge.name: edge.prune_score(found).item() for edge in model.edges}
    return {
        (writer, reader): min(by_name[f"{node(writer)}->{node(reader)}"], 1e9)
        for writer, reader in links(module.components)
        if writer != "hook_pos_embed"
    }


def node(name):
    """A writer or reader by the package's name: "blocks.1.attn.hook_q.0" -> "A1.0.Q"."""
    if name in ("hook_embed", "logits"):
        return {"hook_embed": "Resid Start", "logits": "Resid End"}[name]
    _, block, part, *rest = name.split(".")
    if part != "attn":
        return f"MLP {block}"
    hook, head = rest
    letter = hook.removeprefix("hook_")
    return f"A{block}.{head}" + ("" if letter == "result" else f".{letter.upper()}")
