"""Samplers that bring a decoding loop of their own: contrastive and others."""

import keras_hub
from keras import ops

from keras_paligemma.models.generation.compiled import compiled
from keras_paligemma.models.generation.decoder_loop import new_slots
from keras_paligemma.models.generation.steps import prefill
from keras_paligemma.models.generation.steps import step
from keras_paligemma.models.generation.whole_loop import answer_lengths


def sampler_loop(model, sampler, jit_compile=True):
    """Compiles prefill and a sampler's own loop into one function.

    Args:
        model: `PaliGemmaCausalLM`.
        sampler: `keras_hub.samplers.Sampler` that overrides `__call__`.
        jit_compile: bool. Whether TensorFlow compiles with XLA.

    Returns:
        Function of model inputs, the number of new tokens, and a tuple of
        stop tokens or `None`; returns int tensor `[batch, width + new]`.
    """
    backbone = model.backbone

    def run(inputs, new_tokens, stop_token_ids):
        width = inputs["token_ids"].shape[1]
        slots = inputs["image_mask"].shape[1] * backbone.image_sequence_length
        # A contrastive sampler looks one token further than it writes.
        hidden, context = prefill(
            backbone, inputs, slots + width + new_tokens + 1, all_hidden=True
        )
        prompt = ops.pad(inputs["token_ids"], ((0, 0), (0, new_tokens)))
        mask = ops.pad(inputs["padding_mask"], ((0, 0), (0, new_tokens)))
        # Padding before a prompt is no place to write or to stop at.
        mask = ops.logical_or(
            ops.cast(mask, "bool"), ops.arange(width + new_tokens) < width
        )
        # Nor to be contrasted with: the last token stands there once more.
        hidden = ops.where(
            ops.cast(inputs["padding_mask"], "bool")[..., None],
            hidden,
            hidden[:, -1:],
        )
        hidden = ops.pad(hidden, ((0, 0), (0, new_tokens), (0, 0)))

        def next(prompt, cache, index):
            *cache, valid = cache
            rows = ops.shape(prompt)[0]
            last = ops.slice(prompt, (0, index - 1), (rows, 1))[:, 0]
            state, cache = step(
                backbone,
                last,
                {"cache": cache, "valid": valid},
                index - 1 - width,
            )
            logits = backbone.token_embedding(state[:, None], reverse=True)
            return logits[:, 0], state, [*cache, valid]

        cache = [*context["cache"], context["valid"]]
        extra = {}
        if isinstance(sampler, keras_hub.samplers.SpeculativeSampler):
            # Without a draft model of its own the model drafts for itself.
            extra = {"draft_next": next, "draft_cache": cache}
        return sampler(
            next=next,
            prompt=prompt,
            cache=cache,
            index=width,
            mask=mask,
            stop_token_ids=stop_token_ids,
            hidden_states=hidden,
            model=model,
            **extra,
        )

    return compiled(
        run,
        variables=lambda: backbone.variables,
        states=lambda: sampler.variables,
        static=(1, 2),
        jit_compile=jit_compile,
    )


def run_sampler_loop(function, batch, stop_token_ids=()):
    """Runs what `sampler_loop` compiled.

    Returns:
        List of int arrays: each row's answer, its stop token included.
    """
    inputs = {k: ops.convert_to_tensor(v) for k, v in batch.tensors.items()}
    stop = tuple(int(t) for t in stop_token_ids) or None
    token_ids = ops.convert_to_numpy(function(inputs, new_slots(batch), stop))
    token_ids = token_ids[:, batch.token_ids.shape[1] :]
    lengths = answer_lengths(token_ids, batch.limits, stop_token_ids)
    return [row[:n] for row, n in zip(token_ids, lengths, strict=True)]
