"""`generate` and `generate_stream`: raw inputs in, text out."""

import keras
import numpy as np
from keras import ops

from keras_paligemma.models.generation import Generator
from keras_paligemma.models.generation import PromptBatch
from keras_paligemma.models.inputs import KEYS
from keras_paligemma.models.text_pieces import TextPieces


class TextGeneration:
    """Mixin that decodes text with the compiled sampler."""

    _jit_on_cpu = True

    def compile(self, *args, run_eagerly=False, jit_compile="auto", **kwargs):
        super().compile(
            *args, run_eagerly=run_eagerly, jit_compile=jit_compile, **kwargs
        )
        self._jit_on_cpu = jit_compile == "auto" and not run_eagerly
        self.forget_compiled()

    def forget_compiled(self):
        """Drops the compiled functions of `generate` and `score`.

        They would go on without LoRA, or with float weights, had the model
        been changed since.
        """
        self._generator = None
        self._scoring_functions = {}

    @property
    def decoding_jit_compile(self):
        """Whether TensorFlow decodes and scores with XLA.

        As `jit_compile`, but for what `"auto"` means where there is a CPU
        only. Keras leaves XLA out there, which decodes float32 in half the
        time; of bfloat16 kernels it makes float32 copies.
        """
        if self.jit_compile or keras.config.backend() != "tensorflow":
            return self.jit_compile
        import tensorflow as tf

        on_cpu = not tf.config.list_physical_devices("GPU")
        is_float32 = self.backbone.token_embedding.compute_dtype == "float32"
        return self._jit_on_cpu and on_cpu and is_float32

    def generate(
        self,
        inputs,
        max_length=None,
        stop_token_ids="auto",
        strip_prompt=False,
        best_of=1,
        seed=None,
        return_scores=False,
        grammar=None,
    ):
        """Generates text for each row of `inputs`.

        A row's text never depends on the other rows.

        Args:
            inputs: dict of `images` (arrays in 0..255, `PIL.Image`s or
                paths, one or several a row), `prompts` (strings) and
                optionally `responses` (strings that the answers must begin
                with), or a `tf.data.Dataset` of batches of it; a single
                prompt may be a string. Without a preprocessor: a dict of
                model inputs, `token_ids` padded to the maximum length.
            max_length: int. Prompt and answer together, in text tokens. By
                default the preprocessor's `sequence_length`.
            stop_token_ids: `"auto"` for the tokenizer's EOS, a list of ints,
                or `None` to go on to `max_length`.
            strip_prompt: bool. Whether to return the new text alone.
            best_of: int. If above 1, draws so many answers for each row and
                keeps the one with the highest log-probability (needs a
                random, top-k or top-p sampler).
            seed: int. Makes drawn answers repeatable.
            return_scores: bool. Whether to return, beside the outputs, the
                log-probability under the model of each new token, the stop
                token included.
            grammar: `keras_paligemma.tasks.Grammar`, or any object with its
                arrays. Each row gets only tokens that may follow, and comes
                to an end within `max_length`. The log-probabilities stay
                those of the model, among all tokens. Needs a greedy, random,
                top-k, top-p or beam sampler.

        Returns:
            A string, or a list of one a row. Without a preprocessor: a dict
            of arrays `token_ids` and `padding_mask` `[batch, max_length]`,
            prompt and answer left-aligned. With `return_scores`, a tuple of
            that and a list of float arrays (one array for a single prompt).
        """
        outputs, scores, single = [], [], False
        for batch_inputs, is_single in self._batches(inputs):
            single = is_single
            stop = self._stop_token_ids(stop_token_ids)
            batch = self._prompt_batch(batch_inputs, max_length)
            answers, row_scores = self._current_generator().generate(
                batch, stop, best_of, seed, return_scores, grammar
            )
            outputs.append(self._finish(batch, answers, strip_prompt))
            scores += row_scores or []
        if isinstance(outputs[0], dict):
            result = {
                key: np.concatenate([o[key] for o in outputs])
                for key in outputs[0]
            }
        else:
            result = [text for texts in outputs for text in texts]
            result = result[0] if single else result
        if not return_scores:
            return result
        return result, scores[0] if single else scores

    def generate_tokens(
        self,
        inputs,
        max_length=None,
        stop_token_ids="auto",
        best_of=1,
        seed=None,
        grammar=None,
    ):
        """Generates as `generate` does, and leaves the answers as tokens.

        Args:
            inputs, max_length, stop_token_ids, best_of, seed, grammar: As
                `generate`.

        Returns:
            List of int arrays, one a row: the new tokens, the stop token
            included. List of float arrays: their log-probabilities.
        """
        token_ids, scores = [], []
        stop = self._stop_token_ids(stop_token_ids)
        for batch_inputs, _ in self._batches(inputs):
            answers, row_scores = self._current_generator().generate(
                self._prompt_batch(batch_inputs, max_length),
                stop,
                best_of,
                seed,
                with_scores=True,
                grammar=grammar,
            )
            token_ids += answers
            scores += row_scores
        return token_ids, scores

    def generate_stream(
        self,
        inputs,
        max_length=None,
        stop_token_ids="auto",
        seed=None,
        grammar=None,
    ):
        """Yields text as it is decoded.

        The pieces of a row, joined, are what `generate` with
        `strip_prompt=True` returns.

        Args:
            inputs, max_length, stop_token_ids, seed, grammar: As `generate`.

        Yields:
            For a single prompt: strings. For a batch: lists of strings, one
            a row, empty where a row has nothing new.
        """
        if self.preprocessor is None:
            raise ValueError(
                "`generate_stream` yields text, so the model needs a "
                "`preprocessor`. Received: preprocessor=None"
            )
        stop = self._stop_token_ids(stop_token_ids)
        for batch_inputs, single in self._batches(inputs):
            batch = self._prompt_batch(batch_inputs, max_length)
            rows = [TextPieces(self._detokenize) for _ in range(len(batch))]
            steps = self._current_generator().stream(batch, stop, seed, grammar)
            for token_ids, _, open_rows in steps:
                pieces = [
                    row.add(int(token)) if is_open else ""
                    for row, token, is_open in zip(
                        rows, token_ids, open_rows, strict=True
                    )
                ]
                if any(pieces):
                    yield pieces[0] if single else pieces
            rest = [row.rest() for row in rows]
            if any(rest):
                yield rest[0] if single else rest

    def generate_step(self, inputs, stop_token_ids=None):
        """Generates for one batch of model inputs, Keras-Hub's hook.

        Args:
            inputs: dict of model inputs, `token_ids` padded to the maximum
                length.
            stop_token_ids: ints that end an answer, or `None`.

        Returns:
            dict of int `token_ids` and bool `padding_mask`
            `[batch, max_length]`.
        """
        batch = self._prompt_batch(inputs, None, preprocess=False)
        answers, _ = self._current_generator().generate(
            batch, stop_token_ids or ()
        )
        return batch.assemble(answers)

    def make_generate_function(self):
        """Returns `generate_step`, whose parts are compiled one by one."""
        self.generate_function = self.generate_step
        return self.generate_function

    def _current_generator(self):
        if getattr(self, "_generator", None) is None:
            self._generator = Generator(self, self.sampler)
        return self._generator

    def _batches(self, inputs):
        """Yields dicts of raw or model inputs, and whether one row alone."""
        if hasattr(inputs, "as_numpy_iterator"):
            for batch in inputs.as_numpy_iterator():
                yield batch, False
            return
        if not isinstance(inputs, dict):
            raise ValueError(
                "`generate` takes a dict of `images` and `prompts`. "
                f"Received: inputs of type {type(inputs).__name__}"
            )
        prompts = inputs.get("prompts")
        if self.preprocessor is None or not isinstance(prompts, (str, bytes)):
            yield dict(inputs), False
            return
        yield {key: [value] for key, value in inputs.items()}, True

    def _prompt_batch(self, inputs, max_length, preprocess=True):
        if preprocess and self.preprocessor is not None:
            inputs = self.preprocessor.generate_preprocess(
                inputs, sequence_length=max_length
            )
        arrays = {
            key: ops.convert_to_numpy(inputs[key])
            for key in KEYS
            if inputs.get(key) is not None
        }
        if arrays["images"].ndim == 3:
            arrays["images"] = arrays["images"][None]
        return PromptBatch.from_inputs(arrays)

    def _finish(self, batch, answers, strip_prompt):
        if self.preprocessor is None:
            if strip_prompt:
                lengths = [len(answer) for answer in answers]
                rows = np.zeros((len(answers), batch.max_length), "int32")
                for row, answer in zip(rows, answers, strict=True):
                    row[: len(answer)] = answer
                mask = np.arange(batch.max_length) < np.array(lengths)[:, None]
                return {"token_ids": rows, "padding_mask": mask}
            return batch.assemble(answers)
        if strip_prompt:
            return [self._detokenize(answer) for answer in answers]
        return self.preprocessor.generate_postprocess(batch.assemble(answers))

    def _detokenize(self, token_ids):
        token_ids = np.asarray(token_ids, "int32")[None]
        return self.preprocessor.generate_postprocess(
            {
                "token_ids": token_ids,
                "padding_mask": np.ones_like(token_ids, "bool"),
            }
        )[0]

    def _stop_token_ids(self, stop_token_ids):
        if stop_token_ids is None:
            return ()
        if isinstance(stop_token_ids, str):
            if stop_token_ids != "auto":
                raise ValueError(
                    '`stop_token_ids` must be "auto", a list of ints or '
                    f"`None`. Received: stop_token_ids={stop_token_ids!r}"
                )
            if self.preprocessor is None:
                raise ValueError(
                    '`stop_token_ids="auto"` asks the preprocessor for EOS; '
                    "without one pass a list of ints, or `None` to generate "
                    "up to the padded length. Received: preprocessor=None"
                )
            return (self.preprocessor.tokenizer.end_token_id,)
        return tuple(int(t) for t in stop_token_ids)
