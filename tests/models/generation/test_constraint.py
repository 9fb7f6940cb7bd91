"""Decoding under a grammar, against the grammar's own plain form."""

import numpy as np
import pytest
from keras import ops
from keras_hub.samplers import GreedySampler
from keras_hub.samplers import SpeculativeSampler
from keras_hub.samplers import TopKSampler
from keras_hub.samplers import TopPSampler

from keras_paligemma import PaliGemmaBackbone
from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma.models.generation.constraint import Constraint
from keras_paligemma.models.generation.constraint import constrained_choice
from keras_paligemma.tasks import Detect
from keras_paligemma.tasks import Segment
from keras_paligemma.tasks import build_grammar
from keras_paligemma.tasks import stack_grammars
from keras_paligemma.tasks.grammar import END
from tests import tiny
from tests import tiny_preset
from tests.models import tiny_models

THINGS = ("cat", "cup of coffee", "猫")
ROOM = 64


@pytest.fixture(scope="module")
def model():
    model = tiny_preset.tiny_model()
    model.compile(sampler="greedy")
    return model


@pytest.fixture(scope="module")
def tokenizer(model):
    return model.preprocessor.tokenizer


def questions(task, rows, things=THINGS):
    photographs = [tiny.photographs()[name] for name in ("cat", "coffee")]
    return {
        "images": [photographs[row % 2] for row in range(rows)],
        "prompts": [task.prefix(things)] * rows,
    }


class Batch:
    """What a `Constraint` reads of a `PromptBatch`."""

    def __init__(self, limits, forced=()):
        self.limits = limits
        forced = np.array(forced, "int32").reshape(len(limits), -1)
        self.token_ids = forced
        self.response_mask = np.ones_like(forced)

    def __len__(self):
        return len(self.limits)


def carry_of(*arguments):
    carry = Constraint(*arguments).carry
    return {key: ops.convert_to_tensor(value) for key, value in carry.items()}


def greedy(logits, uniform):
    return ops.cast(ops.argmax(logits, axis=-1), "int32")


@pytest.mark.parametrize("with_codes", [False, True])
def test_each_step_is_the_plain_form(tokenizer, with_codes):
    size = tokenizer.vocabulary_size()
    grammars = [
        build_grammar(things, tokenizer, with_codes=with_codes)
        for things in (THINGS, ["dog"])
    ]
    grammar = stack_grammars(grammars)
    rng = np.random.default_rng(0)
    # Of either grammar: much room, and all kinds of too little.
    limits = np.array([48] * 4 + [*range(1, 13)] * 4)
    kinds = np.arange(len(limits)) % 2
    states = grammar.starts[kinds]
    grammar = type(grammar)(**{**vars(grammar), "starts": states})
    carry = carry_of(grammar, Batch(limits), size)
    last = before_last = np.full(len(limits), grammar.end_token_id)
    for step in range(48):
        logits = rng.normal(size=(len(limits), size)).astype("float32")
        # Else the end, one token of many, would hardly ever be tried.
        logits[:, grammar.end_token_id] += 3
        remaining = np.maximum(limits - step, 1)
        allowed = grammar.allowed(states, remaining, before_last)
        expected = np.where(allowed, logits, -np.inf).argmax(axis=1)
        tokens, carry = constrained_choice(
            greedy, ops.convert_to_tensor(logits), None, carry
        )
        np.testing.assert_array_equal(ops.convert_to_numpy(tokens), expected)
        states = grammar.step(states, expected)
        before_last, last = last, expected
    assert (grammar.kinds[states] == END).all()


def test_a_draw_that_is_not_allowed_becomes_the_likeliest(tokenizer):
    grammar = build_grammar(THINGS, tokenizer)
    carry = carry_of(grammar, Batch([20]), len(grammar.groups))
    logits = np.zeros((1, len(grammar.groups)), "float32")
    wanted = tokenizer.location_token_ids[7]
    logits[0, wanted] = 1
    # The last column is padding, which no grammar allows.
    tokens, _ = constrained_choice(
        lambda logits, _: ops.full((1,), logits.shape[-1] - 1, "int32"),
        ops.convert_to_tensor(logits),
        None,
        carry,
    )
    assert int(tokens[0]) == wanted


