"""A data set of TFDS, of five drawn images; TFDS wants a package for each."""

import numpy as np
import tensorflow_datasets as tfds


class DrawnTfds(tfds.core.GeneratorBasedBuilder):
    """Images of one grey each, captioned."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "caption": tfds.features.Text(),
            }
        )
        return self.dataset_info_from_configs(features=features)

    def _split_generators(self, download_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number in range(5):
            image = np.full((4, 6, 3), number, "uint8")
            yield number, {"image": image, "caption": f"grey {number}"}
