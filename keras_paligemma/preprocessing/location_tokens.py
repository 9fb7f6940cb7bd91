"""The 1024 location and 128 segmentation pieces of a SentencePiece model."""

import struct

import sentencepiece

LOCATION_TOKENS = tuple(f"<loc{index:04d}>" for index in range(1024))
SEGMENTATION_TOKENS = tuple(f"<seg{index:03d}>" for index in range(128))

# Field numbers and wire types of SentencePiece's `ModelProto`.
_PIECES_FIELD = b"\x0a"  # ModelProto.pieces = 1, length-delimited
_PIECE_FIELD = b"\x0a"  # SentencePiece.piece = 1, length-delimited
_SCORE_FIELD = b"\x15"  # SentencePiece.score = 2, 32 bits
_TYPE_FIELD = b"\x18"  # SentencePiece.type = 3, varint
_USER_DEFINED = b"\x04"


def add_location_and_segmentation_tokens(proto):
    """Appends the location and segmentation pieces to a tokenizer model.

    Gemma's own model has 256,000 pieces; PaliGemma's has 257,152. The pieces
    are of the type "user defined", which SentencePiece never splits.

    A message of protocol buffers may be extended by writing further elements
    of a repeated field behind it, so the file is not parsed and everything
    that it holds is kept bit by bit.

    Args:
        proto: bytes. A serialized SentencePiece model.

    Returns:
        bytes. The model with the pieces `<loc0000>` to `<loc1023>` and
        `<seg000>` to `<seg127>`; the input itself if it has all of them.

    Raises:
        ValueError: If the model has some of the pieces but not all, or if
            it is no SentencePiece model.

    Example:

    ```python
    with open("gemma.model", "rb") as file:  # 256,000 pieces
        proto = add_location_and_segmentation_tokens(file.read())
    tokenizer = PaliGemmaTokenizer(proto)  # 257,152 pieces
    ```
    """
    processor = _load(proto)
    size = processor.vocab_size()
    present = set(processor.id_to_piece(list(range(size))))
    tokens = LOCATION_TOKENS + SEGMENTATION_TOKENS
    missing = [token for token in tokens if token not in present]
    if not missing:
        return proto
    if len(missing) < len(tokens):
        raise ValueError(
            "A tokenizer model must have all of the 1024 location and 128 "
            "segmentation pieces, or none of them (they are then appended). "
            f"Received: a model with {len(tokens) - len(missing)} of "
            f"{len(tokens)}; the first one missing is {missing[0]!r}. Start "
            "from Gemma's or from PaliGemma's own model file."
        )
    return proto + b"".join(_serialize_piece(token) for token in tokens)


def _load(proto):
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
        processor.id_to_piece(0)
    except Exception as error:  # its types differ between versions
        raise ValueError(
            "A tokenizer model must be a serialized SentencePiece model. "
            f"Received: {len(proto)} bytes that SentencePiece cannot read "
            f"({error})."
        ) from error
    return processor


def _serialize_piece(token):
    """Serializes one element of `ModelProto.pieces`."""
    text = token.encode("utf-8")
    message = _PIECE_FIELD + bytes([len(text)]) + text
    message += _SCORE_FIELD + struct.pack("<f", 0.0)
    message += _TYPE_FIELD + _USER_DEFINED
    return _PIECES_FIELD + bytes([len(message)]) + message
