import base64
import pathlib
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from sentencepiece import sentencepiece_model_pb2

from keras_paligemma.preprocessing import LOCATION_TOKENS
from keras_paligemma.preprocessing import SEGMENTATION_TOKENS
from keras_paligemma.preprocessing import PaliGemmaTokenizer
from keras_paligemma.preprocessing import add_location_and_segmentation_tokens

TEXT = "detect cat ; dog <loc0012><loc1023><seg127> cat\nA dog"


def edit(proto, change):
    model = sentencepiece_model_pb2.ModelProto.FromString(proto)
    change(model)
    return model.SerializeToString()


def test_special_tokens(tiny_tokenizer):
    assert tiny_tokenizer.start_token == "<bos>"
    assert tiny_tokenizer.end_token == "<eos>"
    assert tiny_tokenizer.pad_token == "<pad>"
    assert tiny_tokenizer.pad_token_id == 0
    assert tiny_tokenizer.end_token_id == 1
    assert tiny_tokenizer.start_token_id == 2
    assert tiny_tokenizer.id_to_token(tiny_tokenizer.separator_token_id) == "\n"
    assert sorted(tiny_tokenizer.special_token_ids) == [0, 1, 2]
    assert set(tiny_tokenizer.special_tokens) == {"<bos>", "<eos>", "<pad>"}


def test_every_location_and_segmentation_token_is_one_id(tiny_tokenizer):
    for tokens, ids in (
        (LOCATION_TOKENS, tiny_tokenizer.location_token_ids),
        (SEGMENTATION_TOKENS, tiny_tokenizer.segmentation_token_ids),
    ):
        assert tiny_tokenizer(list(tokens)) == [[i] for i in ids]
    assert tiny_tokenizer.location_token_id(7) == 407
    assert tiny_tokenizer.segmentation_token_id(127) == 1551
    with pytest.raises(ValueError, match="0 to 1023.*index=1024"):
        tiny_tokenizer.location_token_id(1024)
    with pytest.raises(ValueError, match="index=-1"):
        tiny_tokenizer.segmentation_token_id(-1)


def test_text_survives_the_round_trip(tiny_tokenizer):
    ids = tiny_tokenizer([TEXT, "über 10 €"])
    assert tiny_tokenizer.location_token_id(12) in ids[0]
    assert tiny_tokenizer.detokenize(ids) == [TEXT, "über 10 €"]


def test_special_tokens_are_not_in_detokenized_text(tiny_tokenizer):
    ids = [2, *tiny_tokenizer(["a cat"])[0], 1, 0, 0]
    assert tiny_tokenizer.detokenize([ids]) == ["a cat"]


def test_bytes_path_and_base64_are_the_same(tiny_proto, tmp_path):
    path = tmp_path / "gemma.model"
    path.write_bytes(tiny_proto)
    text = base64.b64encode(tiny_proto).decode("ascii")
    expected = PaliGemmaTokenizer(tiny_proto)
    for proto in (str(path), pathlib.Path(path), text):
        tokenizer = PaliGemmaTokenizer(proto)
        assert tokenizer.proto == expected.proto
        assert tokenizer(TEXT).tolist() == expected(TEXT).tolist()


def test_complete_model_is_left_bit_equal(tiny_proto):
    extended = add_location_and_segmentation_tokens(tiny_proto)
    assert PaliGemmaTokenizer(extended).proto == extended
    assert PaliGemmaTokenizer(tiny_proto).proto == extended


def test_newline_may_be_a_byte_piece(tiny_proto):
    def remove_newline(model):
        (index,) = (i for i, p in enumerate(model.pieces) if p.piece == "\n")
        model.pieces[index].piece = "unused"

    tokenizer = PaliGemmaTokenizer(edit(tiny_proto, remove_newline))
    token_id = tokenizer.separator_token_id
    assert tokenizer.id_to_token(token_id) == "<0x0A>"
    assert tokenizer.detokenize([[token_id]]) == ["\n"]


def test_model_without_newline_is_refused(tiny_proto):
    def remove_newlines(model):
        for piece in model.pieces:
            if piece.piece == "\n":
                piece.piece = "unused"
        kept = [p for p in model.pieces if p.type != p.BYTE]
        del model.pieces[:]
        model.pieces.extend(kept)
        model.trainer_spec.byte_fallback = False

    with pytest.raises(ValueError, match="user_defined_symbols"):
        PaliGemmaTokenizer(edit(tiny_proto, remove_newlines))