@pytest.mark.parametrize("task", [Detect(), Segment()], ids=lambda t: t.name)
def test_500_samples_of_random_weights_parse(model, tokenizer, task):
    model.compile(sampler="random")
    grammar = build_grammar(THINGS, tokenizer, with_codes=task.name[0] == "s")
    several = 0
    for seed in range(2):
        rows, scores = model.generate_tokens(
            questions(task, 250), max_length=ROOM, seed=seed, grammar=grammar
        )
        for row, row_scores in zip(rows, scores, strict=True):
            assert grammar.accepts(row) and len(row_scores) == len(row)
            text = tokenizer.detokenize(row[:-1])
            found = task.parse(text, things=THINGS)
            kinds = {problem.kind for problem in found.problems}
            assert kinds <= {"repeated"}, text
            several += len(found.boxes) > 1
    assert several > 50
    model.compile(sampler="greedy")


def test_greedy_is_plain_greedy_where_that_parses(tokenizer):
    model = tiny_preset.tiny_model(seed=1)
    task, rows = Detect(), 2
    grammar = build_grammar(THINGS, tokenizer)
    asked = questions(task, rows)
    boxes = "<loc0100><loc0200><loc0300><loc0400> cat"
    model.compile(optimizer="adam", sampler="greedy")
    model.optimizer.learning_rate = 2e-2
    model.fit(
        {**asked, "responses": [boxes] * rows},
        batch_size=rows,
        epochs=40,
        verbose=0,
    )
    plain, scores = model.generate(
        asked, max_length=ROOM, strip_prompt=True, return_scores=True
    )
    assert plain == [boxes] * rows
    limited, limited_scores = model.generate(
        asked,
        max_length=ROOM,
        strip_prompt=True,
        return_scores=True,
        grammar=grammar,
    )
    assert limited == plain
    # Of the model's own distribution, not of what the grammar leaves.
    for row, limited_row in zip(scores, limited_scores, strict=True):
        np.testing.assert_allclose(limited_row, row, atol=1e-5)
    pieces = model.generate_stream(asked, max_length=ROOM, grammar=grammar)
    assert ["".join(row) for row in zip(*pieces, strict=True)] == plain


def test_a_row_alone_is_the_row_in_a_batch(model, tokenizer):
    grammars = [build_grammar([x], tokenizer) for x in ("cat", "dog")]
    asked = questions(Detect(), 2)
    together, _ = model.generate_tokens(
        asked, max_length=ROOM, grammar=stack_grammars(grammars)
    )
    for row, grammar in enumerate(grammars):
        alone = {key: values[row : row + 1] for key, values in asked.items()}
        answers, _ = model.generate_tokens(
            alone, max_length=ROOM, grammar=grammar
        )
        np.testing.assert_array_equal(answers[0], together[row])
        assert grammar.accepts(answers[0])


def test_beams_keep_to_the_grammar_and_find_likelier_answers(model, tokenizer):
    grammar = build_grammar(THINGS, tokenizer, min_objects=1, max_objects=1)
    asked = questions(Detect(), 2)
    _, plain = model.generate_tokens(asked, max_length=ROOM, grammar=grammar)
    model.compile(sampler="beam")
    answers, scores = model.generate_tokens(
        asked, max_length=ROOM, grammar=grammar
    )
    model.compile(sampler="greedy")
    for row in range(2):
        assert grammar.accepts(answers[row])
        assert scores[row].sum() >= plain[row].sum() - 1e-4


def test_log_probabilities_are_those_of_score(model, tokenizer):
    asked = questions(Detect(), 2)
    grammar = build_grammar(THINGS, tokenizer, min_objects=1)
    rows, scores = model.generate_tokens(
        asked, max_length=ROOM, grammar=grammar
    )
    # One sequence of tokens a text: what is scored is what was decoded.
    texts = [tokenizer.detokenize(row[:-1].tolist()) for row in rows]
    expected = model.score({**asked, "responses": texts}, max_length=ROOM)
    for row in range(2):
        np.testing.assert_allclose(scores[row], expected[row], atol=1e-4)


def test_a_stream_and_the_best_of_several_draws(model, tokenizer):
    grammar = build_grammar(THINGS, tokenizer)
    asked = questions(Detect(), 3)
    settings = {"max_length": ROOM, "seed": 3, "grammar": grammar}
    for sampler in (TopKSampler(k=7), TopPSampler(p=0.7)):
        model.compile(sampler=sampler)
        rows, _ = model.generate_tokens(asked, best_of=2, **settings)
        assert all(grammar.accepts(row) for row in rows)
    texts = model.generate(asked, strip_prompt=True, **settings)
    pieces = model.generate_stream(asked, **settings)
    assert ["".join(row) for row in zip(*pieces, strict=True)] == texts
    model.compile(sampler="greedy")


