"""The generated dataset: same seed, same bytes; real files; planted factors that the media show and ratings follow."""

import hashlib
import io

import numpy as np
import pandas as pd
import pytest

from mrlm_core.datasets import iot_catalogue, iot_media, iot_shop, load_dataset
from mrlm_core.datasets.iot_ratings import LEVELS, SHARES, Counts, planted_levels, planted_ratings, utility
from mrlm_core.datasets.iot_shop import make_iot_shop
from mrlm_core.errors import ConfigError

MODALITIES = ("text", "image", "video", "audio", "knowledge")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_iot_shop(tmp_path_factory.mktemp("made") / "tiny", "tiny", progress=False)


@pytest.fixture(scope="module")
def dataset(tiny):
    return load_dataset(tiny)


def hashes(folder):
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*") if file.is_file()
    }


def test_same_seed_same_bytes_and_another_seed_others(tiny, tmp_path):
    again = hashes(make_iot_shop(tmp_path / "another-name", "tiny", seed=0, progress=False))
    assert again == hashes(tiny)
    other = hashes(make_iot_shop(tmp_path / "other", "tiny", seed=1, progress=False))
    for file in ("ratings.csv", "text.csv", "knowledge.tsv", "planted.csv", "images/p01.png", "videos/p01.mp4"):
        assert other.get(file) != again.get(file)


def test_the_folder_keeps_the_contract(dataset):
    assert (dataset.n_users, dataset.n_items, len(dataset.ratings)) == (60, 60, 1500)
    assert dataset.problems == ()
    assert dataset.name == "iot-shop-tiny"
    assert tuple(dataset.modalities) == MODALITIES
    assert dataset.item_fields["price"] == "numeric"
    missing = {name: int((~dataset.described(name)).sum()) for name in MODALITIES}
    assert missing == {"text": 3, "image": 1, "video": 6, "audio": 6, "knowledge": 3}


def test_ratings_are_whole_sufficient_ordered_and_half_positive(dataset):
    ratings = dataset.ratings
    assert set(ratings["rating"]) == {1, 2, 3, 4, 5}
    assert not ratings.duplicated(["user", "item"]).any()
    assert ratings.groupby("user").size().min() >= dataset.description["minimum_ratings_per_user"]
    assert (ratings.groupby("user")["timestamp"].diff().dropna() > 0).all()
    assert (ratings["rating"] >= dataset.positive_threshold).mean() == pytest.approx(0.5, abs=0.02)


def test_the_planted_truth_is_written_down(dataset, tiny):
    planted = dataset.description["planted"]
    assert planted["shares"] == SHARES
    assert sum(SHARES.values()) == pytest.approx(1)
    assert SHARES["text"] > SHARES["image"] > SHARES["video"] > SHARES["knowledge"] > SHARES["audio"]
    truth = pd.read_csv(tiny / planted["levels_file"])
    assert list(truth["item_id"]) == list(dataset.item_ids)
    for factor, n_levels in planted["levels"].items():
        assert set(truth[factor]) == set(range(n_levels))


def test_pictures_clips_and_sounds_open_with_ordinary_readers(dataset):
    import av
    import soundfile
    from PIL import Image

    for _, name, content in dataset.media("image"):
        with Image.open(io.BytesIO(content)) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (96, 96)), name
            assert len(picture.getcolors(96 * 96)) > 100
    for _, name, content in dataset.media("video"):
        with av.open(io.BytesIO(content)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert np.shape(frames) == (16, 64, 64, 3), name
        assert np.ptp(np.asarray(frames, float), axis=0).max() > 30, f"{name} does not move"
    for _, name, content in dataset.media("audio"):
        samples, rate = soundfile.read(io.BytesIO(content))
        assert (samples.shape, rate) == ((8000,), 8000), name
        assert np.abs(samples).max() > 0.1


def test_counts_asked_for_are_met(tmp_path):
    made = load_dataset(make_iot_shop(tmp_path / "mine", n_users=30, n_items=40, n_ratings=777, progress=False))
    assert (made.n_users, made.n_items, len(made.ratings)) == (30, 40, 777)
    assert made.name == "iot-shop-30x40x777"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "smal"}, "size: expected one of tiny, small, found 'smal'"),
        ({"n_users": 3}, "number of users: expected at least 10, found 3"),
        ({"n_items": -1}, "number of items: expected at least 20"),
        ({"n_items": 40, "n_users": 20, "n_ratings": 721}, "expected 100 to 720 for 20 users and 40 items, found 721"),
        ({"n_users": 100, "n_ratings": 499}, "number of ratings: expected 500 to"),
        ({"seed": -1}, "seed: expected a whole number from 0"),
    ],
)
def test_impossible_requests_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        make_iot_shop(tmp_path / "shop", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="a place that is free"):
        make_iot_shop(tmp_path, "tiny")
    assert hashes(tmp_path).keys() == {"letter.txt"}


