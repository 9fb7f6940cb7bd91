import io
import json

import pytest
import sentencepiece

from keras_paligemma.checkpoints.sentencepiece_model import parse_model
from keras_paligemma.checkpoints.sentencepiece_model import (
    sentencepiece_from_tokenizer_json,
)
from keras_paligemma.checkpoints.tokenizer_json import special_ids
from keras_paligemma.checkpoints.tokenizer_json import tokenizer_files
from tests.tiny import CAPTIONS

TEXTS = (
    *CAPTIONS,
    "",
    " ",
    "a photo of a cat",
    "  two  spaces   and three ",
    "line\nbreak\n\nand two",
    "tab\tand\rreturn",
    "12345 6.78 9,000",
    "Ünïcödé, Straße, 你好世界, नमस्ते, مرحبا",
    "emoji 🙂🚀 and e\u0301 combining",
    "ALL CAPS and-dashes_and/slashes",
    "<loc0000><loc1023><seg000><seg127> cat ; dog",
    "detect<loc0512>x<seg 1>",
    "<loc0000",
    "\u2581 the sign itself",
    "<image> <bos> <unk>",
)
PLAIN = tuple(text for text in TEXTS if "<bos>" not in text)


@pytest.fixture(scope="module")
def proto(tiny_tokenizer):
    return tiny_tokenizer.proto


def _transformers(proto, directory):
    import transformers

    tokenizer, config = tokenizer_files(proto)
    for name, content in (
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", config),
    ):
        path = directory / name
        path.write_text(json.dumps(content), encoding="utf-8")
    return transformers.AutoTokenizer.from_pretrained(directory)


def test_transformers_gives_the_same_ids(tmp_path, proto):
    ours = sentencepiece.SentencePieceProcessor(model_proto=proto)
    theirs = _transformers(proto, tmp_path)
    for text in PLAIN:
        ids = ours.encode(text)
        found = theirs.encode(text, add_special_tokens=False)
        assert found == ids, text
        assert theirs.decode(ids) == ours.decode(ids), text
    for index in (0, 7, 1023):
        token = f"<loc{index:04d}>"
        assert theirs.encode(token, add_special_tokens=False) == [
            ours.piece_to_id(token)
        ]
    assert (theirs.pad_token_id, theirs.eos_token_id, theirs.bos_token_id) == (
        0,
        1,
        2,
    )
    assert special_ids(proto) == {"pad": 0, "eos": 1, "bos": 2}


@pytest.mark.parametrize(
    "options",
    [
        {"model_type": "unigram", "byte_fallback": True},
        {"model_type": "unigram"},
        {"model_type": "bpe", "normalization_rule_name": "nmt_nfkc"},
        {"model_type": "bpe", "remove_extra_whitespaces": False},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_other_sentencepiece_models(tmp_path, options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CAPTIONS * 4),
        model_writer=model,
        vocab_size=360 if "byte_fallback" in options else 110,
        minloglevel=3,
        num_threads=1,
        user_defined_symbols=["<loc0000>"],
        **options,
    )
    proto = model.getvalue()
    ours = sentencepiece.SentencePieceProcessor(model_proto=proto)
    theirs = _transformers(proto, tmp_path)
    for text in (*CAPTIONS, "a cat and a dog", "the sky is blue"):
        found = theirs.encode(text, add_special_tokens=False)
        assert found == ours.encode(text), text


def test_sentencepiece_from_our_tokenizer_json(tmp_path, proto):
    _transformers(proto, tmp_path)
    rebuilt = sentencepiece_from_tokenizer_json(tmp_path / "tokenizer.json")
    before, after = parse_model(proto), parse_model(rebuilt)
    assert [(p.piece, p.type) for p in after.pieces] == [
        (p.piece, p.type) for p in before.pieces
    ]
    ours = sentencepiece.SentencePieceProcessor(model_proto=proto)
    again = sentencepiece.SentencePieceProcessor(model_proto=rebuilt)
    for text in TEXTS:
        assert again.encode(text) == ours.encode(text), text
    assert (again.pad_id(), again.eos_id(), again.bos_id()) == (0, 1, 2)


def test_sentencepiece_from_a_tokenizer_of_transformers(tmp_path, proto):
    """As PaliGemma's own directories: Gemma's class, tokens added later."""
    import transformers

    source = json.loads(json.dumps(tokenizer_files(proto)[0]))
    vocab = {p: i for p, i in source["model"]["vocab"].items() if i < 400}
    tokenizer = transformers.GemmaTokenizer(
        vocab=vocab, merges=[tuple(pair) for pair in source["model"]["merges"]]
    )
    tokenizer.add_tokens(["\n"])
    tokenizer.add_tokens([f"<loc{i:04d}>" for i in range(1024)])
    tokenizer.add_tokens([f"<seg{i:03d}>" for i in range(128)])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.save_pretrained(tmp_path)
    rebuilt = sentencepiece_from_tokenizer_json(tmp_path / "tokenizer.json")
    ours = sentencepiece.SentencePieceProcessor(model_proto=rebuilt)
    assert ours.piece_to_id("<image>") == ours.unk_id()
    for text in PLAIN:
        if "<image>" not in text:
            expected = tokenizer.encode(text, add_special_tokens=False)
            assert ours.encode(text) == expected, text


def test_other_tokenizers_are_refused(tmp_path, proto):
    path = tmp_path / "tokenizer.json"
    tokenizer = tokenizer_files(proto)[0]
    for change in (
        {"model": {"type": "WordPiece"}},
        {"normalizer": {"type": "NFKC"}},
    ):
        path.write_text(json.dumps({**tokenizer, **change}))
        with pytest.raises(ValueError, match="tokenizer.json: expected"):
            sentencepiece_from_tokenizer_json(path)


def test_no_model():
    with pytest.raises(ValueError, match="SentencePiece model"):
        parse_model(b"")
    with pytest.raises(ValueError, match="SentencePiece model"):
        parse_model(b"\xff\xff\xff")
