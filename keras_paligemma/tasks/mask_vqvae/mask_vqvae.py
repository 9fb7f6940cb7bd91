"""`MaskVQVAE`: 64 by 64 masks as 16 codewords, and back."""

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_paligemma.tasks.mask import NUM_CODES
from keras_paligemma.tasks.mask import NUM_CODEWORDS
from keras_paligemma.tasks.mask_crops import CROP_SIZE
from keras_paligemma.tasks.mask_vqvae.vector_quantizer import VectorQuantizer

_GRID = 4
_BATCH = 64


@keras.saving.register_keras_serializable(package="keras_paligemma")
class MaskVQVAE(keras.Model):
    """The mask codec: an autoencoder with a codebook in between.

    The layers are those of Ning et al. 2023, "All in Tokens", as published in
    `vae-oid.npz`: four convolutions that halve the sides, two residual
    blocks, a 4 by 4 grid of codewords, two residual blocks, four transposed
    convolutions that double the sides. Always in float32. `encode` and
    `decode` make it a codec as `keras_paligemma.tasks.Mask` takes.

    It is trained with `fit(crops, crops)`, crops `[n, 64, 64]` in 0..1.

    Args:
        encoder_dims: tuple of four ints. Widths of the encoder's
            convolutions; the residual blocks have the last.
        decoder_dim: int. Width of the decoder; its transposed convolutions
            have it, then half, a quarter and an eighth.
        codeword_dim: int. Width of a codeword.
        seed: int or `None`. For initial weights and revived codewords.

    Raises:
        ValueError: `encoder_dims` are not four, or `decoder_dim` is no
            multiple of 8.

    Example:

    ```python
    codec = MaskVQVAE(seed=0)
    codec.compile(keras.optimizers.Adam(1e-3), loss=mask_loss)
    codec.fit(crops, crops, batch_size=128)
    codec.decode(codec.encode(crops)) > 0.5
    ```
    """

    def __init__(
        self,
        encoder_dims=(16, 32, 64, 64),
        decoder_dim=64,
        codeword_dim=32,
        seed=None,
        **kwargs,
    ):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        encoder_dims = tuple(int(dim) for dim in encoder_dims)
        if len(encoder_dims) != 4 or min(encoder_dims) < 1:
            raise ValueError(
                "`encoder_dims` must be four positive widths, one for each "
                f"halving of 64 to 4. Received: encoder_dims={encoder_dims}"
            )
        if decoder_dim < 8 or decoder_dim % 8:
            raise ValueError(
                "`decoder_dim` must be a multiple of 8, since it is halved "
                f"three times. Received: decoder_dim={decoder_dim}"
            )
        self.encoder_dims = encoder_dims
        self.decoder_dim = decoder_dim
        self.codeword_dim = codeword_dim
        self.seed = seed
        self.named_layers = {}
        make = _LayerMaker(self.named_layers, seed)
        self.encoder = _encoder(make, encoder_dims, codeword_dim)
        self.quantizer = VectorQuantizer(
            NUM_CODEWORDS,
            codeword_dim,
            seed=seed,
            dtype="float32",
            name="quantizer",
        )
        self.quantizer.build((None, _GRID, _GRID, codeword_dim))
        self.decoder = _decoder(make, decoder_dim, codeword_dim)
        self.built = True

    def call(self, crops, training=False):
        """Logits `[batch, 64, 64]` of crops of the same shape in 0..1."""
        features = self.encoder(2.0 * crops[..., None] - 1.0)
        quantized = self.quantizer(features, training=training)
        return ops.squeeze(self.decoder(quantized), axis=-1)

    def encode(self, crops):
        """Codes masks.

        Args:
            crops: array-like `[n, 64, 64]` in 0..1.

        Returns:
            int32 NumPy array `[n, 16]` in 0..127, row by row of the grid.

        Raises:
            ValueError: The shape does not fit.
        """
        crops = np.asarray(crops, "float32")
        if crops.shape[1:] != (CROP_SIZE, CROP_SIZE):
            raise ValueError(
                f"Masks must be crops [n, {CROP_SIZE}, {CROP_SIZE}]; see "
                f"`crop_mask`. Received: shape={crops.shape}"
            )
        features = _in_batches(self.encoder, 2.0 * crops[..., None] - 1.0)
        features = features.reshape(-1, self.codeword_dim)
        table = ops.convert_to_numpy(self.quantizer.embeddings)
        distances = np.square(table).sum(axis=1) - 2 * features @ table.T
        return distances.argmin(axis=1).astype("int32").reshape(-1, NUM_CODES)

    def decode(self, codes):
        """Turns codes into crops of masks.

        Args:
            codes: array-like of int `[n, 16]` in 0..127.

        Returns:
            float32 NumPy array `[n, 64, 64]` in 0..1; above 0.5 is mask.

        Raises:
            ValueError: The shape does not fit, or a code is out of range.
        """
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != NUM_CODES:
            raise ValueError(
                f"Codes must be [n, {NUM_CODES}]. Received: shape={codes.shape}"
            )
        if codes.size and (codes.min() < 0 or codes.max() >= NUM_CODEWORDS):
            raise ValueError(
                f"Codes must lie in 0..{NUM_CODEWORDS - 1}. Received: "
                f"{codes.min()}..{codes.max()}. Subtract the id of <seg000> "
                "from token ids first."
            )
        table = ops.convert_to_numpy(self.quantizer.embeddings)
        vectors = table[codes].reshape(-1, _GRID, _GRID, self.codeword_dim)
        # As the published decoder is read: -1..1, of which above 0 is mask.
        outputs = _in_batches(self.decoder, vectors)[..., 0]
        return np.clip(0.5 + 0.5 * outputs, 0.0, 1.0)

    def get_config(self):
        return {
            "encoder_dims": self.encoder_dims,
            "decoder_dim": self.decoder_dim,
            "codeword_dim": self.codeword_dim,
            "seed": self.seed,
            "name": self.name,
        }


