"""PaliGemma's tokenizer: Gemma's pieces, then locations and segments."""

import base64
import binascii
import os
import pathlib

import keras
import keras_hub
import sentencepiece

from keras_paligemma.preprocessing.location_tokens import LOCATION_TOKENS
from keras_paligemma.preprocessing.location_tokens import SEGMENTATION_TOKENS
from keras_paligemma.preprocessing.location_tokens import (
    add_location_and_segmentation_tokens,
)
from keras_paligemma.preprocessing.presets import TokenizerPresets

SEPARATOR = "\n"
_SEPARATOR_BYTE_PIECE = "<0x0A>"
# Shorter texts are paths: a model with 1152 pieces more is never that small.
_SHORTEST_BASE64 = 2048
_ID_ATTRIBUTES = (
    "start_token_id",
    "end_token_id",
    "pad_token_id",
    "separator_token_id",
    "location_token_ids",
    "segmentation_token_ids",
)


def rebuild_tokenizer(tokenizer_class, config, proto):
    """Makes a tokenizer again from what `__reduce__` kept of it."""
    return tokenizer_class.from_config({**config, "proto": proto})


@keras.saving.register_keras_serializable(package="keras_paligemma")
class PaliGemmaTokenizer(
    TokenizerPresets, keras_hub.tokenizers.SentencePieceTokenizer
):
    """Text to token ids and back, with SentencePiece.

    The model may be Gemma's, to which the location pieces `<loc0000>` to
    `<loc1023>` and the segmentation pieces `<seg000>` to `<seg127>` are
    appended, or PaliGemma's, which has them and is left as it is. That each
    of them is one token is checked when the model is loaded.

    No start, separator or end token is added here: the preprocessor does
    that. Strings go to lists of ids, symbolic tensors of a `tf.data` map to
    ragged tensors, as in Keras-Hub.

    Args:
        proto: str, path or bytes. The SentencePiece model: a path to the
            file, its content, or its content in base64.
        **kwargs: Arguments of `keras_hub.tokenizers.SentencePieceTokenizer`.

    Attributes:
        start_token_id: int. The id of `<bos>`.
        end_token_id: int. The id of `<eos>`.
        pad_token_id: int. The id of `<pad>`.
        separator_token_id: int. The id of the newline between prompt and
            answer.
        location_token_ids: tuple of int. Entry `i` is the id of `<loc{i}>`.
        segmentation_token_ids: tuple of int. Entry `i` is the id of
            `<seg{i}>`.

    Raises:
        FileNotFoundError: If there is no file at a given path.
        ValueError: If the model cannot be read, lacks `<bos>`, `<eos>`, `<pad>`
            or a newline token, has some of the location and segmentation
            pieces but not all, or splits one of them.

    Example:

    ```python
    tokenizer = PaliGemmaTokenizer("gemma.model")
    tokenizer("detect cat")
    tokenizer.detokenize([tokenizer.location_token_id(512)])  # ["<loc0512>"]
    ```
    """

    backbone_cls = None

    start_token = "<bos>"
    end_token = "<eos>"
    pad_token = "<pad>"

    def __init__(self, proto=None, **kwargs):
        super().__init__(proto=proto, **kwargs)

    def set_proto(self, proto):
        """Sets the SentencePiece model, once it has passed all checks."""
        if proto is None:
            super().set_proto(None)
            self._set_ids(dict.fromkeys(_ID_ATTRIBUTES))
            return
        proto = add_location_and_segmentation_tokens(_read_proto(proto))
        ids = self._look_up_ids(proto)
        super().set_proto(proto)
        self._set_ids(ids)

    def load_assets(self, dir_path):
        (name,) = self.file_assets
        self.set_proto(pathlib.Path(dir_path) / name)

    @classmethod
    def from_config(cls, config):
        proto = config.get("proto")
        if isinstance(proto, str) and _decode_base64(proto) is None:
            # A config may come from elsewhere: it must not open files here.
            raise ValueError(
                "The `proto` of a tokenizer's config must be None, bytes or "
                f"base64. Received: proto={proto[:100]!r}. Call "
                f"`{cls.__name__}(path)` to load a file."
            )
        return super().from_config(config)

    def location_token_id(self, index):
        """Returns the id of `<loc{index}>`, for `index` in 0..1023."""
        return _entry(self.location_token_ids, "location", index)

    def segmentation_token_id(self, index):
        """Returns the id of `<seg{index}>`, for `index` in 0..127."""
        return _entry(self.segmentation_token_ids, "segmentation", index)

    @property
    def special_tokens(self):
        """The texts of the tokens that detokenized text leaves out."""
        return [self.start_token, self.end_token, self.pad_token]

    @property
    def special_token_ids(self):
        """The ids of the tokens that detokenized text leaves out."""
        if self.start_token_id is None:
            raise ValueError(
                "`special_token_ids` needs a vocabulary. Received: "
                "proto=None. Call `set_proto()` or `load_assets()` first."
            )
        return [self.start_token_id, self.end_token_id, self.pad_token_id]

    def __reduce__(self):
        # Worker processes receive pickles; the model of a tokenizer is an
        # asset and not part of its config, so it is sent beside it.
        config = self.get_config()
        return rebuild_tokenizer, (type(self), config, self.proto)

    def _set_ids(self, ids):
        for name, value in ids.items():
            setattr(self, name, value)

    def _look_up_ids(self, proto):
        processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
        return {
            "start_token_id": _find(processor, self.start_token),
            "end_token_id": _find(processor, self.end_token),
            "pad_token_id": _find(processor, self.pad_token),
            "separator_token_id": _find(
                processor, SEPARATOR, _SEPARATOR_BYTE_PIECE
            ),
            "location_token_ids": _encode_alone(processor, LOCATION_TOKENS),
            "segmentation_token_ids": _encode_alone(
                processor, SEGMENTATION_TOKENS
            ),
        }


