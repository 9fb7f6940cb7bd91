"""LoRA: small trained additions to frozen, possibly quantized, weights."""

import os
import tempfile

import h5py
import keras

from keras_paligemma.models.export import sublayers

# Whose weights LoRA can stand beside.
QUANTIZATION_MODES = (None, "int8", "int4")
# Components that are one layer, and so are adapted as they are.
SINGLE_LAYERS = ("projector", "embedding")


class LowRankAdaptation:
    """Mixin that adds LoRA (arXiv 2106.09685) to named components.

    Everything but the additions is frozen: biases and norms too, so that
    the weights below stay as they were, bit for bit. Saving the model merges
    the additions in; `save_lora_weights` writes them alone. Quantize first
    for QLoRA.

    ```python
    model.quantize("int4")
    model.backbone.enable_lora(8, components=["decoder", "projector"])
    model.compile(optimizer=keras.optimizers.Adam(2e-4))
    model.fit(...)
    model.backbone.save_lora_weights("cows.lora.h5")
    ```
    """

    def enable_lora(
        self, rank, target_layer_names=None, components=None, alpha=None
    ):
        """Freezes the model and adds trained products of low rank.

        Compile the model afterwards. The factors are float32 whatever the
        model's dtype, and the products zero at first.

        Args:
            rank: int. Rank of the products.
            target_layer_names: list of strings, `"all"` or `None`. Names of
                the layers in image encoder and decoder that are adapted;
                `"all"` is every dense layer in the attention and the
                feed-forward; by default `default_lora_layer_names()`, the
                queries and values of attention.
            components: list of strings or `None`. Which of
                `"image_encoder"`, `"projector"`, `"embedding"` and
                `"decoder"` are adapted. The projector and the embedding are
                single layers, adapted if they are named here. By default
                layers of the target names, wherever they are.
            alpha: float or `None`. The products are scaled by
                `alpha / rank`; by default `rank`, a factor of 1.

        Raises:
            ValueError: If a rank or a name is not one, if LoRA is enabled
                already, or if weights are quantized otherwise than to int8
                or int4. Nothing is changed then.
        """
        _check_numbers(rank, alpha)
        layers = _built_layers(self)
        targets = _targets(
            layers,
            target_layer_names,
            self.default_lora_layer_names(),
            components,
        )
        self._add_low_rank(targets, rank, alpha)

    def save_lora_weights(self, filepath):
        """Writes the factors of LoRA alone.

        Args:
            filepath: string or path. Ends in `.lora.h5`.

        Raises:
            ValueError: If LoRA is not enabled, or the name ends otherwise.
        """
        adapted = self._adapted_layers()
        if not adapted:
            raise ValueError(
                "There are no factors to save: call `enable_lora(rank)` "
                f"first. Received: filepath={filepath}"
            )
        filepath = os.path.abspath(filepath)
        if not filepath.endswith(".lora.h5"):
            raise ValueError(
                "The name of a file of LoRA weights must end in `.lora.h5`. "
                f"Received: filepath={filepath}"
            )
        folder, name = os.path.split(filepath)
        # In a folder of its own beside it, so that no half-written file ever
        # has the name.
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            path = os.path.join(temporary, name)
            with h5py.File(path, "w") as file:
                for layer_path, layer in adapted.items():
                    group = file.create_group(layer_path)
                    group.attrs["rank"] = layer.lora_rank
                    group.attrs["alpha"] = layer.lora_alpha
                    for weight in _factors(layer):
                        group[weight.name] = keras.ops.convert_to_numpy(weight)
            os.replace(path, filepath)

    def load_lora_weights(self, filepath):
        """Reads what `save_lora_weights` wrote.

        Args:
            filepath: string or path. If LoRA is not enabled yet, it is, on
                the layers and with the rank of the file.

        Raises:
            ValueError: If the file is of other layers or ranks. Nothing is
                changed then.
        """
        with h5py.File(filepath, "r") as file:
            groups = {}

            def visit(path, item):
                if isinstance(item, h5py.Group) and "rank" in item.attrs:
                    groups[path] = (
                        int(item.attrs["rank"]),
                        float(item.attrs["alpha"]),
                        {name: value[()] for name, value in item.items()},
                    )

            file.visititems(visit)
        adapted = self._adapted_layers()
        layers = adapted or {
            path: layer
            for path, layer in _built_layers(self).items()
            if path in groups and hasattr(layer, "enable_lora")
        }
        _check_file(filepath, groups, layers)
        if not adapted:
            rank, alpha, _ = next(iter(groups.values()))
            self._add_low_rank(list(layers.values()), rank, alpha)
        for path, (_, alpha, values) in groups.items():
            layers[path].lora_alpha = alpha
            for weight in _factors(layers[path]):
                weight.assign(values[weight.name])

    def _adapted_layers(self):
        return {
            layer.path: layer
            for layer in sublayers(self)
            if getattr(layer, "lora_enabled", False)
        }

    def _add_low_rank(self, targets, rank, alpha):
        enabled = self._adapted_layers()
        if enabled:
            raise ValueError(
                "LoRA can be enabled once. To change it, save the model, "
                "which merges it, and load it again. "
                f"Received: {len(enabled)} layers with LoRA, the first "
                f"{next(iter(enabled))}"
            )
        modes = {layer.path: layer.quantization_mode for layer in targets}
        other = {p: m for p, m in modes.items() if m not in QUANTIZATION_MODES}
        if other:
            path, mode = next(iter(other.items()))
            raise ValueError(
                "LoRA needs float, int8 or int4 weights. "
                f"Received: {len(other)} layers quantized otherwise, the "
                f"first {path} to {mode!r}"
            )
        self.trainable = True
        for layer in sublayers(self):
            layer.trainable = False
        for layer in targets:
            layer.enable_lora(rank, lora_alpha=alpha)
            layer.trainable = True
            for weight in layer.weights:
                weight.trainable = weight.name.startswith("lora_")


