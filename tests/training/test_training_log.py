"""Reading a JSONL log, whole, resumed or cut off."""

import pytest

from keras_paligemma.training.training_log import read_log


def write(path, text):
    path.write_text(text)
    return path


def test_series_by_name(tmp_path):
    log = write(
        tmp_path / "log.jsonl",
        '{"step": 0, "loss": 2.5, "note": "start", "ok": true}\n'
        "\n"
        '{"step": 10, "loss": 2, "rate": 1e-5}\n',
    )
    assert read_log(log) == {
        "loss": ([0, 10], [2.5, 2]),
        "rate": ([10], [1e-5]),
    }


def test_a_resumed_run_writes_steps_again(tmp_path):
    lines = [f'{{"step": {s}, "loss": {v}}}' for s, v in ((0, 3), (2, 9))]
    lines += ['{"step": 1, "loss": 2}', '{"step": 2, "loss": 1}']
    log = write(tmp_path / "log.jsonl", "\n".join(lines) + "\n")
    assert read_log(log)["loss"] == ([0, 1, 2], [3, 2, 1])


def test_a_last_line_may_be_cut_off(tmp_path):
    log = write(
        tmp_path / "log.jsonl", '{"step": 0, "loss": 3}\n{"step": 1, "l'
    )
    assert read_log(log) == {"loss": ([0], [3])}


@pytest.mark.parametrize("line", ["{", '{"loss": 1}', "7", "words"])
def test_a_damaged_line_is_named(tmp_path, line):
    log = write(tmp_path / "log.jsonl", f'{line}\n{{"step": 1, "loss": 1}}\n')
    with pytest.raises(ValueError, match="line 1"):
        read_log(log)
