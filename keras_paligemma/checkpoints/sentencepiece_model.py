"""SentencePiece models and the `tokenizer.json` of Transformers."""

import json
import os
import re

BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")
SPACE = "\u2581"
IMAGE_TOKEN = "<image>"

# Names of the control pieces, as Gemma calls them.
CONTROL_NAMES = {
    "pad": ("<pad>",),
    "eos": ("<eos>", "</s>"),
    "bos": ("<bos>", "<s>"),
}


def parse_model(proto):
    """Parses a SentencePiece model.

    Args:
        proto: bytes. The content of a `.model` or `.spm` file.

    Returns:
        A `ModelProto` message of SentencePiece.

    Raises:
        ValueError: if the bytes are no SentencePiece model.
    """
    messages = _messages()
    model = messages.ModelProto()
    try:
        model.ParseFromString(proto)
    except Exception as error:
        raise ValueError(
            "Expected the bytes of a SentencePiece model. "
            f"Received: {len(proto)} bytes, {error}"
        ) from error
    if not model.pieces:
        raise ValueError(
            "Expected a SentencePiece model with pieces. "
            f"Received: {len(proto)} bytes without any"
        )
    return model


def sentencepiece_from_tokenizer_json(path):
    """Builds the SentencePiece model that a `tokenizer.json` was made from.

    Args:
        path: path of a `tokenizer.json` of the Gemma family: BPE on text in
            which spaces are written `▁`. The token `<image>` that Transformers
            adds at the end is left out.

    Returns:
        bytes. A serialized SentencePiece model.

    Raises:
        ValueError: if the tokenizer is of another kind.

    Example:

    ```python
    proto = sentencepiece_from_tokenizer_json("/models/pali/tokenizer.json")
    sentencepiece.SentencePieceProcessor(model_proto=proto).encode("a cat")
    ```
    """
    with open(path, encoding="utf-8") as file:
        tokenizer = json.load(file)
    model = tokenizer.get("model") or {}
    if model.get("type") != "BPE" or not _replaces_spaces(tokenizer):
        raise ValueError(
            f"{os.fspath(path)}: expected a tokenizer of the Gemma family, "
            "BPE with spaces replaced by '▁' and nothing else normalised. "
            f"Received: type={model.get('type')!r}, "
            f"normalizer={tokenizer.get('normalizer')!r}"
        )
    added = {
        token["content"]: token["id"] for token in tokenizer["added_tokens"]
    }
    pieces = {**model["vocab"], **added}
    if pieces.get(IMAGE_TOKEN) == max(pieces.values()):
        del pieces[IMAGE_TOKEN]
    return _build(pieces, added, model).SerializeToString()


def _build(pieces, added, model):
    messages = _messages()
    kinds = messages.ModelProto.SentencePiece
    unknown = model.get("unk_token") or "<unk>"
    control = {name for names in CONTROL_NAMES.values() for name in names}
    rank = {}
    for index, merge in enumerate(model["merges"]):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        rank.setdefault(left + right, index)
    by_id = {index: piece for piece, index in pieces.items()}
    proto = messages.ModelProto()
    for index in range(max(by_id) + 1):
        piece = proto.pieces.add()
        piece.piece = by_id.get(index, f"<gap{index}>")
        # Merges are done in the order of their score, which is their rank.
        piece.score = -float(rank.get(piece.piece, len(rank)))
        if index not in by_id:
            piece.type = kinds.UNUSED
        elif piece.piece == unknown:
            piece.type = kinds.UNKNOWN
        elif piece.piece in control:
            piece.type = kinds.CONTROL
        elif piece.piece in added:
            piece.type = kinds.USER_DEFINED
            piece.score = 0.0
        elif model.get("byte_fallback") and BYTE_PIECE.fullmatch(piece.piece):
            piece.type = kinds.BYTE
            piece.score = 0.0
    trainer = proto.trainer_spec
    trainer.model_type = messages.TrainerSpec.BPE
    trainer.vocab_size = len(proto.pieces)
    trainer.byte_fallback = bool(model.get("byte_fallback"))
    trainer.unk_piece, trainer.unk_id = unknown, pieces.get(unknown, -1)
    for name, names in CONTROL_NAMES.items():
        found = [piece for piece in names if piece in pieces]
        setattr(trainer, f"{name}_id", pieces[found[0]] if found else -1)
        if found:
            setattr(trainer, f"{name}_piece", found[0])
    normalizer = proto.normalizer_spec
    normalizer.name = "identity"
    normalizer.add_dummy_prefix = False
    normalizer.remove_extra_whitespaces = False
    normalizer.escape_whitespaces = True
    return proto


def _replaces_spaces(tokenizer):
    """Whether the normalizer writes spaces as SentencePiece's sign, only."""
    normalizer = tokenizer.get("normalizer") or {}
    parts = normalizer.get("normalizers", [normalizer])
    return len(parts) == 1 and (
        parts[0].get("type") == "Replace"
        and parts[0].get("pattern") == {"String": " "}
        and parts[0].get("content") == SPACE
    )


def _messages():
    try:
        from sentencepiece import sentencepiece_model_pb2
    except ImportError as error:
        raise ImportError(
            "Converting tokenizers needs SentencePiece and Protocol Buffers: "
            "`pip install sentencepiece protobuf`."
        ) from error
    return sentencepiece_model_pb2