def _built_layers(backbone):
    """Dict of path to layer; what holds no weights has no path."""
    return {x.path: x for x in sublayers(backbone) if x.path is not None}


def _factors(layer):
    """The two variables of LoRA in a layer."""
    return [w for w in layer.weights if w.name.startswith("lora_")]


def _targets(layers, names, default_names, components):
    """The layers to adapt.

    Args:
        layers: dict of path to layer.
        names: list of strings, `"all"` or `None`.
        default_names: list of strings. Instead of `None`.
        components: list of strings or `None`.
    """
    known = sorted(path for path in layers if "/" not in path)
    if names == "all":
        names = None
        default_names = {
            layer.name
            for layer in layers.values()
            if layer.name.endswith("_dense")
        }
    for argument, values in (
        ("target_layer_names", names),
        ("components", components),
    ):
        if isinstance(values, str) or (values is not None and not values):
            raise ValueError(
                f"`{argument}` must be a list of names, or `None`. "
                f"Received: {argument}={values!r}"
            )
    if unknown := set(components or ()) - set(known):
        raise ValueError(
            f"`components` must be among {known}. "
            f"Received: components={list(components)}, of which "
            f"{sorted(unknown)} are unknown"
        )
    chosen = set(default_names if names is None else names)
    adaptable = {
        path: layer
        for path, layer in layers.items()
        if hasattr(layer, "enable_lora")
        and (components is None or path.partition("/")[0] in components)
    }
    whole = [c for c in SINGLE_LAYERS if components and c in components]
    found = {layer.name for layer in adaptable.values()}
    unmatched = set() if names is None else chosen - found
    if unmatched:
        raise ValueError(
            "Each of `target_layer_names` must be the name of a layer that "
            f"has LoRA, of {sorted(found)}. "
            f"Received: target_layer_names={list(names)}, of which "
            f"{sorted(unmatched)} match nothing"
        )
    return [
        layer
        for path, layer in adaptable.items()
        if path in whole or layer.name in chosen
    ]


def _check_numbers(rank, alpha):
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise ValueError(
            "`rank` must be a positive integer; 4 to 64 are usual. "
            f"Received: rank={rank!r}"
        )
    if alpha is not None and not alpha > 0:
        raise ValueError(
            "`alpha` must be positive, or `None` for `rank`. "
            f"Received: alpha={alpha!r}"
        )


def _check_file(filepath, groups, layers):
    """Raises where a file does not fit the layers it is meant for."""
    missing = sorted(set(layers) - set(groups))
    foreign = sorted(set(groups) - set(layers))
    if not groups or missing or foreign:
        raise ValueError(
            "The file must hold factors for the layers with LoRA, neither "
            f"more nor less. Received: filepath={filepath} with "
            f"{len(groups)} layers; without {missing[:3]}; beyond the "
            f"model's: {foreign[:3]}"
        )
    ranks = {rank for rank, _, _ in groups.values()}
    enabled = {
        layer.lora_rank for layer in layers.values() if layer.lora_enabled
    }
    if len(ranks | enabled) > 1:
        raise ValueError(
            "The file's rank must be that of `enable_lora`. "
            f"Received: filepath={filepath} of rank {sorted(ranks)}, a model "
            f"of rank {sorted(enabled)}"
        )
