"""The SigLIP image encoder: pixels to one state per patch."""

import keras
from keras import ops

from keras_paligemma.layers.dense import TransposedDense
from keras_paligemma.layers.image_encoder_block import ImageEncoderBlock
from keras_paligemma.layers.image_encoder_block import layer_norm
from keras_paligemma.layers.initialization import initializer_or


def patches(images, patch_size):
    """Cuts images into flat patches, in raster order.

    Args:
        images: float tensor `[batch, height, width, 3]`.
        patch_size: int. Side of a patch, a divisor of height and width.

    Returns:
        Tensor `[batch, rows * columns, patch_size * patch_size * 3]`; within
        a patch the order is row, column, channel.
    """
    height, width = images.shape[1:3]
    rows, columns = height // patch_size, width // patch_size
    x = ops.reshape(
        images, (-1, rows, patch_size, columns, patch_size, images.shape[3])
    )
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    size = patch_size * patch_size * images.shape[3]
    return ops.reshape(x, (-1, rows * columns, size))


@keras.saving.register_keras_serializable(package="keras_paligemma")
class ImageEncoder(keras.layers.Layer):
    """SigLIP's vision transformer without its pooling head.

    Args:
        image_size: int. Pixels on a side.
        patch_size: int. Pixels on a side of a patch; divides `image_size`.
        hidden_dim: int. Width.
        num_layers: int. Number of blocks.
        num_heads: int. Number of attention heads.
        intermediate_dim: int. Width of the feed-forward.
        layer_norm_epsilon: float. Of every layer norm.
        remat: bool. Whether training recomputes each block's activations in
            the backward pass instead of keeping them.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        images: float tensor `[batch, images, height, width, 3]` in -1..1,
            or `[batch, height, width, 3]`. Each image is encoded alone.

    Returns:
        Tensor `[batch, images * patches, hidden_dim]`.
    """

    def __init__(
        self,
        image_size,
        patch_size,
        hidden_dim,
        num_layers,
        num_heads,
        intermediate_dim,
        layer_norm_epsilon=1e-6,
        remat=False,
        **kwargs,
    ):
        if image_size % patch_size:
            raise ValueError(
                "`image_size` must be a multiple of the patch size, so that "
                "patches cover the image. "
                f"Received: image_size={image_size}, patch_size={patch_size}"
            )
        super().__init__(**kwargs)
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.layer_norm_epsilon = layer_norm_epsilon
        self.remat = remat
        self.num_patches = (image_size // patch_size) ** 2

    def build(self, input_shape):
        pixels = self.patch_size**2 * 3
        shape = (None, self.num_patches, self.hidden_dim)
        self.patch_embedding = TransposedDense(
            self.hidden_dim,
            use_bias=True,
            dtype=self.dtype_policy,
            name="patch_embedding",
        )
        self.patch_embedding.build((None, self.num_patches, pixels))
        self.position_embedding = self.add_weight(
            name="position_embedding",
            shape=shape[1:],
            initializer=initializer_or(
                keras.initializers.RandomNormal(stddev=0.02)
            ),
        )
        self.blocks = []
        for i in range(self.num_layers):
            block = ImageEncoderBlock(
                self.num_heads,
                self.intermediate_dim,
                self.layer_norm_epsilon,
                dtype=self.dtype_policy,
                name=f"block_{i}",
            )
            block.build(shape)
            self.blocks.append(block)
        self.final_norm = layer_norm(
            "final_norm", self.layer_norm_epsilon, self.dtype_policy
        )
        self.final_norm.build(shape)
        self.built = True

    def call(self, images, training=None):
        shape = ops.shape(images)
        pixels = (-1, self.image_size, self.image_size, 3)
        x = self.patch_embedding(
            patches(ops.reshape(images, pixels), self.patch_size)
        )
        x = x + ops.cast(self.position_embedding, x.dtype)
        for block in self.blocks:
            if self.remat and training:
                x = keras.remat(block)(x)
            else:
                x = block(x)
        x = self.final_norm(x)
        if len(shape) == 4:
            return x
        return ops.reshape(
            x, (-1, shape[1] * self.num_patches, self.hidden_dim)
        )

    def compute_output_spec(self, images, training=None):
        length = self.num_patches
        if len(images.shape) == 5:
            count = images.shape[1]
            length = None if count is None else count * length
        return keras.KerasTensor(
            (images.shape[0], length, self.hidden_dim),
            dtype=self.compute_dtype,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "patch_size": self.patch_size,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "remat": self.remat,
        }
