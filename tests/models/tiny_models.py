"""Tiny models with weights large enough that decoding varies, and inputs."""

import numpy as np

IMAGE_SIZE = 28
# Text tokens of prompt and answer together.
LENGTH = 14
PROMPT_LENGTHS = (3, 6, 5)
IMAGE_COUNTS = (1, 2, 1)
ARGUMENTS = {
    "vocabulary_size": 300,
    "image_size": IMAGE_SIZE,
    "num_layers": 2,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
    "hidden_dim": 32,
    "intermediate_dim": 64,
    "head_dim": 8,
    "vit_patch_size": 14,
    "vit_num_heads": 2,
    "vit_hidden_dim": 16,
    "vit_num_layers": 1,
    "vit_intermediate_dim": 32,
}


def randomise(backbone, seed=0):
    """Draws weights from N(0, 0.5), embeddings from N(0, 0.3).

    The scales of layer norms are about 1. The numbers are the same on every
    backend.
    """
    generator = np.random.default_rng(seed)
    for weight in backbone.weights:
        scale = 0.3 if "embeddings" in weight.path else 0.5
        middle = 1.0 if weight.path.endswith("gamma") else 0.0
        values = generator.normal(middle, scale, weight.shape)
        weight.assign(values.astype("float32"))
    return backbone


def tiny_backbone(**changes):
    """Returns a `PaliGemmaBackbone` whose weights depend on nothing else."""
    import keras_paligemma

    return randomise(
        keras_paligemma.PaliGemmaBackbone(**{**ARGUMENTS, **changes})
    )


def tiny_task(backbone, **compile_options):
    """Returns a `PaliGemmaCausalLM` without a preprocessor."""
    import keras_paligemma

    task = keras_paligemma.PaliGemmaCausalLM(None, backbone)
    if compile_options:
        task.compile(**compile_options)
    return task


def prompt_inputs(seed=0, vocabulary_size=300):
    """Prompts of unequal length with different numbers of images."""
    generator = np.random.default_rng(seed)
    rows = len(PROMPT_LENGTHS)
    size = (rows, max(IMAGE_COUNTS), IMAGE_SIZE, IMAGE_SIZE, 3)
    images = generator.uniform(-1, 1, size).astype("float32")
    image_mask = np.arange(size[1]) < np.array(IMAGE_COUNTS)[:, None]
    images[~image_mask] = 0
    token_ids = generator.integers(5, vocabulary_size, (rows, LENGTH))
    padding_mask = np.arange(LENGTH) < np.array(PROMPT_LENGTHS)[:, None]
    return {
        "images": images,
        "image_mask": image_mask.astype("int32"),
        "token_ids": (token_ids * padding_mask).astype("int32"),
        "padding_mask": padding_mask.astype("int32"),
        "response_mask": np.zeros((rows, LENGTH), "int32"),
    }


def row_alone(inputs, row):
    """One row of `prompt_inputs` without the images that fill it up."""
    alone = {key: value[row : row + 1] for key, value in inputs.items()}
    count = int(alone["image_mask"].sum())
    alone["images"] = alone["images"][:, :count]
    alone["image_mask"] = alone["image_mask"][:, :count]
    return alone


def answers_of(outputs, inputs):
    """The new tokens of each row of what `generate` returned."""
    lengths = inputs["padding_mask"].sum(axis=1)
    return [
        row[mask][length:].tolist()
        for row, mask, length in zip(
            outputs["token_ids"], outputs["padding_mask"], lengths, strict=True
        )
    ]


def logits_of(task, inputs):
    """Logits of one compiled full pass, `[batch, length, vocabulary]`."""
    nothing = np.zeros_like(inputs["token_ids"])
    return task.score((inputs, nothing, nothing), "logits")


def log_softmax(logits):
    logits = logits.astype("float64")
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def full_pass(task, inputs, answers):
    """Log-probabilities of prompts and answers, in one uncached pass.

    Returns:
        float array `[batch, LENGTH, vocabulary]`, and each row's
        log-probabilities of its answer.
    """
    inputs = {key: value.copy() for key, value in inputs.items()}
    lengths = inputs["padding_mask"].sum(axis=1)
    for row, answer in enumerate(answers):
        place = slice(lengths[row], lengths[row] + len(answer))
        inputs["token_ids"][row, place] = answer
        inputs["padding_mask"][row, place] = 1
        inputs["response_mask"][row, place] = 1
    log_probs = log_softmax(logits_of(task, inputs))
    scores = [
        log_probs[row, lengths[row] - 1 :][range(len(answer)), answer]
        for row, answer in enumerate(answers)
    ]
    return log_probs, scores


def greedy_answers(task, inputs):
    """Greedy decoding by one full pass a token, up to `LENGTH`."""
    lengths = inputs["padding_mask"].sum(axis=1)
    answers = [[] for _ in lengths]
    for _ in range(LENGTH - lengths.min()):
        log_probs, _ = full_pass(task, inputs, answers)
        for row, answer in enumerate(answers):
            place = lengths[row] + len(answer)
            if place < LENGTH:
                answer.append(int(log_probs[row, place - 1].argmax()))
    return answers
