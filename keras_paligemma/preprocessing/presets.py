"""`from_preset` of tokenizer, image converter and preprocessor."""

import json

from keras_paligemma.checkpoints import open_checkpoint


class TokenizerPresets:
    """Mixin that loads a tokenizer from any checkpoint that has one."""

    @classmethod
    def from_preset(cls, preset, **kwargs):
        """Loads the tokenizer of a checkpoint.

        Args:
            preset: string. A handle as `PaliGemmaBackbone.from_preset` takes.
            **kwargs: Arguments of the constructor.

        Raises:
            ValueError: If the checkpoint has no tokenizer.
        """
        checkpoint = open_checkpoint(preset)
        if checkpoint.format == "keras":
            return super().from_preset(checkpoint.path, **kwargs)
        tokenizer = load_tokenizer(checkpoint, cls, **kwargs)
        if tokenizer is None:
            raise _no_tokenizer(checkpoint)
        return tokenizer


class ImageConverterPresets:
    """Mixin that makes the image converter that fits any checkpoint."""

    @classmethod
    def from_preset(cls, preset, **kwargs):
        """Makes the image converter of a checkpoint.

        Args:
            preset: string. A handle as `PaliGemmaBackbone.from_preset` takes.
            **kwargs: Arguments of the constructor that replace others.
        """
        checkpoint = open_checkpoint(preset)
        if checkpoint.format == "keras":
            return super().from_preset(checkpoint.path, **kwargs)
        return load_image_converter(checkpoint, cls, **kwargs)


class PreprocessorPresets:
    """Mixin that loads a preprocessor from any checkpoint with a tokenizer."""

    @classmethod
    def from_preset(cls, preset, image_size=None, **kwargs):
        """Loads the preprocessor of a checkpoint.

        Args:
            preset: string. A handle as `PaliGemmaBackbone.from_preset` takes.
            image_size: int. Pixels on a side, if not the checkpoint's.
            **kwargs: Arguments of the constructor that replace others.

        Raises:
            ValueError: If the checkpoint has no tokenizer.
        """
        checkpoint = open_checkpoint(preset)
        preprocessor = load_preprocessor(
            checkpoint, cls, image_size=image_size, **kwargs
        )
        if preprocessor is None:
            raise _no_tokenizer(checkpoint)
        return preprocessor

    @classmethod
    def from_keras_preset(cls, path, **kwargs):
        """Loads what `save_to_preset` wrote; see Keras-Hub."""
        return super().from_preset(path, **kwargs)


def load_tokenizer(checkpoint, tokenizer_cls, **kwargs):
    """The tokenizer beside a checkpoint, or `None`.

    Args:
        checkpoint: `Checkpoint` or `PartOfCheckpoint`.
        tokenizer_cls: class. What to make.
        **kwargs: Arguments of its constructor.
    """
    assets = checkpoint.assets
    if "tokenizer_model" in assets:
        with open(assets["tokenizer_model"], "rb") as file:
            return tokenizer_cls(file.read(), **kwargs)
    if "tokenizer_json" in assets:
        from keras_paligemma.checkpoints.sentencepiece_model import (
            sentencepiece_from_tokenizer_json,
        )

        proto = sentencepiece_from_tokenizer_json(assets["tokenizer_json"])
        return tokenizer_cls(proto, **kwargs)
    return None


def load_image_converter(checkpoint, converter_cls, **kwargs):
    """The image converter that fits a checkpoint.

    The published resizing holds (bilinear, antialiased, no crop), whatever a
    file beside the weights says: checkpoints were trained with it.
    """
    size = checkpoint.arguments["image_size"]
    return converter_cls(**{"image_size": (size, size), **kwargs})


def load_preprocessor(checkpoint, preprocessor_cls, image_size=None, **kwargs):
    """The preprocessor that fits a checkpoint, or `None` without tokenizer.

    Args:
        checkpoint: `Checkpoint`.
        preprocessor_cls: class. What to make.
        image_size: int. Pixels on a side, if not the checkpoint's.
        **kwargs: Arguments of its constructor that replace others.
    """
    saved = checkpoint.assets.get("keras_preprocessor")
    if checkpoint.format == "keras":
        if saved is None:
            return None
        preprocessor = preprocessor_cls.from_keras_preset(
            checkpoint.path, **kwargs
        )
        if image_size is not None:
            preprocessor.image_size = (image_size, image_size)
        return preprocessor
    if "tokenizer" not in kwargs:
        kwargs["tokenizer"] = load_tokenizer(
            checkpoint, preprocessor_cls.tokenizer_cls
        )
    if kwargs["tokenizer"] is None:
        return None
    if "image_converter" not in kwargs:
        size = {} if image_size is None else {"image_size": image_size}
        kwargs["image_converter"] = load_image_converter(
            checkpoint, preprocessor_cls.image_converter_cls, **size
        )
    if saved is not None and "sequence_length" not in kwargs:
        with open(saved, encoding="utf-8") as file:
            config = json.load(file)["config"]
        kwargs["sequence_length"] = config["sequence_length"]
    return preprocessor_cls(**kwargs)


def _no_tokenizer(checkpoint):
    return ValueError(
        "Expected `tokenizer.model` or `tokenizer.json` beside the weights. "
        f"Received: {checkpoint.path}, which has neither; put one there, or "
        "make a `PaliGemmaTokenizer` from its own file"
    )
