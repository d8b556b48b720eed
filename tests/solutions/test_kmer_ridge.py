"""The k-mer ridge is on every board, so it is compared with brute force and scikit-learn."""

import itertools
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from competition.data.declaration import Shapes
from competition.data.tokens import encode, reverse_complement
from competition.training.solution import load_solution

kmer_ridge = load_solution(Path(__file__).parents[2] / "solutions" / "kmer_ridge")
module = sys.modules[kmer_ridge.Estimator.__module__]
Config, count_kmers = kmer_ridge.Config, module.count_kmers


def draw(num_rows, width=40, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (num_rows, width), dtype=np.uint8)


def estimator(*, others=(), **changes):
    shapes = {"sequence": (4, 40), **dict.fromkeys(others, (2,))}
    return kmer_ridge.Estimator(Config(**{"k": 2, **changes}), Shapes(shapes, ("y",)))


def fit_predict(tokens, target, fresh=None, **changes):
    model = estimator(**changes)
    model.fit({"sequence": tokens}, target)
    return model.predict({"sequence": tokens if fresh is None else fresh})


def occurrences(text, kmer):
    return sum(text.startswith(kmer, i) for i in range(len(text)))


def test_counts_are_those_of_every_kmer_in_the_text_overlaps_included():
    texts = ["AAAAC", "GATTACAGATTACA", "TTNTTT"]
    kmers = ["".join(w) for k in (1, 2, 3) for w in itertools.product("ACGT", repeat=k)]
    wanted = [[occurrences(text, kmer) for kmer in kmers] for text in texts]
    np.testing.assert_array_equal(count_kmers(encode(texts)[0], 3), wanted)


def test_kmers_with_an_unknown_letter_or_padding_are_not_counted():
    unknown, padded = count_kmers(encode(["ACNGT", "ACGT"])[0], 2)
    assert (unknown[4:].sum(), padded[4:].sum()) == (2, 3)


def test_with_both_strands_a_sequence_counts_like_its_reverse_complement():
    tokens = draw(5)
    forward, backward = (count_kmers(t, 4, both_strands=True) for t in (tokens, reverse_complement(tokens)))
    np.testing.assert_array_equal(forward, backward)
    assert (count_kmers(tokens, 4) != count_kmers(reverse_complement(tokens), 4)).any()


def test_the_reverse_complement_of_each_kmer_is_found_by_its_code():
    kmers = ["".join(w) for w in itertools.product("ACGT", repeat=3)]
    swap = str.maketrans("ACGT", "TGCA")
    assert [kmers[i] for i in module.reverse_complements(3)] == [kmer.translate(swap)[::-1] for kmer in kmers]


def test_a_window_shorter_than_the_longest_kmer_has_no_such_kmer():
    assert count_kmers(draw(3, width=2), 4)[:, 4 + 16 :].sum() == 0


def test_weights_are_those_of_scikit_learn_at_the_same_penalty():
    tokens, target = draw(200), np.random.default_rng(1).normal(5, 2, (200, 2))
    model = estimator()
    model.fit({"sequence": tokens}, target)
    counts = count_kmers(tokens, 2)
    for column, alpha in enumerate(model.alpha):
        oracle = Ridge(alpha=alpha).fit(counts, target[:, column])
        got = model.predict({"sequence": tokens})[:, column]
        np.testing.assert_allclose(got, oracle.predict(counts), atol=1e-8)


def test_the_penalty_is_the_one_that_predicts_held_out_rows_best():
    tokens = draw(60)
    features = count_kmers(tokens, 2)
    target = features[:, 3] + np.random.default_rng(1).normal(0, 2, 60)
    model = estimator()
    model.fit({"sequence": tokens}, target[:, None])
    fold = module.fold_of(tokens)

    def error(alpha):
        total = 0
        for number in np.unique(fold):
            held_out = fold == number
            ridge = Ridge(alpha=alpha).fit(features[~held_out], target[~held_out])
            total += ((ridge.predict(features[held_out]) - target[held_out]) ** 2).sum()
        return total

    assert model.alpha == min(module.ALPHAS, key=error)


def test_rows_of_one_sequence_are_held_out_together():
    fold = module.fold_of(np.repeat(draw(100), 3, axis=0)).reshape(100, 3)
    assert (fold == fold[:, :1]).all()
    assert np.bincount(fold[:, 0].astype(int), minlength=module.NUM_FOLDS).min() > 5


def test_repeated_rows_do_not_weaken_the_penalty():
    tokens, rng = np.repeat(draw(80), 8, axis=0), np.random.default_rng(1)
    gene = np.repeat(rng.normal(size=(80, 1)), 8, axis=0)  # independent of the sequence
    assert fit_predict(tokens, gene, draw(300, seed=2), k=3).std() < 0.3