def test_nothing_half_written_stays_behind(tmp_path, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(iot_shop, "planted_ratings", fail)
    with pytest.raises(KeyboardInterrupt):
        make_iot_shop(tmp_path / "shop", "tiny", progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def small():
    """Ratings of the small size, its true utilities [U, V] and levels, without any media."""
    levels = planted_levels(0, 500)
    age_group = np.arange(600) % 6
    ratings = planted_ratings(0, Counts(600, 500, 30_000), age_group, levels)
    parts = {factor: part[:, levels[factor]] for factor, part in utility(0, age_group, levels).items()}
    return ratings, parts, levels


def test_factors_explain_the_shares_they_are_said_to(small):
    _, parts, _ = small
    for factor, part in parts.items():
        assert part.var() == pytest.approx(SHARES[factor], rel=1e-6)
    together = np.corrcoef([part.ravel() for part in parts.values()])
    assert np.abs(together - np.eye(len(parts))).max() < 0.1, "factors are not independent"


def test_ratings_follow_utility_and_users_rate_what_they_like(small):
    ratings, parts, _ = small
    liking = sum(parts.values())
    rated = liking[ratings["user"], ratings["item"]]
    assert np.corrcoef(rated, ratings["rating"])[0, 1] > 0.6
    assert rated.mean() > liking.mean() + 0.5 * liking.std()


def recall_at_20(scores, train, test):
    top = np.argsort(np.where(train, -np.inf, scores), axis=1)[:, -20:]
    hits = np.take_along_axis(test, top, axis=1).sum(axis=1)
    relevant = test.sum(axis=1)
    return (hits[relevant > 0] / relevant[relevant > 0]).mean()


def test_what_the_media_show_ranks_well_and_permuted_it_does_not(small):
    ratings, _, levels = small
    held_out = np.random.default_rng(0).random(30_000) < 0.2
    positive = ratings["rating"] >= 4

    def matrix(rows):
        cells = np.zeros((600, 500), bool)
        cells[ratings["user"][rows], ratings["item"][rows]] = True
        return cells

    rated, train, test = matrix(~held_out), matrix(~held_out & positive), matrix(held_out & positive)

    def recall(factors, order=slice(None)):
        likeness = sum(SHARES[name] * (levels[name][order][:, None] == levels[name][order]) for name in factors)
        return recall_at_20(train.astype(float) @ likeness, rated, test)

    popularity = recall_at_20(np.tile(train.sum(axis=0), (600, 1)), rated, test)
    content = recall(MODALITIES)
    assert content > 1.5 * popularity
    assert recall(MODALITIES, np.random.default_rng(1).permutation(500)) < popularity
    for name in MODALITIES:
        assert recall([other for other in MODALITIES if other != name]) < content, f"{name} adds nothing"


def test_each_level_looks_and_sounds_like_itself():
    """Simple features of media of the same level are nearer than those of other levels."""
    from PIL import Image

    def hues(content):
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("HSV")).reshape(-1, 3)
        return np.histogram(pixels[pixels[:, 1] > 90, 0], 24, (0, 256))[0]

    def motion(content):
        import av

        with av.open(io.BytesIO(content)) as container:
            frames = np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)]).astype(float)
        profiles = [frames.mean(axis=axis) for axis in (1, 2)]
        spectra = [np.fft.rfft(p - p.mean(axis=0), axis=1)[:, 1:4] for p in profiles]
        steps = [(s[1:] * s[:-1].conj()).mean(axis=0) / (np.abs(s) ** 2).mean(axis=0) for s in spectra]
        return np.concatenate([np.concatenate([step.real, step.imag]) for step in steps])

    def spectrum(content):
        samples = np.frombuffer(content[44:], "<i2") / 32768
        return np.log(np.abs(np.fft.rfft(samples))[:4000].reshape(80, 50).mean(axis=1))

    categories = list(iot_catalogue.CATEGORIES)

    def media(name, level, copy):
        rng = np.random.default_rng([level, copy])
        category = categories[(3 * level + 5 * copy) % len(categories)]
        if name == "audio":
            return spectrum(iot_media.sound(rng, level))
        return hues(iot_media.picture(rng, category, level)) if name == "image" else motion(
            iot_media.clip(rng, category, level))

    for name in ("image", "video", "audio"):
        labels = np.repeat(np.arange(LEVELS[name]), 6)
        rows = np.array([media(name, level, copy) for level in range(LEVELS[name]) for copy in range(6)], float)
        distances = np.linalg.norm(rows[:, None] - rows, axis=2) + np.diag(np.full(len(rows), np.inf))
        accuracy = (labels[distances.argmin(axis=1)] == labels).mean()
        assert accuracy > 0.6, f"{name}: {accuracy}"


def test_words_and_relations_show_their_level(dataset, tiny):
    truth = pd.read_csv(tiny / "planted.csv")
    texts = dataset.texts("text")
    votes = [[sum(text.count(word) for pool in style[:2] for word in pool) for style in iot_catalogue.STYLES]
             for text in texts.values()]
    assert (np.argmax(votes, axis=1) == truth["text"].to_numpy()[list(texts)]).mean() > 0.7

    triples, entities = dataset.knowledge("knowledge")
    relations = iot_catalogue.RELATIONS
    own = triples[triples["relation"].isin(list(relations)) & triples["head"].str.startswith("product:")]
    place = {tail: i % LEVELS["knowledge"] for tails in relations.values() for i, tail in enumerate(tails)}
    shown = own["tail"].map(place).groupby(own["head"]).agg(lambda levels: levels.mode()[0])
    right = [shown[entity] == truth["knowledge"][item] for item, entity in entities.items()]
    assert np.mean(right) > 0.7


def test_vocabulary_and_levels_fit():
    assert len(iot_catalogue.STYLES) == LEVELS["text"] == LEVELS["knowledge"]
    assert len(iot_media._MOTIONS) == LEVELS["video"]
    assert len(iot_media._TIMBRES) == LEVELS["audio"]
    assert set(iot_media._ICONS) == set(iot_catalogue.CATEGORIES)
    for tails in iot_catalogue.RELATIONS.values():
        assert len(tails) % LEVELS["knowledge"] == 0
        assert len(set(tails)) == len(tails)
