"""Content neighbours against their definitions: ItemKNN by content and by both, MRTA's fusion and its topics."""

import re

import numpy as np
import pytest

from mrlm_core.baselines import mrta
from mrlm_core.baselines.mrta import PASSES, fused, topic_shares
from mrlm_core.baselines.registry import build
from mrlm_core.baselines.sentences import sentences_of
from mrlm_core.evaluation.selection import mean_recall_of
from mrlm_core.preprocessing.vectors import Features

USERS, ITEMS, BARE = 61, 48, 47  # of the fixture ``planted``: the last item has no text and no sound
EVERYONE = np.arange(USERS)


@pytest.fixture(scope="module")
def two():
    """Text and sound of random vectors; item 46 has no sound, the last one neither."""
    rng = np.random.default_rng(6)
    made = {}
    for name, without in (("text", [BARE]), ("sound", [46, BARE])):
        mask = ~np.isin(np.arange(ITEMS), without)
        values = rng.normal(size=(ITEMS, 5)) * rng.uniform(0.5, 9, (ITEMS, 1)) * mask[:, None]
        made[name] = Features(values.astype(np.float32), mask, "random", ())
    return made


def unit(vector):
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def neighbours_by_hand(train, similarity, count):
    """Each item's score for every user: the sum of its similarities with its ``count`` nearest that the user likes."""
    expected = np.zeros((USERS, ITEMS))
    for item in range(ITEMS):
        others = [other for other in np.argsort(-similarity[item], kind="stable") if other != item][:count]
        expected[:, item] = train[:, others] @ similarity[item, others]
    return expected


def cosines(columns, shrink):
    products = columns @ columns.T
    norms = np.linalg.norm(columns, axis=1)
    return products / (np.outer(norms, norms) + shrink + 1e-6)


def test_item_knn_by_content_equals_its_definition(planted, two):
    model = build("ItemKNN (content)", {"neighbours": 4, "shrink": 2.0})
    model.fit(planted, seed=0, features=two)
    columns = np.array([np.concatenate([unit(made.values[item]) for made in two.values()]) for item in range(ITEMS)])
    expected = neighbours_by_hand(planted.train.toarray(), cosines(columns, 2.0), 4)
    np.testing.assert_allclose(model.score(EVERYONE), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weighting", ["none", "tf-idf"])
def test_item_knn_by_both_equals_its_definition(planted, two, weighting):
    model = build("ItemKNN (both)", {"neighbours": 4, "shrink": 2.0, "weighting": weighting, "content_weight": 1.5})
    model.fit(planted, seed=0, features=two)
    train = planted.train.toarray()
    idf = np.log((1 + ITEMS) / (1 + train.sum(axis=1))) if weighting == "tf-idf" else np.ones(USERS)
    columns = np.array([
        np.concatenate([train[:, item] * idf, *(1.5 * unit(made.values[item]) for made in two.values())])
        for item in range(ITEMS)])
    expected = neighbours_by_hand(train, cosines(columns, 2.0), 4)
    np.testing.assert_allclose(model.score(EVERYONE), expected, rtol=1e-4, atol=1e-5)


def test_an_item_without_any_modality_has_no_neighbours_by_content(planted, two):
    model = build("ItemKNN (content)")
    model.fit(planted, seed=0, features=two)
    assert not model.score(EVERYONE)[:, BARE].any()


def test_fusion_is_the_weighted_sum_of_the_cosines(two):
    units = {name: np.array([unit(row) for row in made.values]) for name, made in two.items()}
    weights = {"text": 1.0, "sound": 0.25}
    expected = np.zeros((3, ITEMS))
    for place, item in enumerate([0, 8, 46]):
        for other in range(ITEMS):
            expected[place, other] = sum(w * (units[name][item] @ units[name][other]) for name, w in weights.items())
    np.testing.assert_allclose(fused(units, weights)(np.array([0, 8, 46])), expected, rtol=1e-5, atol=1e-6)


def test_mrta_keeps_the_weights_that_validation_prefers(planted, described, two, monkeypatch):
    shares = np.random.default_rng(1).random((ITEMS, 3)).astype(np.float32)
    monkeypatch.setattr(mrta, "topic_shares", lambda *_: shares)
    extra = {"audio": described["features"]["audio"], "sound": two["sound"]}
    model = build("MRTA", {"neighbours": 5})
    model.fit(planted, seed=0, sentences=described["sentences"], features=extra)
    units = {"text": np.array([unit(row) for row in shares]),
             **{name: np.array([unit(row) for row in made.values]) for name, made in extra.items()}}
    train = planted.train.toarray()

    def by_hand(weights):
        similarity = sum(w * units[name] @ units[name].T for name, w in weights.items())
        return neighbours_by_hand(train, similarity, 5)

    def recall(weights):
        scores = by_hand(weights).astype(np.float32)
        return mean_recall_of(lambda users: scores[users], planted, 20)

    best = {"text": 1.0}
    for name in extra:
        best = max([best, *({**best, name: weight} for weight in mrta.WEIGHTS)], key=recall)
    assert recall(model.report["weights"]) == pytest.approx(recall(best))
    assert recall(best) > recall({"text": 1.0})  # so there was something to choose
    assert model.report["weightings_compared"] == 1 + 2 * len(mrta.WEIGHTS)
    np.testing.assert_allclose(model.score(EVERYONE), by_hand(model.report["weights"]), rtol=1e-4, atol=1e-4)


def test_topics_are_shares_and_an_item_without_text_has_none(described):
    shares = topic_shares(described["sentences"], topics=3, seed=0)
    assert shares.shape == (ITEMS, 3)
    np.testing.assert_allclose(shares[:BARE].sum(axis=1), 1, rtol=1e-5)
    assert not shares[BARE].any()
    assert (shares >= 0).all()


def test_topics_are_those_of_the_words_weighted_by_rarity():
    from sklearn.decomposition import LatentDirichletAllocation

    texts = {0: "red red apple", 1: "red pear", 2: "blue sea. Blue ship", 4: "blue ship"}
    sentences = sentences_of(texts, 5)
    words = ["blue", "red", "ship", "apple", "pear", "sea"]  # by the texts that have them, then by the alphabet
    counts = np.array([[re.findall(r"\w+", text.lower()).count(word) for word in words] for text in texts.values()])
    weighted = counts * np.log(len(texts) / (counts > 0).sum(axis=0))
    model = LatentDirichletAllocation(2, learning_method="online", batch_size=512, max_iter=PASSES, random_state=3)
    found = topic_shares(sentences, 2, seed=3)[list(texts)]
    np.testing.assert_allclose(found, model.fit_transform(weighted), rtol=1e-4)


def test_no_text_at_all_leaves_the_other_modalities(planted, described):
    model = build("MRTA", {"topics": 3})
    model.fit(planted, seed=0, sentences=sentences_of({}, ITEMS), features={"audio": described["features"]["audio"]})
    assert model.score(EVERYONE)[:, :BARE].any()
