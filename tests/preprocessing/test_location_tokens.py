import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from keras_paligemma.preprocessing import LOCATION_TOKENS
from keras_paligemma.preprocessing import SEGMENTATION_TOKENS
from keras_paligemma.preprocessing import add_location_and_segmentation_tokens

TOKENS = LOCATION_TOKENS + SEGMENTATION_TOKENS


def test_names():
    assert LOCATION_TOKENS[0] == "<loc0000>"
    assert LOCATION_TOKENS[1023] == "<loc1023>"
    assert len(LOCATION_TOKENS) == 1024
    assert SEGMENTATION_TOKENS[0] == "<seg000>"
    assert SEGMENTATION_TOKENS[127] == "<seg127>"
    assert len(SEGMENTATION_TOKENS) == 128


def test_equals_appending_with_protocol_buffers(tiny_proto):
    """The hand-written bytes are what protocol buffers would have written."""
    expected = sentencepiece_model_pb2.ModelProto.FromString(tiny_proto)
    for token in TOKENS:
        piece = expected.pieces.add()
        piece.piece = token
        piece.score = 0.0
        piece.type = piece.USER_DEFINED
    extended = add_location_and_segmentation_tokens(tiny_proto)
    parsed = sentencepiece_model_pb2.ModelProto.FromString(extended)
    assert parsed == expected


def test_keeps_old_ids_and_appends_new_ones(tiny_proto):
    before = sentencepiece.SentencePieceProcessor(model_proto=tiny_proto)
    extended = add_location_and_segmentation_tokens(tiny_proto)
    after = sentencepiece.SentencePieceProcessor(model_proto=extended)
    size = before.vocab_size()
    assert after.vocab_size() == size + 1152
    assert after.id_to_piece(list(range(size))) == before.id_to_piece(
        list(range(size))
    )
    assert after.id_to_piece(list(range(size, size + 1152))) == list(TOKENS)


def test_complete_model_is_left_bit_equal(tiny_proto):
    extended = add_location_and_segmentation_tokens(tiny_proto)
    assert add_location_and_segmentation_tokens(extended) is extended


def test_partial_model_is_refused(tiny_proto):
    model = sentencepiece_model_pb2.ModelProto.FromString(
        add_location_and_segmentation_tokens(tiny_proto)
    )
    del model.pieces[-128:]
    with pytest.raises(ValueError, match="1024 of 1152.*'<seg000>'"):
        add_location_and_segmentation_tokens(model.SerializeToString())