def test_model_without_start_token_is_refused(tiny_proto):
    def rename(model):
        model.pieces[2].piece = "<s>"

    with pytest.raises(ValueError, match="'<bos>'.*bos_piece"):
        PaliGemmaTokenizer(edit(tiny_proto, rename))


def test_model_that_splits_a_location_token_is_refused(tiny_proto):
    def make_normal(model):
        for piece in model.pieces:
            if piece.piece == "<loc0100>":
                piece.type = piece.NORMAL

    extended = add_location_and_segmentation_tokens(tiny_proto)
    with pytest.raises(ValueError, match="'<loc0100>' must be .* one id"):
        PaliGemmaTokenizer(edit(extended, make_normal))


def test_model_with_dummy_prefix_is_refused(tiny_proto):
    def add_prefix(model):
        model.normalizer_spec.add_dummy_prefix = True

    with pytest.raises(ValueError, match="dummy prefix"):
        PaliGemmaTokenizer(edit(tiny_proto, add_prefix))


def test_without_a_model_until_assets_are_loaded(tiny_tokenizer, tmp_path):
    config = tiny_tokenizer.get_config()
    assert config["proto"] is None
    empty = PaliGemmaTokenizer.from_config(config)
    assert empty.start_token_id is None
    with pytest.raises(ValueError, match="needs a vocabulary"):
        _ = empty.special_token_ids
    with pytest.raises(ValueError, match="no vocabulary"):
        empty.location_token_id(0)
    tiny_tokenizer.save_assets(str(tmp_path))
    empty.load_assets(str(tmp_path))
    assert empty.proto == tiny_tokenizer.proto
    assert empty.location_token_id(0) == tiny_tokenizer.location_token_id(0)


def test_preset_and_keras_round_trip(tiny_tokenizer, tmp_path):
    tiny_tokenizer.save_to_preset(str(tmp_path))
    files = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {"tokenizer.json", "vocabulary.spm"}
    config = keras.saving.serialize_keras_object(tiny_tokenizer)
    assert config["registered_name"] == "keras_paligemma>PaliGemmaTokenizer"
    restored = keras.saving.deserialize_keras_object(config)
    restored.load_assets(str(tmp_path / "assets" / "tokenizer"))
    assert restored.proto == tiny_tokenizer.proto


@pytest.mark.parametrize("proto", [b"", b"no model", b"\x0a\x03abc"])
def test_bytes_of_another_kind_are_refused(proto):
    with pytest.raises(ValueError, match="SentencePiece model"):
        PaliGemmaTokenizer(proto)


def test_missing_file_and_wrong_type_are_refused():
    with pytest.raises(FileNotFoundError, match="nowhere.model"):
        PaliGemmaTokenizer("nowhere.model")
    with pytest.raises(ValueError, match="type.*int"):
        PaliGemmaTokenizer(3)


def test_a_config_opens_no_file(tiny_proto, tmp_path):
    path = tmp_path / "gemma.model"
    path.write_bytes(tiny_proto)
    with pytest.raises(ValueError, match="must be None, bytes or base64"):
        PaliGemmaTokenizer.from_config({"proto": str(path)})


def test_a_refused_model_leaves_the_old_one(tiny_proto):
    tokenizer = PaliGemmaTokenizer(tiny_proto)
    expected = tokenizer(TEXT).tolist()
    with pytest.raises(ValueError, match="SentencePiece model"):
        tokenizer.set_proto(b"no model")
    assert tokenizer(TEXT).tolist() == expected
    assert tokenizer.location_token_id(0) == 400


def test_pickle(tiny_tokenizer):
    restored = pickle.loads(pickle.dumps(tiny_tokenizer))
    assert restored.proto == tiny_tokenizer.proto
    assert restored(TEXT).tolist() == tiny_tokenizer(TEXT).tolist()


def test_in_a_tf_data_map(tiny_tokenizer):
    dataset = tf.data.Dataset.from_tensor_slices([TEXT, "A cat"])
    for ids, text in zip(
        dataset.map(tiny_tokenizer), [TEXT, "A cat"], strict=True
    ):
        np.testing.assert_array_equal(ids, tiny_tokenizer(text))