def _read_proto(proto):
    """Returns the bytes of a model given as bytes, base64 or path."""
    if isinstance(proto, bytes):
        return proto
    if not isinstance(proto, (str, os.PathLike)):
        raise ValueError(
            "`proto` must be a path, bytes, or base64 text. Received: "
            f"type(proto)={type(proto).__name__}"
        )
    if os.path.exists(proto):
        return pathlib.Path(proto).read_bytes()
    decoded = _decode_base64(proto) if isinstance(proto, str) else None
    if decoded is None:
        raise FileNotFoundError(
            f"There is no SentencePiece model at {str(proto)[:200]!r}."
        )
    return decoded


def _decode_base64(text):
    """Decodes base64; None for what is more likely the name of a file."""
    if len(text) < _SHORTEST_BASE64:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def _find(processor, *pieces):
    """Returns the id of the first of the pieces that the model has."""
    for piece in pieces:
        token_id = processor.piece_to_id(piece)
        # An unknown piece has the id of "<unk>".
        if processor.id_to_piece(token_id) == piece:
            return token_id
    hint = (
        'Train it with `user_defined_symbols=["\\n"]` or with '
        "`byte_fallback=True`."
        if SEPARATOR in pieces
        else 'Train it with `bos_piece="<bos>"`, `eos_piece="<eos>"`, '
        '`pad_piece="<pad>"` and `pad_id=0`, as Gemma\'s is.'
    )
    raise ValueError(
        "The SentencePiece model of a PaliGemma tokenizer must have the "
        f"piece {' or '.join(map(repr, pieces))}. Received: a model of "
        f"{processor.vocab_size()} pieces without it. {hint}"
    )


def _encode_alone(processor, tokens):
    """Encodes tokens each on its own, and checks that each is one id."""
    encoded = processor.encode(list(tokens), out_type=int)
    ids = []
    for token, token_ids in zip(tokens, encoded, strict=True):
        if len(token_ids) != 1 or processor.id_to_piece(token_ids[0]) != token:
            pieces = [processor.id_to_piece(i) for i in token_ids]
            raise ValueError(
                f"The token {token!r} must be encoded as one id. Received: a "
                f"model that encodes it as the pieces {pieces}. Its location "
                "and segmentation pieces must be of the type USER_DEFINED, "
                "and it must not add a dummy prefix."
            )
        ids.append(token_ids[0])
    return tuple(ids)


def _entry(ids, name, index):
    if ids is None or not 0 <= index < len(ids):
        limit = "no vocabulary" if ids is None else f"0 to {len(ids) - 1}"
        raise ValueError(
            f"The index of a {name} token must be in the vocabulary's range, "
            f"{limit}. Received: index={index}"
        )
    return ids[index]
