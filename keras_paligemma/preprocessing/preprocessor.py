"""From images, prompts and responses to the model's inputs, and back.

Beyond 300 lines for its documentation: what goes in and what comes out of
training and of generation is told here, beside the one class that does both.
"""

import functools

import keras
import keras_hub
import numpy as np

from keras_paligemma.preprocessing.image_converter import (
    PaliGemmaImageConverter,
)
from keras_paligemma.preprocessing.image_loading import to_numpy
from keras_paligemma.preprocessing.packer import pack
from keras_paligemma.preprocessing.presets import PreprocessorPresets
from keras_paligemma.preprocessing.raw_inputs import as_texts
from keras_paligemma.preprocessing.raw_inputs import clean_prompt
from keras_paligemma.preprocessing.raw_inputs import group_images
from keras_paligemma.preprocessing.raw_inputs import pad_images
from keras_paligemma.preprocessing.raw_inputs import select_inputs
from keras_paligemma.preprocessing.raw_inputs import stack_arrays
from keras_paligemma.preprocessing.tf_data import as_float32
from keras_paligemma.preprocessing.tf_data import call_in_tf_data
from keras_paligemma.preprocessing.tf_data import image_shapes
from keras_paligemma.preprocessing.tf_data import is_symbolic
from keras_paligemma.preprocessing.tf_data import static_shape
from keras_paligemma.preprocessing.tokenizer import PaliGemmaTokenizer
from keras_paligemma.preprocessing.truncation import TruncationCounter

_TOKEN_KEYS = ("token_ids", "padding_mask", "response_mask")