def mask_loss(crops, logits):
    """Cross-entropy of each pixel plus what overlap lacks (soft Dice).

    Args:
        crops: tensor `[batch, 64, 64]` in 0..1.
        logits: tensor of the same shape.

    Returns:
        Tensor `[batch]`.
    """
    entropy = ops.mean(ops.softplus(logits) - crops * logits, axis=(1, 2))
    chances = ops.sigmoid(logits)
    both = ops.sum(crops * chances, axis=(1, 2))
    sums = ops.sum(crops + chances, axis=(1, 2))
    return entropy + 1.0 - (2.0 * both + 1.0) / (sums + 1.0)


class _LayerMaker:
    """Makes layers, each kept under the name it has in `vae-oid.npz`."""

    def __init__(self, named_layers, seed):
        self.named_layers = named_layers
        self.seed = seed

    def _initializer(self):
        seed = None if self.seed is None else self.seed + len(self.named_layers)
        return keras.initializers.HeUniform(seed)

    def __call__(self, layer, name, width, size, strides=1, activation=None):
        made = layer(
            width,
            size,
            strides=strides,
            padding="same",
            activation=activation,
            kernel_initializer=self._initializer(),
            data_format="channels_last",
            dtype="float32",
            name=name.replace(".", "_"),
        )
        self.named_layers[name] = made
        return made

    def residual(self, x, name, width):
        inner = self(layers.Conv2D, f"{name}.net.0", width, 3, 1, "relu")(x)
        inner = self(layers.Conv2D, f"{name}.net.2", width, 3, 1, "relu")(inner)
        inner = self(layers.Conv2D, f"{name}.net.4", width, 1)(inner)
        return layers.Add(dtype="float32")([x, inner])


def _encoder(make, dims, codeword_dim):
    pixels = x = keras.Input((CROP_SIZE, CROP_SIZE, 1), dtype="float32")
    for number, dim in enumerate(dims):
        name = f"encoder.{2 * number}"
        x = make(layers.Conv2D, name, dim, 4, 2, "relu")(x)
    for number in (8, 9):
        x = make.residual(x, f"encoder.{number}", dims[-1])
    x = make(layers.Conv2D, "encoder.10", codeword_dim, 1)(x)
    return keras.Model(pixels, x, name="encoder")


def _decoder(make, dim, codeword_dim):
    shape = (_GRID, _GRID, codeword_dim)
    vectors = keras.Input(shape, dtype="float32")
    x = make(layers.Conv2D, "decoder.0", dim, 1, 1, "relu")(vectors)
    for number in (2, 3):
        x = make.residual(x, f"decoder.{number}", dim)
    for number in (4, 6, 8, 10):
        name = f"decoder.{number}"
        x = make(layers.Conv2DTranspose, name, dim, 4, 2, "relu")(x)
        dim //= 2
    x = make(layers.Conv2D, "decoder.12", 1, 1)(x)
    return keras.Model(vectors, x, name="decoder")


def _in_batches(model, values):
    """Runs a part in batches of powers of two, each compiled once."""
    results = []
    for start in range(0, len(values), _BATCH):
        part = values[start : start + _BATCH]
        size = 1 << (len(part) - 1).bit_length()
        padding = [(0, size - len(part))] + [(0, 0)] * (values.ndim - 1)
        result = model.predict_on_batch(np.pad(part, padding))
        results.append(result[: len(part)])
    if not results:
        return np.zeros((0, *model.output_shape[1:]), "float32")
    return np.concatenate(results)
