"""Each example runs, and does what it says."""

import pytest

from examples import finetune_photographs


def test_photographs_are_learned_by_heart(tmp_path):
    output = tmp_path / "photograph_model"
    captions, said = finetune_photographs.main(["--output", str(output)])
    assert said == captions
    assert (output / "captions.png").exists()


def test_photographs_and_captions_differ():
    pairs = finetune_photographs.photographs()
    assert len({caption for _, caption in pairs}) == len(pairs) == 8
    assert all(image.dtype == "uint8" for image, _ in pairs)
    with pytest.raises(SystemExit):
        finetune_photographs.main(["--no-such-option"])