@keras.saving.register_keras_serializable(package="keras_paligemma")
class PaliGemmaCausalLMPreprocessor(
    PreprocessorPresets, keras_hub.models.CausalLMPreprocessor
):
    r"""Makes the model's inputs from images and texts.

    A sequence is BOS, prompt, SEP, response, EOS, PAD (see `pack`). SEP is
    the newline and is added here: a prompt that ends in one gets no second
    one, and a typed `<image>` or `<bos>` in front is taken off.

    It runs on Python values and gives NumPy arrays, also in the workers of
    grain; in a `tf.data` map the same code runs within the graph.

    Args:
        tokenizer: `PaliGemmaTokenizer`.
        image_converter: `PaliGemmaImageConverter`. With `None`, images must
            be arrays in [-1, 1], of the size of the model.
        sequence_length: int. The number of text tokens, padding included.
        add_start_token: bool. Whether BOS goes in front.
        add_end_token: bool. Whether EOS follows a response in training.
        **kwargs: Arguments of `keras_hub.models.CausalLMPreprocessor`.

    Call arguments:
        x: dict. `"images"`: one for each prompt (a path, a `PIL.Image` or an
            array of values in 0..255), or a list of several for each;
            `"prompts"`: a str or a list of str; `"responses"`: likewise.
        y: None. The labels are made from the responses.
        sample_weight: None. It is made from the responses.
        sequence_length: int. Used instead of the constructor's, once.

    Returns:
        A triple `(x, y, sample_weight)`: `x` with `"images"` float32
        `[batch, height, width, 3]`, and `"token_ids"`, `"padding_mask"`,
        `"response_mask"` int32 `[batch, length]`; `y` int32, the tokens one
        step ahead; `sample_weight` float32, 1 where `y` is response or EOS.
        Several images for some prompt give `"images"` `[batch, images,
        height, width, 3]`, padded with zeros, and `"image_mask"` int32
        `[batch, images]`. An unbatched input gives unbatched outputs.

    Attributes:
        truncated_prompts: int. How many prompts were cut so far; worker
            processes count on their own.
        truncated_responses: int. The same for responses.

    Raises:
        FileNotFoundError: If there is no file of a given name.
        ValueError: If a prompt is no text, an image cannot be read, or the
            numbers of images, prompts and responses differ.

    Example:

    ```python
    preprocessor = PaliGemmaCausalLMPreprocessor(
        PaliGemmaTokenizer("gemma.model"),
        PaliGemmaImageConverter(image_size=224),
        sequence_length=128,
    )
    x, y, sample_weight = preprocessor(
        {
            "images": ["cat.jpg", "dog.jpg"],
            "prompts": ["caption en", "caption de"],
            "responses": ["a cat", "ein Hund"],
        }
    )
    ```
    """

    backbone_cls = None
    tokenizer_cls = PaliGemmaTokenizer
    image_converter_cls = PaliGemmaImageConverter

    def __init__(
        self,
        tokenizer,
        image_converter=None,
        sequence_length=512,
        add_start_token=True,
        add_end_token=True,
        **kwargs,
    ):
        for option in ("sequence_length", "add_bos", "add_eos"):
            value = getattr(tokenizer, option, None)
            if value:
                raise ValueError(
                    "The preprocessor packs and pads itself; its tokenizer "
                    f"must not. Received: a tokenizer with {option}={value}. "
                    f"Make it without `{option}`."
                )
        super().__init__(
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            add_start_token=add_start_token,
            add_end_token=add_end_token,
            **kwargs,
        )
        self.image_converter = image_converter
        self.truncations = TruncationCounter()
        self.built = True

    @property
    def truncated_prompts(self):
        return self.truncations.prompts

    @property
    def truncated_responses(self):
        return self.truncations.responses

    def build(self, input_shape=None):
        # No packing layer to make: the ids are asked for when needed, so
        # the tokenizer's assets may be loaded later.
        self.built = True

    def __call__(self, *args, **kwargs):
        # Keras refuses a dict that mixes tensors with text; only tensors
        # come from a `tf.data` map.
        if is_symbolic((args, kwargs)):
            return super().__call__(*args, **kwargs)
        if len(args) == 1 and isinstance(args[0], tuple):
            args = args[0]
        return self.call(*args, **kwargs)

    def call(self, x, y=None, sample_weight=None, sequence_length=None):
        if y is not None or sample_weight is not None:
            raise ValueError(
                "`y` and `sample_weight` are made from the responses. "
                f"Received: type(y)={type(y).__name__}, "
                f"type(sample_weight)={type(sample_weight).__name__}. Pass "
                'the answers as x["responses"].'
            )
        inputs = select_inputs(x, required=("images", "prompts", "responses"))
        length = sequence_length or self.sequence_length
        # One more token, for the labels are the tokens one step ahead.
        outputs = self._run(inputs, self._training_arrays, length, length + 1)
        tokens = {key: outputs.pop(key) for key in _TOKEN_KEYS}
        x = outputs | {key: value[..., :-1] for key, value in tokens.items()}
        y = tokens["token_ids"][..., 1:]
        sample_weight = as_float32(tokens["response_mask"][..., 1:])
        return x, y, sample_weight

    def num_tokens(self, x):
        """Counts the text tokens of examples, before any is cut.

        Args:
            x: dict of lists, `"prompts"` and `"responses"`.

        Returns:
            list of int: BOS, prompt, SEP, response and EOS together.
        """
        prompts, _ = as_texts(x["prompts"], "prompts")
        responses, _ = as_texts(x["responses"], "responses")
        ends = 1 + self.add_start_token + self.add_end_token
        prefixes = self.tokenizer.tokenize(list(map(clean_prompt, prompts)))
        suffixes = self.tokenizer.tokenize(responses)
        return [
            len(prefix) + len(suffix) + ends
            for prefix, suffix in zip(prefixes, suffixes, strict=True)
        ]

    def generate_preprocess(self, x, sequence_length=None):
        """Makes the inputs of generation: BOS, prompt, SEP, padding.

        Args:
            x: dict. `"images"` and `"prompts"` as in training; `"responses"`
                is optional and holds forced starts of the answers.
            sequence_length: int. The number of text tokens, including those
                to be generated. A prompt is cut if it would leave no room
                for one.

        Returns:
            A dict with the keys of the model's inputs. `"response_mask"` is 1
            on a forced start, which attends causally like the rest of the
            answer.
        """
        inputs = select_inputs(x, required=("images", "prompts"))
        length = sequence_length or self.sequence_length
        return self._run(inputs, self._generation_arrays, length, length)

    def generate_postprocess(self, x):
        """Turns generated tokens into text.

        Args:
            x: dict. `"token_ids"` and `"padding_mask"`, `[batch, length]` or
                `[length]`; tokens with a mask of 0 are left out.

        Returns:
            A list of str, or one str for one sequence. A prompt comes back
            in front of its answer, with a newline between.
        """
        token_ids = to_numpy(x["token_ids"])
        keep = to_numpy(x["padding_mask"]).astype(bool)
        keep &= ~np.isin(token_ids, self.tokenizer.special_token_ids)
        if token_ids.ndim == 1:
            return self._detokenize(token_ids[keep].tolist())
        return [
            self._detokenize(row[mask].tolist())
            for row, mask in zip(token_ids, keep, strict=True)
        ]

    def __reduce__(self):
        # Worker processes receive pickles. The tokenizer's model is no part
        # of the config, so the objects are sent in the place of theirs.
        config = self.get_config()
        config["tokenizer"] = self.tokenizer
        if self.image_converter is not None:
            config["image_converter"] = self.image_converter
        return type(self).from_config, (config,)

    def _run(self, inputs, make_arrays, length, output_length):
        """Calls `make_arrays`, within the graph of `tf.data` if need be."""
        make_arrays = functools.partial(make_arrays, length=length)
        if not is_symbolic(inputs):
            return make_arrays(inputs)
        batch_shape = static_shape(inputs["prompts"], "prompts")
        image_shape, mask_shape = image_shapes(
            inputs["images"], batch_shape, self.image_size
        )
        token_shape = (*batch_shape, output_length)
        outputs = {"images": (image_shape, "float32")}
        outputs |= {key: (token_shape, "int32") for key in _TOKEN_KEYS}
        if mask_shape is not None:
            outputs["image_mask"] = (mask_shape, "int32")
        several = mask_shape is not None
        return call_in_tf_data(
            functools.partial(make_arrays, several=several), inputs, outputs
        )

    def _training_arrays(self, inputs, length, several=None):
        return self._make_arrays(
            inputs,
            length=length + 1,
            sequence_length=length,
            add_eos=self.add_end_token,
            several=several,
        )

    def _generation_arrays(self, inputs, length, several=None):
        # The last position stays free, for a token to be generated.
        return self._make_arrays(
            inputs,
            length=length - 1,
            sequence_length=length,
            add_eos=False,
            several=several,
        )

    def _make_arrays(
        self, inputs, *, length, sequence_length, add_eos, several
    ):
        prompts, batched = as_texts(inputs["prompts"], "prompts")
        responses = [""] * len(prompts)
        if "responses" in inputs:
            responses, _ = as_texts(inputs["responses"], "responses")
        if len(responses) != len(prompts) or not prompts:
            raise ValueError(
                "There must be one response for each prompt, and at least "
                f"one of each. Received: {len(prompts)} prompts and "
                f"{len(responses)} responses."
            )
        groups = group_images(inputs["images"], batched, len(prompts))
        packed = self._pack(prompts, responses, length, add_eos)
        self.truncations.add(packed, sequence_length)
        arrays = self._stack_images(groups, several)
        for key, pad_value in zip(
            _TOKEN_KEYS, (self.tokenizer.pad_token_id, 0, 0), strict=True
        ):
            rows = np.array([getattr(row, key) for row in packed], "int32")
            free = max(sequence_length - length, 0)
            arrays[key] = np.pad(
                rows, ((0, 0), (0, free)), constant_values=pad_value
            )
        if not batched:
            arrays = {key: value[0] for key, value in arrays.items()}
        return arrays

    def _pack(self, prompts, responses, length, add_eos):
        tokenizer = self.tokenizer
        prompts = [clean_prompt(prompt) for prompt in prompts]
        prefixes = tokenizer.tokenize(prompts)
        suffixes = tokenizer.tokenize(responses)
        return [
            pack(
                prefix_ids,
                suffix_ids,
                bos=tokenizer.start_token_id if self.add_start_token else None,
                separator=tokenizer.separator_token_id,
                eos=tokenizer.end_token_id,
                pad=tokenizer.pad_token_id,
                length=length,
                add_eos=add_eos,
            )
            for prefix_ids, suffix_ids in zip(prefixes, suffixes, strict=True)
        ]

    def _stack_images(self, groups, several):
        counts = [len(group) for group in groups]
        images = [image for group in groups for image in group]
        if not images:
            raise ValueError(
                "At least one image is needed. Received: no image for "
                f"{len(groups)} prompts."
            )
        if self.image_converter is None:
            stacked = stack_arrays(images)
        else:
            stacked = to_numpy(self.image_converter(images))
        return pad_images(stacked, counts, several)

    def _detokenize(self, token_ids):
        size = self.tokenizer.vocabulary_size()
        outside = [i for i in token_ids if not 0 <= i < size]
        if outside:
            raise ValueError(
                "Every token must be in the tokenizer's vocabulary of "
                f"{size} pieces. Received: token_ids with {outside[0]}."
            )
        separator = self.tokenizer.separator_token_id
        if separator not in token_ids:
            return self.tokenizer.detokenize([token_ids])[0]
        # Each part alone, as they were tokenized.
        position = token_ids.index(separator)
        parts = [token_ids[:position], token_ids[position + 1 :]]
        return "\n".join(self.tokenizer.detokenize(parts))
