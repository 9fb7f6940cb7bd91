"""Writes a SentencePiece model as the `tokenizer.json` of Transformers."""

import base64

from keras_paligemma.checkpoints.sentencepiece_model import IMAGE_TOKEN
from keras_paligemma.checkpoints.sentencepiece_model import SPACE
from keras_paligemma.checkpoints.sentencepiece_model import parse_model

BPE = 2
UNIGRAM = 1
# SentencePiece's types of pieces.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def tokenizer_files(proto):
    """The tokenizer files of a PaliGemma in Transformers' format.

    Args:
        proto: bytes. A SentencePiece model with all pieces of the model's
            vocabulary, location and segmentation tokens among them.

    Returns:
        A pair of dicts: the content of `tokenizer.json`, in which `<image>`
        follows the pieces, and of `tokenizer_config.json`.

    Raises:
        ValueError: if the model is neither BPE nor unigram.
    """
    model = parse_model(proto)
    pieces = [piece.piece for piece in model.pieces]
    trainer = model.trainer_spec
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(model),
        "normalizer": _normalizer(model.normalizer_spec),
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": _decoder(model.normalizer_spec),
        "model": _model(model),
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": "PaliGemmaProcessor",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 10**30,
        "unk_token": pieces[trainer.unk_id],
        "additional_special_tokens": [IMAGE_TOKEN],
    }
    for name in ("bos", "eos", "pad"):
        index = getattr(trainer, f"{name}_id")
        if 0 <= index < len(pieces):
            config[f"{name}_token"] = pieces[index]
    return tokenizer, config


def special_ids(proto):
    """The ids of the control tokens, as a dict of name to int or `None`."""
    trainer = parse_model(proto).trainer_spec
    ids = {
        name: getattr(trainer, f"{name}_id") for name in ("bos", "eos", "pad")
    }
    return {name: index if index >= 0 else None for name, index in ids.items()}


def num_pieces(proto):
    """The number of pieces of a SentencePiece model."""
    return len(parse_model(proto).pieces)


def _added_tokens(model):
    """Tokens that are found in the text as they are, before all others."""
    added = []
    for index, piece in enumerate(model.pieces):
        if piece.type in (UNKNOWN, CONTROL, USER_DEFINED):
            special = piece.type != USER_DEFINED
            # Pieces with spaces must be looked for after spaces are replaced.
            normalized = SPACE in piece.piece
            added.append(_added_token(index, piece.piece, special, normalized))
    added.append(_added_token(len(model.pieces), IMAGE_TOKEN, True, False))
    return added


def _added_token(index, content, special, normalized):
    return {
        "id": index,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": normalized,
        "special": special,
    }


def _model(model):
    has_bytes = any(piece.type == BYTE for piece in model.pieces)
    trainer = model.trainer_spec
    if trainer.model_type == UNIGRAM:
        # Pieces that SentencePiece never produces must never win here either.
        return {
            "type": "Unigram",
            "unk_id": trainer.unk_id,
            "vocab": [
                [piece.piece, piece.score if piece.type == NORMAL else -1e4]
                for piece in model.pieces
            ],
            "byte_fallback": has_bytes,
        }
    if trainer.model_type != BPE:
        raise ValueError(
            "Transformers can hold SentencePiece models of the types BPE (2) "
            f"and unigram (1). Received: model_type={trainer.model_type}"
        )
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": model.pieces[trainer.unk_id].piece,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": has_bytes,
        "ignore_merges": False,
        "vocab": {piece.piece: i for i, piece in enumerate(model.pieces)},
        "merges": _merges(model),
    }


def _merges(model):
    """All pairs of pieces that make a piece, the best score first."""
    normal = {
        piece.piece: (index, piece.score)
        for index, piece in enumerate(model.pieces)
        if piece.type == NORMAL
    }
    merges = []
    for piece, (index, score) in normal.items():
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in normal and right in normal:
                order = (-score, index, normal[left][0], normal[right][0])
                merges.append((order, [left, right]))
    merges.sort(key=lambda merge: merge[0])
    return [pair for _, pair in merges]


def _normalizer(spec):
    steps = []
    if spec.precompiled_charsmap:
        charsmap = base64.b64encode(spec.precompiled_charsmap).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": charsmap})
    if spec.remove_extra_whitespaces:
        steps.append({"type": "Strip", "strip_left": True, "strip_right": True})
        steps.append(
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
        )
    if spec.add_dummy_prefix:
        steps.append({"type": "Prepend", "prepend": SPACE})
    steps.append(
        {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    )
    if len(steps) == 1:
        return steps[0]
    return {"type": "Sequence", "normalizers": steps}


def _decoder(spec):
    steps = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if spec.add_dummy_prefix:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}
