"""`from_preset` and `save_to_preset`: any checkpoint in, a preset out."""

import contextlib
import os
import shutil
import tempfile
import warnings

import keras
import numpy as np

from keras_paligemma.checkpoints import LazyArray
from keras_paligemma.checkpoints import LazyZeros
from keras_paligemma.checkpoints import assign_arrays
from keras_paligemma.checkpoints import open_checkpoint
from keras_paligemma.checkpoints import published_arguments
from keras_paligemma.checkpoints import published_presets
from keras_paligemma.checkpoints import resized_position_embedding
from keras_paligemma.layers import initialize_with
from keras_paligemma.models.export import export_backbone
from keras_paligemma.models.unimodal import assemble
from keras_paligemma.preprocessing.presets import load_preprocessor

POSITION_EMBEDDING = "image_encoder/position_embedding"


class PublishedPresets:
    """Class attribute: the published presets, a dict of name to entry."""

    def __get__(self, instance, owner):
        return published_presets()


class BackbonePresets:
    """Mixin that loads a backbone from any format and saves it as a preset."""

    presets = PublishedPresets()

    @classmethod
    def from_preset(
        cls,
        preset,
        load_weights=True,
        image_size=None,
        progress=False,
        **kwargs,
    ):
        """Loads a backbone.

        Args:
            preset: string. The name of a published preset
                (`"pali_gemma_3b_mix_224"`), `hf://owner/name`,
                `kaggle://...`, or a path: a Keras preset of this package or
                of Keras-Hub, a Transformers directory, a big_vision `.npz`.
            load_weights: bool. Whether to load weights, or leave them
                random.
            image_size: int. Pixels on a side, if not the checkpoint's;
                position embeddings are resized by the published rule,
                bilinear on the grid.
            progress: bool. Whether to draw a progress bar.
            **kwargs: Arguments of the constructor that replace the
                checkpoint's: `dtype`, `dropout`, `remat`, ...

        Raises:
            ValueError: If the checkpoint is unknown, damaged or of another
                model.
        """
        if not load_weights and published_arguments(preset) is not None:
            # Sizes are known; nothing need be downloaded.
            arguments = published_arguments(preset)
            if image_size is not None:
                arguments["image_size"] = image_size
            return cls(**{**arguments, **kwargs})
        checkpoint = open_checkpoint(preset)
        if checkpoint.format == "keras":
            return cls._from_own_preset(
                checkpoint, load_weights, image_size, **kwargs
            )
        arguments = dict(checkpoint.arguments)
        arrays = dict(checkpoint.arrays)
        if image_size is not None:
            arguments["image_size"] = image_size
        if load_weights:
            return cls.from_arrays(arguments, arrays, progress, **kwargs)
        return cls(**{**arguments, **kwargs})

    @classmethod
    def from_arrays(cls, arguments, arrays, progress=False, **kwargs):
        """Builds a backbone and writes every variable from an array.

        Args:
            arguments: dict. Constructor arguments.
            arrays: mapping of canonical path to `LazyArray`.
            progress: bool. Whether to draw a progress bar.
            **kwargs: Arguments of the constructor that replace others.
        """
        arguments = {**arguments, **kwargs}
        arrays = dict(arrays)
        grid = arguments["image_size"] // arguments["vit_patch_size"]
        arrays[POSITION_EMBEDDING] = resized_position_embedding(
            arrays[POSITION_EMBEDDING], grid
        )
        with initialize_with(LazyZeros()):
            backbone = cls(**arguments)
        assign_arrays(
            backbone.variables_by_path(),
            arrays,
            progress=_progress_bar() if progress else None,
        )
        return backbone

    @classmethod
    def _from_own_preset(cls, checkpoint, load_weights, image_size, **kwargs):
        load = super().from_preset
        saved = checkpoint.arguments.get("dtype")
        is_map = isinstance(saved, dict) and "Map" in saved["class_name"]
        if is_map and kwargs.get("dtype") is None:
            # It tells which layers are quantized, and Keras-Hub drops it.
            kwargs["dtype"] = keras.dtype_policies.get(saved)
        if image_size in (None, checkpoint.arguments["image_size"]):
            return load(checkpoint.path, load_weights=load_weights, **kwargs)
        backbone = load(checkpoint.path, load_weights=load_weights, **kwargs)
        return backbone.with_image_size(image_size)

    def with_image_size(self, image_size):
        """Returns a copy for another resolution, positions resized.

        Args:
            image_size: int. Pixels on a side.
        """
        config = {**self.get_config(), "image_size": image_size}
        with initialize_with(LazyZeros()):
            copy = type(self).from_config(config)
        arrays = {
            path: _array_of(path, variable)
            for path, variable in self.variables_by_path().items()
        }
        grid = image_size // self.vit_patch_size
        arrays[POSITION_EMBEDDING] = resized_position_embedding(
            arrays[POSITION_EMBEDDING], grid
        )
        assign_arrays(copy.variables_by_path(), arrays)
        return copy

    def variables_by_path(self):
        """The backbone's weights by canonical path, without random seeds.

        A path begins with the component: `image_encoder/...`,
        `projector/...`, `embedding/...` or `decoder/...`.

        Returns:
            dict of path to `keras.Variable`.
        """
        return {weight.path: weight for weight in self.weights}

    @classmethod
    def from_unimodal(
        cls,
        image_encoder,
        decoder,
        image_size=None,
        seed=None,
        progress=False,
        **kwargs,
    ):
        """Assembles a backbone from a SigLIP and a Gemma: stage 0.

        The projector is zero and the 1,152 new tokens' embeddings are drawn
        from N(0, 0.02 ** 2) (arXiv 2407.07726, section 5.3).

        Args:
            image_encoder: string. A handle as for `from_preset`, of a SigLIP
                or a PaliGemma.
            decoder: string. A handle of a Gemma 1 or 2, or of a PaliGemma.
            image_size: int. Pixels on a side, if not the image encoder's.
            seed: int. Of the new embeddings.
            progress: bool. Whether to draw a progress bar.
            **kwargs: Further arguments of the constructor.

        Example:
        ```python
        backbone = PaliGemmaBackbone.from_unimodal(
            image_encoder="hf://google/siglip-so400m-patch14-224",
            decoder="hf://google/gemma-2b",
        )
        ```
        """
        arguments, arrays = assemble(image_encoder, decoder, seed)
        if image_size is not None:
            arguments["image_size"] = image_size
        return cls.from_arrays(arguments, arrays, progress, **kwargs)

    def save_to_preset(self, preset_dir, max_shard_size=10):
        """Saves a preset, files moved to their names when all are written.

        Args:
            preset_dir: string. The directory.
            max_shard_size: int or float. Gigabytes a weights file holds at
                most.
        """
        with staged(preset_dir) as staging:
            super().save_to_preset(staging, max_shard_size=max_shard_size)

    def export_to_transformers(self, path, dtype=None):
        """Writes what `PaliGemmaForConditionalGeneration` loads.

        Args:
            path: string. The directory to make.
            dtype: string. Of the weights written; the variables' by default.
        """
        export_backbone(self, path, dtype=dtype)


