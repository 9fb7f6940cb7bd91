"""Logits, loss and greedy text equal Transformers' on the same weights."""

import numpy as np
import pytest
import torch

from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma import ResponseCrossentropy
from tests.checkpoints.writers import tiny_arguments
from tests.checkpoints.writers import write_transformers_checkpoint

BOS, SEP, EOS, PAD = 2, 5, 1, 0
VOCABULARY = tiny_arguments()["vocabulary_size"]
IMAGE_TOKENS = 9


@pytest.fixture(scope="module", params=[1, 2])
def models(request, tmp_path_factory):
    """Transformers' model and ours, of PaliGemma 1 and 2."""
    directory = tmp_path_factory.mktemp("transformers")
    reference = write_transformers_checkpoint(
        directory, generation=request.param, seed=request.param
    )
    # Gemma 2 refuses SDPA, and SDPA needs token types to hide the suffix.
    reference.set_attn_implementation("eager")
    model = PaliGemmaCausalLM.from_preset(str(directory), preprocessor=None)
    return reference, model


@pytest.fixture(scope="module")
def batch():
    """Rows of unequal prompts and answers."""
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (3, 12, 12, 3)).astype("float32")
    rows = []
    for prefix, suffix in ((2, 5), (6, 2), (4, 3)):
        ids = rng.integers(6, VOCABULARY, prefix + suffix)
        rows.append(
            (
                [BOS, *ids[:prefix], SEP],
                [*ids[prefix:], EOS],
            )
        )
    return images, [p for p, _ in rows], [s for _, s in rows]


def our_inputs(images, prompts, answers, length):
    token_ids = np.full((len(prompts), length), PAD, "int32")
    padding_mask = np.zeros_like(token_ids)
    response_mask = np.zeros_like(token_ids)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        sequence = [*prompt, *answer]
        token_ids[row, : len(sequence)] = sequence
        padding_mask[row, : len(sequence)] = 1
        response_mask[row, len(prompt) : len(sequence)] = 1
    return {
        "images": images,
        "token_ids": token_ids,
        "padding_mask": padding_mask,
        "response_mask": response_mask,
    }


def their_inputs(reference, inputs, left=False):
    """Transformers' inputs: image tokens, token types, labels."""
    token = reference.config.image_token_id
    token_ids, valid = inputs["token_ids"], inputs["padding_mask"]
    types = inputs["response_mask"]
    if left:
        shifts = token_ids.shape[1] - valid.sum(1)
        token_ids, valid, types = (
            np.stack([np.roll(r, s) for r, s in zip(x, shifts, strict=True)])
            for x in (token_ids, valid, types)
        )
    rows = len(token_ids)
    images = np.full((rows, IMAGE_TOKENS), token)
    ids, mask, types = (
        np.concatenate([a, b], axis=1)
        for a, b in (
            (images, token_ids),
            (np.ones_like(images), valid),
            (np.zeros_like(images), types),
        )
    )
    if left:
        # Padding stands before the image tokens.
        order = np.argsort(mask, axis=1, kind="stable")
        ids, mask, types = (
            np.take_along_axis(x, order, 1) for x in (ids, mask, types)
        )
    return {
        "input_ids": torch.tensor(ids),
        "attention_mask": torch.tensor(mask),
        "token_type_ids": torch.tensor(types),
        "pixel_values": torch.tensor(inputs["images"]).permute(0, 3, 1, 2),
    }


def test_logits_equal(models, batch):
    reference, model = models
    inputs = our_inputs(*batch, length=14)
    with torch.no_grad():
        expected = reference(**their_inputs(reference, inputs)).logits
    expected = expected[:, IMAGE_TOKENS:, :VOCABULARY].numpy()
    logits = model.predict(inputs, verbose=0)
    valid = inputs["padding_mask"] > 0
    np.testing.assert_allclose(logits[valid], expected[valid], atol=1e-4)


def test_token_mean_loss_equals(models, batch):
    reference, model = models
    inputs = our_inputs(*batch, length=14)
    theirs = their_inputs(reference, inputs)
    labels = torch.where(
        theirs["token_type_ids"] * theirs["attention_mask"] > 0,
        theirs["input_ids"],
        -100,
    )
    with torch.no_grad():
        # Transformers' loss runs over its padded rows of the table as well.
        logits = reference(**theirs).logits[..., :VOCABULARY]
        expected = torch.nn.functional.cross_entropy(
            logits[:, :-1].reshape(-1, VOCABULARY),
            labels[:, 1:].reshape(-1),
            ignore_index=-100,
        ).item()
    logits = model.predict(inputs, verbose=0)[:, :-1]
    loss = ResponseCrossentropy(reduction="token_mean")(
        inputs["token_ids"][:, 1:],
        logits,
        inputs["response_mask"][:, 1:],
    )
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_greedy_tokens_equal_for_unequal_prompts(models, batch):
    reference, model = models
    images, prompts, _ = batch
    new_tokens = 8
    length = max(len(p) for p in prompts) + new_tokens
    inputs = our_inputs(images, prompts, [[]] * len(prompts), length)
    outputs = model.generate(dict(inputs), stop_token_ids=(EOS,))
    width = max(len(p) for p in prompts)
    trimmed = our_inputs(images, prompts, [[]] * len(prompts), width)
    theirs = their_inputs(reference, trimmed, left=True)
    expected = reference.generate(
        **theirs,
        max_new_tokens=new_tokens,
        do_sample=False,
        eos_token_id=EOS,
        pad_token_id=PAD,
        suppress_tokens=list(
            range(VOCABULARY, reference.config.text_config.vocab_size)
        ),
    )[:, theirs["input_ids"].shape[1] :].numpy()
    for row, prompt in enumerate(prompts):
        answer = expected[row].tolist()
        if EOS in answer:
            answer = answer[: answer.index(EOS) + 1]
        got = outputs["token_ids"][row, len(prompt) :][: len(answer)]
        assert got.tolist() == answer


def test_weights_make_greedy_decoding_vary(models, batch):
    _, model = models
    inputs = our_inputs(*batch, length=14)
    chosen = model.predict(inputs, verbose=0).argmax(-1)
    assert len(np.unique(chosen[inputs["padding_mask"] > 0])) > 5


def test_round_trip_is_bit_equal(models, tmp_path):
    reference, model = models
    model.export_to_transformers(str(tmp_path / "back"))
    again = type(reference).from_pretrained(tmp_path / "back")
    before, after = reference.state_dict(), again.state_dict()
    assert set(before) == set(after)
    for key, value in before.items():
        # Rows behind the vocabulary are Transformers' own.
        rows = VOCABULARY if "embed_tokens" in key or "lm_head" in key else None
        assert torch.equal(value[:rows], after[key][:rows]), key
