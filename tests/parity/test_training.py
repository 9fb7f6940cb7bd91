"""Loss and gradients equal Transformers' on the same weights and batch.

`GradientRecorder` leaves each gradient in the place of its variable, so the
export to Transformers carries our gradients over to its names and layouts.
"""

import numpy as np
import pytest
import torch

from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma import ResponseCrossentropy
from tests.checkpoints.writers import tiny_arguments
from tests.checkpoints.writers import write_transformers_checkpoint
from tests.models.recorded_gradients import GradientRecorder
from tests.models.recorded_gradients import relative_errors

BOS, SEP, EOS = 2, 5, 1
VOCABULARY = tiny_arguments()["vocabulary_size"]
IMAGE_TOKENS = 9
LENGTH = 14
LENGTHS = ((2, 5), (6, 2), (4, 3))
# A softmax is the same whatever is added to all keys: gradients of rounding.
ZERO_GRADIENT = "k_proj.bias"


@pytest.fixture(scope="module", params=[1, 2])
def models(request, tmp_path_factory):
    """Transformers' model and ours, of PaliGemma 1 and 2."""
    directory = tmp_path_factory.mktemp("transformers")
    reference = write_transformers_checkpoint(
        directory, generation=request.param, seed=request.param
    )
    reference.set_attn_implementation("eager")
    model = PaliGemmaCausalLM.from_preset(str(directory), preprocessor=None)
    return reference, model


@pytest.fixture(scope="module")
def sequences():
    """Rows of unequal prompts and answers, padded behind."""
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (len(LENGTHS), 12, 12, 3)).astype("float32")
    token_ids = np.zeros((len(LENGTHS), LENGTH), "int32")
    padding_mask, response_mask = (np.zeros_like(token_ids) for _ in range(2))
    for row, (prefix, suffix) in enumerate(LENGTHS):
        prompt = [BOS, *rng.integers(6, VOCABULARY, prefix), SEP]
        answer = [*rng.integers(6, VOCABULARY, suffix), EOS]
        whole = len(prompt) + len(answer)
        token_ids[row, :whole] = [*prompt, *answer]
        padding_mask[row, :whole] = 1
        response_mask[row, len(prompt) : whole] = 1
    return images, token_ids, padding_mask, response_mask


def our_batch(images, token_ids, padding_mask, response_mask):
    inputs = {
        "images": images,
        "token_ids": token_ids[:, :-1],
        "padding_mask": padding_mask[:, :-1],
        "response_mask": response_mask[:, :-1],
    }
    return inputs, token_ids[:, 1:], response_mask[:, 1:].astype("float32")


def their_loss_and_gradients(
    reference, images, token_ids, padding_mask, response_mask
):
    def with_images(values, image_value):
        shape = (len(values), IMAGE_TOKENS)
        front = np.full(shape, image_value, values.dtype)
        return torch.tensor(np.concatenate([front, values], axis=1))

    ids = with_images(token_ids, reference.config.image_token_id)
    mask, types = with_images(padding_mask, 1), with_images(response_mask, 0)
    labels = torch.where(types > 0, ids, -100)
    reference.zero_grad()
    logits = reference(
        input_ids=ids,
        attention_mask=mask,
        token_type_ids=types,
        pixel_values=torch.tensor(images).permute(0, 3, 1, 2),
    ).logits
    # Transformers' loss runs over its padded rows of the table as well.
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1, :VOCABULARY].reshape(-1, VOCABULARY),
        labels[:, 1:].reshape(-1).long(),
        ignore_index=-100,
    )
    loss.backward()
    gradients = {
        name: _shared_rows(name, parameter.grad)
        for name, parameter in reference.named_parameters()
    }
    return loss.item(), {k: v for k, v in gradients.items() if v is not None}


def _shared_rows(name, values):
    if values is None:
        return None
    table = "embed_tokens" in name or "lm_head" in name
    return values[: VOCABULARY if table else None].numpy().copy()


def test_loss_is_the_mean_of_the_examples_means(models, sequences):
    _, model = models
    model.compile(GradientRecorder(), label_smoothing=0.1)
    inputs, targets, weights = our_batch(*sequences)
    logits = model.predict(inputs, verbose=0).astype("float64")
    logits -= logits.max(axis=-1, keepdims=True)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    wanted = np.full(logits.shape, 0.1 / (VOCABULARY - 1))
    np.put_along_axis(wanted, targets[..., None], 0.9, axis=-1)
    losses = -(wanted * log_probs).sum(axis=-1)
    expected = np.mean(
        [
            row[kept > 0].mean()
            for row, kept in zip(losses, weights, strict=True)
        ]
    )
    loss = model.test_on_batch(inputs, targets, weights, return_dict=True)
    assert float(loss["loss"]) == pytest.approx(expected, rel=1e-5)


def test_token_mean_and_all_gradients_equal_transformers(
    models, sequences, tmp_path
):
    reference, model = models
    loss, expected = their_loss_and_gradients(reference, *sequences)
    model.compile(
        GradientRecorder(), loss=ResponseCrossentropy(reduction="token_mean")
    )
    logs = model.train_on_batch(*our_batch(*sequences), return_dict=True)
    assert float(logs["loss"]) == pytest.approx(loss, rel=1e-5)

    model.export_to_transformers(str(tmp_path / "gradients"))
    carrier = type(reference).from_pretrained(tmp_path / "gradients")
    gradients = {
        name: _shared_rows(name, parameter.detach())
        for name, parameter in carrier.named_parameters()
        if name in expected
    }
    assert len(expected) >= len(model.weights) - 1
    errors = relative_errors(gradients, expected)
    for name, error in errors.items():
        if name.endswith(ZERO_GRADIENT):
            assert np.abs(gradients[name]).max() < 1e-5, name
        else:
            assert error < 1e-4, (name, error)
            assert np.abs(expected[name]).max() > 1e-6, name
