import keras
import pytest

from keras_paligemma.training import component_table

PATHS = [
    "image_encoder/patch_embedding/kernel",
    "image_encoder/final_norm/beta",
    "projector/kernel",
    "decoder/final_norm/scale",
]


def test_the_first_whole_match_wins():
    patterns = [".*/kernel", "image_encoder/.*", "decoder"]
    rows = component_table.first_matches(patterns, PATHS)
    assert rows == [0, 1, 0, None]
    patterns = ["image_encoder/.*", ".*/kernel", "decoder/.*"]
    rows = component_table.first_matches(patterns, PATHS)
    assert rows == [0, 0, 1, 2]


def test_the_models_name_may_be_left_out():
    paths = ["tower/projector/kernel", "projector/kernel", "other/projector/b"]
    matches = component_table.first_matches
    assert matches(["projector/.*"], paths) == [None, 0, None]
    assert matches(["projector/.*"], paths, "tower") == [0, 0, None]
    assert matches(["tower/.*"], paths, "tower") == [0, None, None]


def test_unmatched_paths_are_listed():
    patterns = ["image_encoder/.*"]
    rows = component_table.first_matches(patterns, PATHS)
    with pytest.raises(ValueError, match="leave out 2 of 4") as error:
        component_table.check_all_matched(patterns, PATHS, rows)
    message = str(error.value)
    assert PATHS[2] in message and PATHS[3] in message
    assert PATHS[0] not in message
    component_table.check_all_matched(patterns, PATHS[:2], rows[:2])


@pytest.mark.parametrize(
    "patterns, message",
    [
        (["vision/.*", ".*"], "'vision/.*' matches .* no variable"),
        ([".*/kernel", "projector/kernel", ".*"], "earlier patterns"),
    ],
)
def test_a_pattern_without_a_variable_is_an_error(patterns, message):
    rows = component_table.first_matches(patterns, PATHS)
    with pytest.raises(ValueError, match=message) as error:
        component_table.check_all_used(patterns, PATHS, rows)
    assert "projector/kernel" in str(error.value)
    component_table.check_all_used(patterns, PATHS, rows, exempt={0, 1})


@pytest.mark.parametrize(
    "table",
    [
        [],
        None,
        ".*",
        [(".*", 1.0, 2.0)],
        [(None, 1.0)],
        [(".*", -1e-3)],
        [(".*", float("nan"))],
        [(".*", True)],
        [(".*", lambda step: 1.0)],
        [(".*", None)],
    ],
)
def test_a_table_of_another_form_is_refused(table):
    with pytest.raises(ValueError, match="Received: table"):
        component_table.check_rates(table)


def test_a_pattern_that_is_no_regular_expression_is_refused():
    with pytest.raises(ValueError, match=r"pattern='\(a'"):
        component_table.first_matches(["(a"], PATHS)


@pytest.mark.parametrize("decays", [[(".*", -1.0)], [(".*", None)], [".*"]])
def test_decays_of_another_form_are_refused(decays):
    with pytest.raises(ValueError, match="weight_decay"):
        component_table.check_decays(decays)


def test_peak_rates():
    schedules = keras.optimizers.schedules
    peak_rate = component_table.peak_rate
    assert peak_rate(0.25) == 0.25
    assert peak_rate(schedules.ExponentialDecay(0.5, 10, 0.9)) == 0.5
    warm = schedules.CosineDecay(0.0, 10, warmup_target=0.75, warmup_steps=2)
    assert peak_rate(warm) == 0.75
    for schedule in (
        0.0,
        schedules.PiecewiseConstantDecay([1], [1.0, 0.5]),
        schedules.PolynomialDecay(0.0, 10, 1.0),
    ):
        with pytest.raises(ValueError, match="decay_times_rate=True"):
            peak_rate(schedule)