class CausalLMPresets:
    """Mixin that loads and saves a backbone with its preprocessor."""

    presets = PublishedPresets()

    @classmethod
    def from_preset(
        cls,
        preset,
        load_weights=True,
        image_size=None,
        progress=False,
        **kwargs,
    ):
        """Loads a model with its preprocessor.

        Args:
            preset, load_weights, image_size, progress: As
                `PaliGemmaBackbone.from_preset`.
            **kwargs: `preprocessor` (`None` for none), `sequence_length` of
                the preprocessor, and arguments of the backbone's
                constructor: `dtype`, `dropout`, `remat`, ...

        Returns:
            A `PaliGemmaCausalLM`, compiled with defaults.
        """
        checkpoint = open_checkpoint(preset)
        own = {
            key: kwargs.pop(key)
            for key in ("compile", "name", "trainable")
            if key in kwargs
        }
        options = {
            key: kwargs.pop(key)
            for key in ("sequence_length",)
            if key in kwargs
        }
        if "preprocessor" in kwargs:
            preprocessor = kwargs.pop("preprocessor")
        else:
            preprocessor = load_preprocessor(
                checkpoint,
                cls.preprocessor_cls,
                image_size=image_size,
                **options,
            )
            if preprocessor is None:
                warnings.warn(
                    f"No tokenizer lies beside {checkpoint.path}, so the "
                    "model has no preprocessor and takes token ids only. "
                    "Pass `preprocessor=`, or put `tokenizer.model` there.",
                    stacklevel=2,
                )
        backbone = kwargs.pop("backbone", None)
        if backbone is None:
            backbone = cls.backbone_cls.from_preset(
                checkpoint.path,
                load_weights=load_weights,
                image_size=image_size,
                progress=progress,
                **kwargs,
            )
        return cls(preprocessor=preprocessor, backbone=backbone, **own)

    def save_to_preset(self, preset_dir, max_shard_size=10):
        """Saves a preset, files moved to their names when all are written.

        Args:
            preset_dir: string. The directory.
            max_shard_size: int or float. Gigabytes a weights file holds at
                most.
        """
        with staged(preset_dir) as staging:
            super().save_to_preset(staging, max_shard_size=max_shard_size)

    def export_to_transformers(self, path, dtype=None):
        """Writes what Transformers' model and processor load.

        Args:
            path: string. The directory to make.
            dtype: string. Of the weights written; the variables' by default.
        """
        export_backbone(self.backbone, path, self.preprocessor, dtype=dtype)


@contextlib.contextmanager
def staged(directory):
    """Yields a temporary directory whose files are moved at the end.

    Args:
        directory: string. Where the files go; it may exist and hold others.
    """
    directory = os.path.abspath(directory)
    parent = os.path.dirname(directory)
    os.makedirs(parent, exist_ok=True)
    staging = tempfile.mkdtemp(prefix=".saving-", dir=parent)
    try:
        yield staging
        for folder, _, names in os.walk(staging):
            target = os.path.join(directory, os.path.relpath(folder, staging))
            os.makedirs(target, exist_ok=True)
            for name in names:
                os.replace(
                    os.path.join(folder, name), os.path.join(target, name)
                )
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _array_of(path, variable):
    value = np.asarray(keras.ops.convert_to_numpy(variable))
    return LazyArray.from_numpy(value, source=path)


def _progress_bar():
    bar = keras.utils.Progbar(None, unit_name="byte")

    def show(path, done, total):
        bar.target = total
        bar.update(done, finalize=done == total)

    return show
