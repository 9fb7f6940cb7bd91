"""The compiled begin and advance of decoding, with a choice fused in."""

import keras
from keras import ops

from keras_paligemma.models.generation.compiled import compiled
from keras_paligemma.models.generation.compiled import no_variables
from keras_paligemma.models.generation.prompts import bucket
from keras_paligemma.models.generation.steps import prefill
from keras_paligemma.models.generation.steps import repeat_rows
from keras_paligemma.models.generation.steps import step
from keras_paligemma.models.generation.steps import take_rows
from keras_paligemma.models.generation.whole_loop import decode_rest


class DecoderLoop:
    """Runs a backbone token by token.

    One prefill reads the images and the real prompt and computes the last
    position's logits only; each step reads one token a row. Both end in
    `choose`, compiled with them, so that no logits leave the device.

    Args:
        backbone: `PaliGemmaBackbone`.
        choose: callable of float32 logits `[rows, vocabulary]`, a choice
            argument and a carry; returns a dict of tensors. What it returns
            as `carry`, the next call is given; else that gets `{}`.
        states: callable that returns the variables that `choose` writes, a
            sampler's seeds.
        jit_compile: bool. Whether TensorFlow compiles with XLA.
    """

    def __init__(self, backbone, choose, states=no_variables, jit_compile=True):
        self.backbone = backbone

        def logits_of(hidden):
            return backbone.token_embedding(hidden[:, None], reverse=True)[:, 0]

        def begin(inputs, argument, carry, cache_length, repeats):
            hidden, context = prefill(backbone, inputs, cache_length)
            logits = logits_of(hidden)
            if repeats > 1:
                logits = ops.repeat(logits, repeats, axis=0)
            chosen = choose(logits, argument, carry)
            return chosen, repeat_rows(context, repeats)

        def advance(cache, valid, token_ids, argument, carry, index):
            context = {"cache": cache, "valid": valid}
            hidden, cache = step(backbone, token_ids, context, index)
            return choose(logits_of(hidden), argument, carry), cache

        def regrow(cache, rows, valid, *args):
            return advance(take_rows(cache, rows), valid, *args)

        def finish(cache, valid, chosen, arguments, limits, stop_token_ids):
            def advance_from(cache, *args):
                return advance(cache, valid, *args)

            return decode_rest(
                advance_from, chosen, cache, arguments, limits, stop_token_ids
            )

        options = {
            "variables": lambda: backbone.variables,
            "states": states,
            "jit_compile": jit_compile,
        }
        self._begin = compiled(begin, static=(3, 4), **options)
        self._advance = compiled(advance, donate=(0,), **options)
        self._regrow = compiled(regrow, donate=(0,), **options)
        self._finish = compiled(finish, donate=(0,), **options)
        self._context = None
        self._index = 0

    def begin(self, batch, argument, repeats=1, carry=None):
        """Prefills.

        Args:
            batch: `PromptBatch`.
            argument: nested arrays for `choose`.
            repeats: int. Rows that each prompt becomes.
            carry: dict of arrays or `None`. For `choose`.

        Returns:
            What `choose` returned for the last prompt position.
        """
        slots = batch.image_mask.shape[1] * self.backbone.image_sequence_length
        slots += batch.token_ids.shape[1]
        chosen, self._context = self._begin(
            _tensors(batch.tensors),
            _tensors(argument),
            _tensors(carry or {}),
            slots + new_slots(batch),
            repeats,
        )
        self._index = 0
        return chosen

    def advance(self, token_ids, argument, rows=None, carry=None):
        """Reads one token a row.

        Args:
            token_ids: int tensor or array `[rows]`.
            argument: nested arrays for `choose`.
            rows: int array `[rows]` or `None`. Which old row each row goes
                on from.
            carry: dict of arrays or `None`. For `choose`.

        Returns:
            What `choose` returned.
        """
        context = self._context
        args = [context["cache"], context["valid"]]
        if rows is not None:
            args.insert(1, ops.convert_to_tensor(rows, "int32"))
        function = self._advance if rows is None else self._regrow
        chosen, context["cache"] = function(
            *args,
            ops.convert_to_tensor(token_ids, "int32"),
            _tensors(argument),
            _tensors(carry or {}),
            ops.convert_to_tensor(self._index, "int32"),
        )
        self._index += 1
        return chosen

    def finish(self, chosen, arguments, limits, stop_token_ids=()):
        """Reads tokens until each row has stopped or is full, in one call.

        Args:
            chosen: what `begin` returned.
            arguments: float array `[new_slots, rows]` for `choose`, which
                must write no states.
            limits: int array `[rows]`. New tokens each row may get.
            stop_token_ids: ints that end a row.

        Returns:
            dict of tensors `[new_slots, rows]`: what was chosen.
        """
        # No token is -1, so that one stop token and none
        # are one shape.
        stop_token_ids = list(stop_token_ids) or [-1]
        outputs, _ = self._finish(
            self._context["cache"],
            self._context["valid"],
            chosen,
            _tensors(arguments),
            ops.convert_to_tensor(limits, "int32"),
            ops.convert_to_tensor(stop_token_ids, "int32"),
        )
        self.end()
        return outputs

    def end(self):
        """Lets the cache go."""
        self._context = None


def new_slots(batch):
    """Slots kept for new tokens: a bucket, so that few shapes compile."""
    return bucket(int(batch.limits.max()), step=32)


def _tensors(arrays):
    return keras.tree.map_structure(ops.convert_to_tensor, arrays)