def test_noise_is_shrunk_away_and_signal_is_not():
    tokens, rng = draw(300), np.random.default_rng(1)
    noise, signal = rng.normal(size=(300, 1)), count_kmers(tokens, 2)[:, [7]]
    assert fit_predict(tokens, noise, draw(300, seed=2)).std() < 0.3
    fresh = draw(300, seed=2)
    correlation = np.corrcoef(fit_predict(tokens, signal, fresh)[:, 0], count_kmers(fresh, 2)[:, 7])[0, 1]
    assert correlation > 0.99


def test_the_block_size_changes_nothing(monkeypatch):
    tokens, target = draw(100), np.random.default_rng(1).normal(size=(100, 1))
    whole = fit_predict(tokens, target)
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    monkeypatch.setattr(module, "BLOCK_BASES", 90)
    np.testing.assert_allclose(fit_predict(tokens, target), whole, atol=1e-10)


def test_long_windows_are_counted_in_bounded_memory():
    tokens, model = draw(600, width=10_000), estimator(k=1)
    tracemalloc.start()
    model.fit({"sequence": tokens}, np.arange(600.0)[:, None])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * tokens.nbytes  # a code has 8 bytes per base


def test_each_target_gets_the_answer_it_would_get_alone():
    tokens, target = draw(80), np.random.default_rng(1).normal(size=(80, 2))
    alone = [fit_predict(tokens, target[:, [i]]) for i in range(2)]
    np.testing.assert_allclose(fit_predict(tokens, target), np.concatenate(alone, axis=1), atol=1e-10)


@pytest.mark.parametrize("num_rows", [2, 5, 15])
def test_fewer_rows_than_kmers_do_no_harm(num_rows):
    tokens, target = draw(num_rows), np.random.default_rng(1).normal(size=(num_rows, 1))
    predictions = fit_predict(tokens, target, draw(100, seed=2), k=4)
    assert np.isfinite(predictions).all()
    assert np.abs(predictions).max() < 5


def test_other_inputs_are_used_whatever_their_unit():
    tokens, rng = draw(200), np.random.default_rng(1)
    extra = rng.normal(size=(200, 2))
    target = extra[:, [0]] * 3
    answers = []
    for unit in (1, 1e4):
        model = estimator(others=["extra"])
        inputs = {"sequence": tokens, "extra": (unit * extra + unit).astype(np.float32)}
        model.fit(inputs, target)
        answers.append(model.predict(inputs))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-3)
    assert np.corrcoef(answers[0][:, 0], target[:, 0])[0, 1] > 0.99


def test_other_inputs_keep_their_weight_among_many_kmers():
    tokens, rng = draw(300), np.random.default_rng(1)
    extra = rng.normal(size=(300, 2)).astype(np.float32)
    target = extra[:, [0]] + 0.3 * rng.normal(size=(300, 1))
    model = estimator(others=["extra"], k=4)
    model.fit({"sequence": tokens, "extra": extra}, target)
    fresh = {"sequence": draw(300, seed=2), "extra": rng.normal(size=(300, 2)).astype(np.float32)}
    assert np.corrcoef(model.predict(fresh)[:, 0], fresh["extra"][:, 0])[0, 1] > 0.9


def test_kmers_of_every_sequence_of_a_row_are_counted():
    one, two = draw(400), draw(400, width=30, seed=2)
    target = (two == 2).sum(1, keepdims=True) - (one == 3).sum(1, keepdims=True).astype(float)
    model = estimator()
    model.fit({"promoter": one[:300], "terminator": two[:300]}, target[:300])
    predictions = model.predict({"promoter": one[300:], "terminator": two[300:]})
    np.testing.assert_allclose(predictions, target[300:], atol=0.1)


def test_an_input_that_never_varies_does_no_harm():
    tokens, target = draw(50), np.random.default_rng(1).normal(size=(50, 1))
    model = estimator(others=["extra"])
    model.fit({"sequence": tokens, "extra": np.full((50, 2), 7.0)}, target)
    predictions = model.predict({"sequence": tokens, "extra": np.full((50, 2), 7.0)})
    np.testing.assert_allclose(predictions, fit_predict(tokens, target), atol=1e-6)


def test_a_state_dict_restores_the_predictions():
    tokens, target = draw(50), np.random.default_rng(1).normal(size=(50, 1))
    model, twin = estimator(), estimator()
    model.fit({"sequence": tokens}, target)
    twin.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(twin.predict({"sequence": tokens}), model.predict({"sequence": tokens}))


def test_no_rows_give_no_predictions():
    tokens, target = draw(50), np.random.default_rng(1).normal(size=(50, 1))
    assert fit_predict(tokens, target, draw(0)).shape == (0, 1)