def test_a_forced_start_is_kept_and_finished(model, tokenizer):
    start = "<loc0900><loc0010>"
    asked = {**questions(Detect(), 2), "responses": [start, ""]}
    grammar = build_grammar(THINGS, tokenizer, min_objects=1)
    texts = model.generate(asked, max_length=ROOM, grammar=grammar)
    answers = [text.rsplit("\n", 1)[-1] for text in texts]
    assert answers[0].startswith(start)
    for answer in answers:
        found = Detect().parse(answer, things=THINGS)
        assert found.boxes
        assert {problem.kind for problem in found.problems} <= {"repeated"}
    for fault in ("a", f"{start}<loc0899>"):
        with pytest.raises(ValueError, match="forced"):
            model.generate(
                {**asked, "responses": ["", fault]},
                max_length=ROOM,
                grammar=grammar,
            )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_and_a_padded_vocabulary(tokenizer, dtype):
    size = tokenizer.vocabulary_size()
    model = tiny_preset.tiny_model()
    config = {**model.backbone.get_config(), "vocabulary_size": size + 8}
    config = {key: config[key] for key in [*tiny_models.ARGUMENTS]}
    model = PaliGemmaCausalLM(
        backbone=PaliGemmaBackbone(**config, dtype=dtype),
        preprocessor=model.preprocessor,
    )
    # The rows of padding would be chosen, were they allowed.
    embeddings = model.backbone.token_embedding.embeddings
    values = ops.convert_to_numpy(ops.cast(embeddings, "float32")).copy()
    values[size:] = 100 * values[size - 1 - values.argmax() % size]
    embeddings.assign(ops.cast(values, embeddings.dtype))
    model.compile(sampler="greedy")
    for grammar in (
        build_grammar(THINGS, tokenizer, vocabulary_size=size + 8),
        build_grammar(THINGS, tokenizer),
    ):
        rows, scores = model.generate_tokens(
            questions(Detect(), 2), max_length=ROOM, grammar=grammar
        )
        assert all(grammar.accepts(row) for row in rows)
        assert all(np.isfinite(row).all() for row in scores)


@pytest.mark.parametrize("name", ["contrastive", "speculative", "own"])
def test_samplers_with_rules_of_their_own_are_refused(model, tokenizer, name):
    class OwnSampler(GreedySampler):
        """May be anything: its rule may not know what minus infinity is."""

    made = {"speculative": SpeculativeSampler(), "own": OwnSampler()}
    model.compile(sampler=made.get(name, name))
    grammar = build_grammar(THINGS, tokenizer)
    with pytest.raises(ValueError, match=f"sampler={name.title()}Sampler"):
        model.generate(questions(Detect(), 1), grammar=grammar)
    model.compile(sampler="greedy")


def test_what_does_not_fit_is_refused(tokenizer):
    grammar = build_grammar(THINGS, tokenizer, min_objects=1)
    size = len(grammar.groups)
    with pytest.raises(ValueError, match="room for 3 new tokens in row 1"):
        Constraint(grammar, Batch([20, 3]), size)
    with pytest.raises(ValueError, match=f"vocabulary_size={size - 1}"):
        Constraint(grammar, Batch([20]), size - 1)
    stacked = stack_grammars([grammar, grammar])
    with pytest.raises(ValueError, match="2 starts and 3 rows"):
        Constraint(stacked, Batch([20] * 3), size)
    code = tokenizer.segmentation_token_ids[0]
    with pytest.raises(ValueError, match=f"the token {code} in row 0"):
        Constraint(grammar, Batch([20], forced=[code]), size)


def test_a_forced_start_is_followed(tokenizer):
    grammar = build_grammar(THINGS, tokenizer)
    size = len(grammar.groups)
    forced = [tokenizer.location_token_ids[i] for i in (9, 3)]
    carry = carry_of(grammar, Batch([20], forced), size)
    # The lower edge is next: not above the upper one, forced at 9.
    logits = -np.arange(size, dtype="float32")[None]
    tokens, _ = constrained_choice(
        greedy, ops.convert_to_tensor(logits), None, carry
    )
    assert int(tokens[0]) == forced[0]
