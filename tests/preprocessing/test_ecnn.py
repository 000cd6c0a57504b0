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


def nearer_than_own(features, texts, items):
    """Mean share of the other texts of ``items`` that lie nearer to a clip than its own."""
    centred = texts.values - texts.values[texts.mask].mean(axis=0)
    cosines = features.values[items] @ (centred / np.linalg.norm(centred, axis=1, keepdims=True))[items].T
    return (cosines > np.diag(cosines)[:, None]).sum(axis=1).mean() / (len(items) - 1)


def judged(texts, config, seed=0):
    return ecnn._parts(np.flatnonzero(texts.mask), config.ecnn_held_out, seed).judge


def test_held_out_clips_land_near_their_own_texts(monkeypatch, small):
    clips, texts = planted()
    made = embedded(monkeypatch, small, clips, texts, TINY)
    assert made.values.shape == texts.values.shape
    np.testing.assert_allclose(np.linalg.norm(made.values, axis=1), 1, atol=1e-5)  # those without text too
    share = nearer_than_own(made, texts, judged(texts, TINY))
    assert share < 0.1
    assert any(f"{share:.0%} of the other texts lie nearer" in note for note in made.notes)
    assert made.encoder == "ecnn from frames to words"
    shuffled = dataclasses.replace(texts, values=np.where(
        texts.mask[:, None], texts.values[np.random.default_rng(1).permutation(270).repeat(2)[:300]], 0))
    chance = embedded(monkeypatch, small, clips, shuffled, TINY)
    assert 0.35 < nearer_than_own(chance, shuffled, judged(shuffled, TINY)) < 0.65


def test_the_hidden_layer_learns_what_the_ridge_cannot(monkeypatch, small):
    clips, texts = planted(1200, nonlinear=True, noise=0.1)
    config = dataclasses.replace(TINY, ecnn_hidden=128, ecnn_epochs=40, ecnn_learning_rate=0.01, ecnn_dropout=0.2)
    parts = ecnn._parts(np.flatnonzero(texts.mask), config.ecnn_held_out, 0)
    model = ecnn.train_embedding(clips.values, texts.values, parts, config, 0)
    after = model.validation_loss(parts.judge)
    assert after < ecnn._ridge_start(model, parts) - 0.3  # also puts the ridge into the linear map


def test_the_ridge_stays_where_training_only_spoils_it():
    clips, texts = planted(80)
    config = dataclasses.replace(TINY, ecnn_learning_rate=3.0)
    parts = ecnn._parts(np.flatnonzero(texts.mask), config.ecnn_held_out, 0)
    model = ecnn.train_embedding(clips.values, texts.values, parts, config, 0)
    assert not model.correction.get_weights()[0].any()


def test_same_seed_same_bytes_and_another_seed_others(monkeypatch, small):
    clips, texts = planted()
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
        frames = decode(reel.content[3][1], 3, network.side)[:, 0]
        assert frames.shape == (3, 227, 227, 3)
        expected = networks.unit_roots(network.predict(frames).mean(axis=0, keepdims=True))[0]
        np.testing.assert_allclose(features.values[3], expected, atol=1e-5)
        assert len(list((tmp_path / "scratch").iterdir())) == 3  # two clips a batch


def test_the_light_mean_is_that_of_its_frames(reel):
    frames = decode(reel.content[0][1], 3)[:, 0]
    blocks = ecnn._mean_description(frames)
    np.testing.assert_allclose(blocks["layout"], np.mean([describe_picture(frame)["layout"] for frame in frames], axis=0))


def test_weights_must_go_with_the_frame_encoder(reel, tmp_path):
    (tmp_path / "w.h5").write_bytes(b"")
    with pytest.raises(ConfigError, match="frame_encoder 'light' has none"):
        encode(reel, "video", dataclasses.replace(CONFIG, weights={"video": str(tmp_path / "w.h5")}), 0)
    with pytest.raises(ConfigError, match="encoder 'squeezenet' of modality 'video': expected a file of trained weights"):
        encode(reel, "video", dataclasses.replace(CONFIG, frame_encoder="squeezenet"), 0)
