"""What each sampler chooses, against its definition."""

import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_paligemma.models.generation.selection import has_own_loop
from keras_paligemma.models.generation.selection import inverse_cdf
from keras_paligemma.models.generation.selection import is_drawn
from keras_paligemma.models.generation.selection import log_probability
from keras_paligemma.models.generation.selection import token_selector

samplers = keras_hub.samplers
PROBABILITIES = np.array([0.1, 0.35, 0.05, 0.3, 0.2], "float32")
DRAWS = 4000


def drawn(weights, uniforms):
    """Draws from one distribution, with one uniform number a row."""
    rows = np.tile(weights, (len(uniforms), 1)).astype("float32")
    return ops.convert_to_numpy(
        inverse_cdf(
            ops.convert_to_tensor(rows),
            ops.convert_to_tensor(uniforms, "float32"),
        )
    )


def selected(sampler, probabilities=PROBABILITIES, count=DRAWS):
    uniforms = np.random.default_rng(0).random(count).astype("float32")
    logits = np.tile(np.log(probabilities), (count, 1)).astype("float32")
    tokens = token_selector(sampler)(
        ops.convert_to_tensor(logits), ops.convert_to_tensor(uniforms)
    )
    assert "int32" in str(tokens.dtype)
    return ops.convert_to_numpy(tokens)


def check_shares(tokens, expected):
    """Pearson's statistic over the tokens that may occur; none else do."""
    counts = np.bincount(tokens, minlength=len(expected))
    assert counts[expected == 0].sum() == 0
    possible = expected > 0
    wanted = expected[possible] / expected.sum() * len(tokens)
    statistic = ((counts[possible] - wanted) ** 2 / wanted).sum()
    # Above 25 with four degrees of freedom: 5 in 100,000.
    assert statistic < 25


def test_inverse_cdf_as_documented():
    weights = [0.25, 0.0, 0.75]
    assert drawn(weights, [0.2, 0.3]).tolist() == [0, 2]


def test_inverse_cdf_at_its_edges():
    below_one = 1.0 - 2.0**-24
    assert drawn([0.0, 0.5, 0.5], [0.0]).tolist() == [1]
    assert drawn([0.5, 0.5], [0.5, below_one]).tolist() == [1, 1]
    # Weights need not sum to one.
    assert drawn([1.0, 3.0], [0.2, 0.3]).tolist() == [0, 1]


def test_inverse_cdf_follows_the_distribution():
    uniforms = (np.arange(DRAWS) + 0.5) / DRAWS
    counts = np.bincount(drawn(PROBABILITIES, uniforms), minlength=5)
    np.testing.assert_allclose(counts / DRAWS, PROBABILITIES, atol=1e-3)
    check_shares(
        drawn(PROBABILITIES, np.random.default_rng(1).random(DRAWS)),
        PROBABILITIES,
    )


def test_random_sampler_draws_from_all():
    check_shares(selected(samplers.RandomSampler()), PROBABILITIES)


def test_temperature_sharpens():
    expected = PROBABILITIES**2
    tokens = selected(samplers.RandomSampler(temperature=0.5))
    check_shares(tokens, expected)


@pytest.mark.parametrize("k", [1, 3, 99])
def test_top_k_draws_from_the_k_likeliest(k):
    expected = PROBABILITIES.copy()
    expected[np.argsort(-expected)[k:]] = 0
    check_shares(selected(samplers.TopKSampler(k=k)), expected)


@pytest.mark.parametrize(
    "p, kept", [(0.0, [1]), (0.3, [1]), (0.5, [1, 3]), (0.7, [1, 3, 4])]
)
def test_top_p_draws_up_to_the_token_that_passes_p(p, kept):
    expected = np.zeros(5)
    expected[kept] = PROBABILITIES[kept]
    check_shares(selected(samplers.TopPSampler(p=p)), expected)
    check_shares(selected(samplers.TopPSampler(p=p, k=4)), expected)


def test_greedy_takes_the_likeliest():
    assert set(selected(samplers.GreedySampler(), count=3)) == {1}


class SecondBest(samplers.Sampler):
    """A sampler as Keras-Hub's documentation tells to write one."""

    def get_next_token(self, probabilities):
        return ops.argsort(probabilities, axis=-1)[:, -2]


def test_a_custom_sampler_is_asked():
    assert set(selected(SecondBest(), count=3)) == {3}
    assert not is_drawn(SecondBest()) and not has_own_loop(SecondBest())


def test_a_subclass_of_a_stock_sampler_keeps_its_own_choice():
    class Last(samplers.RandomSampler):
        def get_next_token(self, probabilities):
            return ops.zeros_like(probabilities[:, 0], dtype="int32") + 4

    assert set(selected(Last(), count=3)) == {4}


def test_which_samplers_bring_a_loop():
    assert has_own_loop(samplers.ContrastiveSampler())
    assert has_own_loop(samplers.BeamSampler())
    assert not has_own_loop(samplers.TopKSampler())


def test_log_probability_is_the_models_own():
    logits = np.log(PROBABILITIES)[None] + 7.0
    result = log_probability(
        ops.convert_to_tensor(logits, "float32"), ops.convert_to_tensor([3])
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(result), [np.log(0.3)], rtol=1e-5
    )
