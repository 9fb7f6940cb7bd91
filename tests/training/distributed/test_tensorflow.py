"""TensorFlow: `fit` under `MirroredStrategy` on two virtual devices."""

import keras
import numpy as np
import pytest

from tests.training.distributed import scripts

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "tensorflow",
    reason="`tf.distribute` is TensorFlow's own",
)


def test_mirrored_replicas_train_as_one_device(tmp_path):
    (report,) = scripts.finish(
        scripts.start(
            "tests.training.distributed.tensorflow_replicas", tmp_path
        )
    )
    assert report["replicas"] == 2
    assert report["expected"][-1] < report["expected"][0] - 0.5
    np.testing.assert_allclose(report["found"], report["expected"], rtol=1e-4)
    # Saved under the strategy, loaded without it.
    assert report["difference"] == 0.0
