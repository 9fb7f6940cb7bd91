"""The model shapes that the benchmarks measure, for each implementation."""

# Constructor arguments of `PaliGemmaBackbone`, ours and Keras-Hub's. `small`
# has the whole vocabulary and published image size, and little else: about
# 22 million parameters in the decoder blocks, 132 million in the embedding and
# 11 million in the image encoder. As in Keras-Hub, `intermediate_dim` counts
# the gate and the up projection together, so their width is half of it.
SHAPES = {
    "small": dict(
        vocabulary_size=257152,
        image_size=224,
        num_layers=6,
        num_query_heads=8,
        num_key_value_heads=1,
        hidden_dim=512,
        intermediate_dim=4096,
        head_dim=64,
        vit_patch_size=14,
        vit_num_heads=6,
        vit_hidden_dim=384,
        vit_num_layers=6,
        vit_intermediate_dim=1536,
    ),
    # For trying a benchmark out: the same in a few seconds.
    "tiny": dict(
        vocabulary_size=2048,
        image_size=56,
        num_layers=2,
        num_query_heads=4,
        num_key_value_heads=1,
        hidden_dim=64,
        intermediate_dim=256,
        head_dim=16,
        vit_patch_size=14,
        vit_num_heads=2,
        vit_hidden_dim=32,
        vit_num_layers=2,
        vit_intermediate_dim=64,
    ),
}


def num_image_tokens(shape):
    return (shape["image_size"] // shape["vit_patch_size"]) ** 2


def weights_read_per_token(shape):
    """Number of weights that decoding one token reads: decoder, embedding."""
    width = shape["hidden_dim"]
    heads = shape["num_query_heads"] + shape["num_key_value_heads"]
    attention = 2 * width * heads * shape["head_dim"]
    feedforward = 3 * width * shape["intermediate_dim"] // 2
    norms = 2 * width
    blocks = shape["num_layers"] * (attention + feedforward + norms)
    return blocks + width + width * shape["vocabulary_size"]


def transformers_config(shape):
    """Returns the `transformers.PaliGemmaConfig` of a shape."""
    import transformers

    return transformers.PaliGemmaConfig(
        text_config=dict(
            model_type="gemma",
            # Transformers has rows of its own after the vocabulary.
            vocab_size=shape["vocabulary_size"] + 64,
            hidden_size=shape["hidden_dim"],
            intermediate_size=shape["intermediate_dim"] // 2,
            num_hidden_layers=shape["num_layers"],
            num_attention_heads=shape["num_query_heads"],
            num_key_value_heads=shape["num_key_value_heads"],
            head_dim=shape["head_dim"],
            # Large enough that greedy decoding varies.
            initializer_range=0.1,
        ),
        vision_config=dict(
            model_type="siglip_vision_model",
            hidden_size=shape["vit_hidden_dim"],
            intermediate_size=shape["vit_intermediate_dim"],
            num_hidden_layers=shape["vit_num_layers"],
            num_attention_heads=shape["vit_num_heads"],
            image_size=shape["image_size"],
            patch_size=shape["vit_patch_size"],
            vision_use_head=False,
        ),
        image_token_index=shape["vocabulary_size"],
        projection_dim=shape["hidden_dim"],
    )


def write_transformers_checkpoint(shape, directory, dtype="float32"):
    """Writes random weights of `shape` as a Transformers directory."""
    import torch
    import transformers

    torch.manual_seed(0)
    model = transformers.PaliGemmaForConditionalGeneration(
        transformers_config(shape)
    )
    model.to(getattr(torch, dtype)).save_pretrained(directory)
