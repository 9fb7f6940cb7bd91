"""Trains a vocabulary in the manner of Gemma's."""

import io

import sentencepiece


def train_sentencepiece(texts, vocabulary_size, exact=True):
    """Trains a SentencePiece model, without location and segmentation tokens.

    Like Gemma's file: byte pairs with byte fallback, no dummy prefix, text
    taken as it is, and the newline as a piece of its own.
    `PaliGemmaTokenizer` appends the tokens that PaliGemma has besides.

    Args:
        texts: iterable of str.
        vocabulary_size: int. The number of pieces; 256 of them are bytes.
        exact: bool. Whether fewer pieces, where the texts do not hold so
            many, are an error.

    Returns:
        bytes. The serialized model, the same for the same texts.

    Raises:
        RuntimeError: From SentencePiece, if the texts do not hold so many
            pieces, or more characters than that.

    Example:

    ```python
    proto = train_sentencepiece(["a red circle", "a blue star"] * 50, 290)
    PaliGemmaTokenizer(proto).vocabulary_size()  # 290 + 1152
    ```
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        vocab_size=vocabulary_size,
        hard_vocab_limit=exact,
        model_type="bpe",
        byte_fallback=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        character_coverage=1.0,
        user_defined_symbols=["\n"],
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        unk_piece="<unk>",
        # With more threads the pieces could depend on the machine.
        num_threads=1,
        minloglevel=3,
    )
    return model.getvalue()
