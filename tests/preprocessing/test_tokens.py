import numpy as np
import pytest

from mrlm_core.preprocessing.tokens import MASK, PAD, UNKNOWN, Tokens, batches, company, mask, tokenise, windows


@pytest.fixture(scope="module")
def many_words():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghij"), 6)) for _ in range(300)]
    return [" ".join(rng.choice(words, 12)) for _ in range(60)]


def test_the_same_texts_give_the_same_vocabulary(many_words):
    first, *others = (tokenise(many_words, 200) for _ in range(3))
    for other in others:  # ties among pieces must not be broken by chance
        assert all((a == b).all() for a, b in zip(first.texts, other.texts, strict=True))
        np.testing.assert_array_equal(first.weights, other.weights)
    assert len(first.weights) <= 200


def test_stop_words_and_punctuation_weigh_nothing_and_rare_words_most():
    found = tokenise(["The lamp, the warm lamp!", "the lamp is red", "a lamp of glass"], 500)
    first = found.weights[found.texts[0]]
    the, lamp, comma, _, warm, again, mark = first
    assert (the, comma, mark) == (0, 0, 0)
    assert warm > lamp == again > 0


def test_a_long_text_is_cut_into_windows_that_hold_all_of_it():
    texts = [np.arange(3, 14, dtype=np.int32), np.zeros(0, np.int32), np.arange(3, 6, dtype=np.int32)]
    rows, owner = windows(texts, 4)
    np.testing.assert_array_equal(owner, [0, 0, 0, 2])
    np.testing.assert_array_equal(np.concatenate(rows[:3]), texts[0])
    assert max(map(len, rows)) <= 4


@pytest.mark.parametrize("rng", [None, np.random.default_rng(0)])
def test_batches_hold_every_window_once_and_little_padding(rng):
    rows = [np.full(length, 5, np.int32) for length in np.random.default_rng(1).integers(1, 60, 200)]
    seen, spent = [], 0
    for padded, chosen in batches(rows, 256, rng):
        assert padded.size <= 256 or len(chosen) == 1
        np.testing.assert_array_equal((padded != PAD).sum(axis=1), [len(rows[row]) for row in chosen])
        seen.extend(chosen)
        spent += padded.size
    assert sorted(seen) == list(range(200))
    assert spent < 1.3 * sum(map(len, rows))


def test_padding_and_unknown_tokens_are_never_predicted_and_the_rest_as_bert_does():
    rng = np.random.default_rng(0)
    tokens = rng.integers(3, 1000, (200, 100)).astype(np.int32)
    tokens[:, 60:], tokens[:, 5] = PAD, UNKNOWN
    masked = mask(tokens, 1000, rng)
    np.testing.assert_array_equal(masked.targets, tokens.ravel()[masked.places])
    assert masked.targets.min() > MASK
    assert len(set(masked.places)) == len(masked.places) == round(0.15 * 200 * 59)
    now = masked.tokens.ravel()[masked.places]
    assert (now == MASK).mean() == pytest.approx(0.8, abs=0.03)
    assert (now == masked.targets).mean() == pytest.approx(0.1, abs=0.03)
    untouched = np.delete(np.arange(tokens.size), masked.places)
    np.testing.assert_array_equal(masked.tokens.ravel()[untouched], tokens.ravel()[untouched])


def test_one_known_token_is_hidden_and_none_where_all_is_padding():
    assert len(mask(np.array([[7, PAD]], np.int32), 9, np.random.default_rng(0)).places) == 1
    assert len(mask(np.array([[UNKNOWN, PAD]], np.int32), 9, np.random.default_rng(0)).places) == 0


def test_tokens_in_like_company_are_near():
    texts = [np.array(text, np.int32) for text in ([3, 4], [5, 4], [3, 6], [5, 6], [7, 8], [9, 8], [7, 10], [9, 10])]
    vectors = company(Tokens(texts * 4, np.r_[0, 0, 0, np.ones(8)].astype(np.float32)), 6, seed=0)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[3] @ unit[5] > 0.7 > unit[3] @ unit[7]  # 3 and 5 share no text, only neighbours
    assert np.isfinite(vectors).all()
