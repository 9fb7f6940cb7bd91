"""The tiny model's stages follow the published order."""

import pytest

from keras_paligemma.training import tiny_stages
from keras_paligemma.training.tiny_stages import IMAGE_ENCODER_SHARE


@pytest.mark.parametrize("scale", [1.0, 0.3, 0.001])
def test_stages_go_on_along_one_schedule(scale):
    stages = tiny_stages(scale)
    assert list(stages) == ["stage_1", "stage_2", "mix"]
    last = {}
    for name, stage in stages.items():
        steps = stage.total_steps()
        for pattern, schedule in stage.schedules():
            if pattern in last and last[pattern] > 0:
                start = float(schedule(0))
                assert start == pytest.approx(last[pattern], rel=0.02), name
            last[pattern] = float(schedule(steps))
    # The mix is cooled down.
    assert all(rate == pytest.approx(0.0, abs=1e-8) for rate in last.values())


def test_the_image_encoder_warms_up_more_slowly():
    stage = tiny_stages()["stage_1"]
    (_, encoder), (_, others) = stage.schedules()
    shares = [float(encoder(n)) / float(others(n)) for n in (100, 2_000, 4_000)]
    # Then both go down together.
    assert shares[0] < 0.5 * shares[1]
    assert shares[1:] == pytest.approx([IMAGE_ENCODER_SHARE] * 2)


def test_stage_2_has_more_pixels_and_more_to_read_and_find():
    stages = tiny_stages(scale=0.5)
    first, second = stages["stage_1"], stages["stage_2"]
    assert (first.image_size, second.image_size) == (112, 224)
    assert first.examples == 160_000

    def share(stage, task):
        weights = dict(stage.mixture)
        return weights[task] / sum(weights.values())

    for task in ("ocr", "segment"):
        assert share(second, task) > share(first, task)
    assert share(second, "detect") + share(second, "segment") > 0.3


def test_a_stage_can_be_longer():
    stages = tiny_stages(scale=0.5, examples={"stage_2": 640_000})
    usual = tiny_stages(scale=0.5)
    assert stages["stage_2"].examples == 320_000
    assert stages["stage_1"] == usual["stage_1"]
    assert stages["mix"].examples == usual["mix"].examples


def test_an_unknown_stage_has_no_length():
    with pytest.raises(ValueError, match="stage_3"):
        tiny_stages(examples={"stage_3": 64})
