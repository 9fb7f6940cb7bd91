"""Decodes a batch with whatever the model's sampler asks for."""

import keras_hub
import numpy as np

from keras_paligemma.models.generation.beam_search import beam_choice
from keras_paligemma.models.generation.beam_search import beam_search
from keras_paligemma.models.generation.constraint import Constraint
from keras_paligemma.models.generation.decoder_loop import DecoderLoop
from keras_paligemma.models.generation.sampler_loop import run_sampler_loop
from keras_paligemma.models.generation.sampler_loop import sampler_loop
from keras_paligemma.models.generation.sampling import best_of as keep_best
from keras_paligemma.models.generation.sampling import collect
from keras_paligemma.models.generation.sampling import sample
from keras_paligemma.models.generation.sampling import sampling_choice
from keras_paligemma.models.generation.sampling import stream
from keras_paligemma.models.generation.sampling import uniform_numbers
from keras_paligemma.models.generation.sampling import zeros
from keras_paligemma.models.generation.selection import has_own_loop
from keras_paligemma.models.generation.selection import is_drawn
from keras_paligemma.models.generation.selection import is_stateless
from keras_paligemma.models.generation.selection import token_selector

BeamSampler = keras_hub.samplers.BeamSampler
GreedySampler = keras_hub.samplers.GreedySampler


class Generator:
    """Holds the compiled functions of one model and one sampler.

    Args:
        model: `PaliGemmaCausalLM`.
        sampler: `keras_hub.samplers.Sampler`. Greedy, random, top-k and
            top-p samplers keep their rule, with a random stream for each
            row; a `BeamSampler` asks for this package's beam search, which
            sets finished answers aside; a sampler with a loop of its own
            runs it; any other is asked for its `get_next_token`.
    """

    def __init__(self, model, sampler):
        self.model = model
        self.sampler = sampler
        self._functions = {}
        self._seeds = np.random.default_rng(getattr(sampler, "seed", None))

    def generate(
        self,
        batch,
        stop_token_ids=(),
        best_of=1,
        seed=None,
        with_scores=False,
        grammar=None,
    ):
        """Decodes a `PromptBatch`.

        Args:
            batch: `PromptBatch`.
            stop_token_ids: ints that end an answer.
            best_of: int. Answers drawn for each prompt, of which the
                likeliest is kept.
            seed: int or `None`. Of the random numbers.
            with_scores: bool. Whether to return log-probabilities.
            grammar: object with the arrays of a grammar (see `Constraint`),
                or `None`.

        Returns:
            List of int arrays, each row's answer with its stop token. List
            of float arrays, each token's log-probability, or `None`.
        """
        self._check_best_of(best_of)
        if isinstance(self.sampler, BeamSampler):
            return self._beam_search(batch, stop_token_ids, grammar)
        carry = self._carry(grammar, batch, best_of)
        if has_own_loop(self.sampler):
            answers = self._own_loop(batch, stop_token_ids)
            scores = None
            if with_scores:
                scores = self.model.score_answers(batch, answers)
            return answers, scores
        loop, uniforms = self._sampling(
            batch, best_of, seed, with_scores or best_of > 1
        )
        if is_stateless(self.sampler):
            answers, scores = sample(
                loop, batch, uniforms, stop_token_ids, best_of, carry
            )
        else:
            steps = stream(loop, batch, uniforms, stop_token_ids, best_of)
            answers, scores = collect(steps)
        if best_of > 1:
            answers, scores = keep_best(answers, scores, best_of)
        return answers, scores if with_scores else None

    def stream(self, batch, stop_token_ids=(), seed=None, grammar=None):
        """Decodes a `PromptBatch` step by step.

        Yields:
            What the function `stream` yields.
        """
        if has_own_loop(self.sampler):
            raise ValueError(
                "Streaming needs a sampler that settles each token as it is "
                "decoded: greedy, random, top_k or top_p. "
                f"Received: sampler={type(self.sampler).__name__}"
            )
        carry = self._carry(grammar, batch)
        loop, uniforms = self._sampling(batch, 1, seed, False)
        yield from stream(loop, batch, uniforms, stop_token_ids, carry=carry)

    def _carry(self, grammar, batch, repeats=1):
        if grammar is None:
            return None
        if not is_stateless(self.sampler):
            raise ValueError(
                "Under a grammar the sampler must be greedy, random, top_k, "
                "top_p or beam, whose choice is a rule of this package. "
                f"Received: sampler={type(self.sampler).__name__}"
            )
        return self._constraint(grammar, batch, repeats).carry

    def _constraint(self, grammar, batch, repeats):
        size = self.model.backbone.vocabulary_size
        return Constraint(grammar, batch, size, repeats)

    def _check_best_of(self, best_of):
        if best_of < 1:
            raise ValueError(
                f"`best_of` must be at least 1. Received: best_of={best_of}"
            )
        if best_of == 1:
            return
        if has_own_loop(self.sampler) or type(self.sampler) is GreedySampler:
            raise ValueError(
                "`best_of` draws several answers, so it needs a sampler that "
                "draws: compile with `sampler` random, top_k or top_p. "
                f"Received: best_of={best_of}, "
                f"sampler={type(self.sampler).__name__}"
            )

    def _sampling(self, batch, repeats, seed, with_scores):
        loop = self._cached(
            ("sample", with_scores),
            lambda: self._loop(
                sampling_choice(token_selector(self.sampler), with_scores)
            ),
        )
        if is_drawn(self.sampler):
            if seed is None:
                seed = int(self._seeds.integers(2**31))
            uniforms = uniform_numbers(batch.row_keys(), seed, repeats)
        else:
            if seed is not None:
                self._seed_states(seed)
            uniforms = zeros(len(batch) * repeats)
        return loop, uniforms

    def _seed_states(self, seed):
        for variable in self.sampler.variables:
            variable.assign(np.array([seed, 0], variable.dtype))

    def _beam_search(self, batch, stop_token_ids, grammar):
        num_beams = self.sampler.num_beams
        candidates = min(
            num_beams + len(stop_token_ids),
            self.model.backbone.vocabulary_size,
        )
        loop = self._cached(
            ("beam", candidates),
            lambda: self._loop(
                beam_choice(candidates, self.sampler.temperature)
            ),
        )
        constraint = None
        if grammar is not None:
            constraint = self._constraint(grammar, batch, num_beams)
        return beam_search(loop, batch, num_beams, stop_token_ids, constraint)

    def _own_loop(self, batch, stop_token_ids):
        function = self._cached(
            "own loop",
            lambda: sampler_loop(
                self.model, self.sampler, self.model.decoding_jit_compile
            ),
        )
        return run_sampler_loop(function, batch, stop_token_ids)

    def _loop(self, choose):
        return DecoderLoop(
            self.model.backbone,
            choose,
            states=lambda: self.sampler.variables,
            jit_compile=self.model.decoding_jit_compile,
        )

    def _cached(self, key, make):
        if key not in self._functions:
            self._functions[key] = make()
        return self._functions[key]
