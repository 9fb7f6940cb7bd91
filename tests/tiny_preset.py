"""A whole model of a few thousand weights, saved as a preset."""

from tests import tiny

IMAGE_SIZE = 28
PROMPT = "caption en"


def tiny_model(seed=0):
    """Returns a `PaliGemmaCausalLM` with random weights and a tokenizer."""
    import keras

    import keras_paligemma

    keras.utils.set_random_seed(seed)
    tokenizer = keras_paligemma.PaliGemmaTokenizer(
        tiny.tiny_sentencepiece_proto()
    )
    preprocessor = keras_paligemma.PaliGemmaCausalLMPreprocessor(
        tokenizer=tokenizer,
        image_converter=keras_paligemma.PaliGemmaImageConverter(
            image_size=(IMAGE_SIZE, IMAGE_SIZE)
        ),
        sequence_length=32,
    )
    backbone = keras_paligemma.PaliGemmaBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        image_size=IMAGE_SIZE,
        num_layers=2,
        num_query_heads=2,
        num_key_value_heads=1,
        hidden_dim=16,
        intermediate_dim=64,
        head_dim=8,
        vit_patch_size=14,
        vit_num_heads=2,
        vit_hidden_dim=16,
        vit_num_layers=2,
        vit_intermediate_dim=32,
    )
    return keras_paligemma.PaliGemmaCausalLM(
        backbone=backbone, preprocessor=preprocessor
    )


def save_images(directory):
    """Writes two photographs as files; returns their paths as strings."""
    from PIL import Image

    paths = []
    for name in ("cat", "coffee"):
        path = directory / f"{name}.png"
        Image.fromarray(tiny.photographs()[name]).save(path)
        paths.append(str(path))
    return paths
