"""Clips by their frames, and clips mapped to where their texts are, on planted data."""

import dataclasses

import numpy as np
import pytest
from test_networks import LAYERS, write_weights
from test_video import clip

from mrlm_core.config import preset
from mrlm_core.errors import ConfigError
from mrlm_core.preprocessing import ecnn, networks
from mrlm_core.preprocessing.features import encode
from mrlm_core.preprocessing.image import describe_picture
from mrlm_core.preprocessing.vectors import Features
from mrlm_core.preprocessing.video import decode

TINY = preset("tiny").preprocessing
CONFIG = dataclasses.replace(TINY, encoders={"video": "frame-mean"}, video_frames=3)


def planted(n_items=300, nonlinear=False, noise=0.3, seed=0):
    """Clips [V, 20] and texts [V, 8] that both tell of four hidden numbers; the last items have no text."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n_items, 4))
    seen = np.abs(hidden) - 0.8 if nonlinear else hidden
    clips = hidden @ rng.normal(size=(4, 20)) + noise * rng.normal(size=(n_items, 20)) + 3
    texts = np.tanh(seen @ rng.normal(size=(4, 8))) + 2  # a common part, as sentence vectors have
    mask = np.ones(n_items, bool)
    has_text = np.arange(n_items) < n_items * 0.9
    clips, texts = clips.astype(np.float32), np.where(has_text[:, None], texts, 0).astype(np.float32)
    return Features(clips, mask, "frames", ()), Features(texts, has_text, "words", ())


def embedded(monkeypatch, small, clips, texts, config, seed=0):
    monkeypatch.setattr(ecnn, "encode_frame_mean", lambda *given: clips)
    return ecnn.encode_ecnn(small("video", len(clips.mask), {}), "video", config, seed, None, texts, None)


def cosines_with(texts, features):
    """Cosines of clips and centred texts of the items that have a text, ``[n, n]``."""
    centred = (texts.values - texts.values[texts.mask].mean(axis=0))[texts.mask]
    return features.values[texts.mask] @ (centred / np.linalg.norm(centred, axis=1, keepdims=True)).T


def parts_of(texts, config):
    return next(ecnn._folds(np.flatnonzero(texts.mask), config, 0))


def test_clips_land_near_their_own_texts_through_maps_that_never_saw_them(monkeypatch, small):
    clips, texts = planted()
    made = embedded(monkeypatch, small, clips, texts, TINY)
    assert made.values.shape == texts.values.shape
    np.testing.assert_allclose(np.linalg.norm(made.values, axis=1), 1, atol=1e-5)  # those without text too
    cosines = cosines_with(texts, made)
    assert (cosines > np.diag(cosines)[:, None]).mean() < 0.1
    assert np.diag(cosines).mean() > 0.7
    assert made.encoder == "ecnn from frames to words"
    assert any("270 clips with text" in note for note in made.notes)
    assert any(" maps stayed linear" in note for note in made.notes)


def test_no_clip_repeats_a_text_that_it_does_not_show(monkeypatch, small):
    rng = np.random.default_rng(0)
    clips = Features(rng.normal(size=(100, 200)).astype(np.float32), np.ones(100, bool), "frames", ())
    texts = Features(rng.normal(size=(100, 8)).astype(np.float32), np.ones(100, bool), "words", ())
    made = embedded(monkeypatch, small, clips, texts, TINY)
    assert abs(np.diag(cosines_with(texts, made)).mean()) < 0.15  # more columns than clips: a map learns all by heart
    [note] = [note for note in made.notes if "while learning" in note]
    assert float(note.rpartition(" ")[2]) > 0.5


def test_every_item_is_judged_once_by_a_map_of_others():
    pairs = np.arange(5, 58)
    folds = list(ecnn._folds(pairs, dataclasses.replace(TINY, ecnn_folds=4), 0))
    np.testing.assert_array_equal(np.sort(np.concatenate([parts.judge for parts in folds])), pairs)
    for parts in folds:
        np.testing.assert_array_equal(np.sort(np.concatenate([parts.train, parts.validation, parts.judge])), pairs)
        assert len(parts.validation) == round(TINY.ecnn_validation * (len(pairs) - len(parts.judge)))


def test_the_hidden_layer_learns_what_the_ridge_cannot():
    clips, texts = planted(800, nonlinear=True, noise=0.1)
    config = dataclasses.replace(TINY, ecnn_hidden=128, ecnn_epochs=25, ecnn_learning_rate=0.01, ecnn_dropout=0.2)
    parts = parts_of(texts, config)
    ridge = ecnn.TextEmbedding(clips.values, texts.values, parts.train, config)
    ecnn._ridge_start(ridge, parts)
    trained = ecnn.train_embedding(clips.values, texts.values, parts, config, 0)
    assert trained.validation_loss(parts.judge) < ridge.validation_loss(parts.judge) - 0.3
    assert not trained.is_linear


def test_the_ridge_stays_where_training_only_spoils_it():
    clips, texts = planted(80)
    config = dataclasses.replace(TINY, ecnn_learning_rate=3.0)
    parts = parts_of(texts, config)
    model = ecnn.train_embedding(clips.values, texts.values, parts, config, 0)
    assert not model.correction.get_weights()[0].any()
    assert model.is_linear


def test_same_seed_same_bytes_and_another_seed_others(monkeypatch, small):
    clips, texts = planted(80)
    first, again, other = (embedded(monkeypatch, small, clips, texts, TINY, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.values, again.values)
    assert first.notes == again.notes
    assert (first.values != other.values).any()


def test_too_few_clips_with_texts_is_an_error(monkeypatch, small):
    clips, texts = planted(20)
    with pytest.raises(ConfigError, match="20 items with clip and text, found 18"):
        embedded(monkeypatch, small, clips, texts, TINY)


def test_equal_texts_are_not_each_others_negatives():
    texts = np.eye(4, dtype=np.float32)[[0, 0, 1]]
    assert float(ecnn.contrastive_loss(texts, texts, 0.01)) == pytest.approx(2 / 3 * np.log(2), abs=1e-5)


@pytest.fixture
def reel(small):
    whole = clip(2, 0, frames=6)
    return small("video", 6, {0: ("p0.mp4", whole), 1: ("p1.mp4", b""), 2: ("p2.mp4", clip(1, 1, frames=1)),
                              3: ("p3.mp4", clip(0, 2, frames=6, seed=3)), 4: ("p4.mp4", whole[:200])})


@pytest.mark.parametrize("frame_encoder", ["light", "squeezenet"])
def test_unreadable_and_single_frame_clips_are_masked_and_named(reel, tmp_path, frame_encoder):
    config = dataclasses.replace(CONFIG, frame_encoder=frame_encoder)
    if frame_encoder == "squeezenet":
        path = write_weights(tmp_path / "w.h5", LAYERS)
        config = dataclasses.replace(config, weights={"video": str(path)}, picture_batch=6)
    features = encode(reel, "video", config, 0, scratch=tmp_path / "scratch")
    np.testing.assert_array_equal(features.mask, [True, False, False, True, False, False])
    assert any("3 unreadable" in note and "p1.mp4" in note and "p2.mp4 (1 frames)" in note for note in features.notes)
    assert features.encoder.startswith("mean of 3 frames by ")
    if frame_encoder == "squeezenet":
        network = networks.load_network("squeezenet", path, "video")
        clips = [decode(reel.content[i][1], 3, network.side)[:, 0] for i in (0, 3)]
        assert clips[0].shape == (3, 227, 227, 3)
        means = np.stack([network.predict(frames).mean(axis=0) for frames in clips])
        expected = networks.scaled_activations(means)
        assert (np.sign(features.values[[0, 3]]) == np.sign(expected)).mean() > 0.99  # of 2 rows only signs are left
        assert len(list((tmp_path / "scratch").iterdir())) == 3  # two clips a batch


def test_the_light_mean_is_that_of_its_frames(reel):
    frames = decode(reel.content[0][1], 3)[:, 0]
    blocks = ecnn._mean_description(frames)
    expected = np.mean([describe_picture(frame)["layout"] for frame in frames], axis=0)
    np.testing.assert_allclose(blocks["layout"], expected)


def test_weights_must_go_with_the_frame_encoder(reel, tmp_path):
    (tmp_path / "w.h5").write_bytes(b"")
    with pytest.raises(ConfigError, match="frame_encoder 'light' has none"):
        encode(reel, "video", dataclasses.replace(CONFIG, weights={"video": str(tmp_path / "w.h5")}), 0)
    with pytest.raises(ConfigError, match="'squeezenet' of modality 'video': expected a file of trained weights"):
        encode(reel, "video", dataclasses.replace(CONFIG, frame_encoder="squeezenet"), 0)
