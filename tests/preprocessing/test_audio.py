import io

import numpy as np
import pytest
import soundfile

from mrlm_core.preprocessing import audio
from mrlm_core.preprocessing.features import encode
from mrlm_core.preprocessing.vectors import Unreadable
from mrlm_core.preprocessing_config import PreprocessingConfig

CONFIG = PreprocessingConfig()


def sound(pitch, rate=16_000, seconds=0.6, format="WAV", noise=0.01, channels=1, seed=0):
    t = np.arange(int(rate * seconds)) / rate
    samples = 0.5 * np.sin(2 * np.pi * pitch * t) + noise * np.random.default_rng(seed).normal(size=len(t))
    buffer = io.BytesIO()
    soundfile.write(buffer, np.repeat(samples[:, None], channels, axis=1), rate, format=format)
    return buffer.getvalue()


def test_pitch_decides_who_is_near_whatever_loudness_and_rate(small):
    pitches = [220, 222, 880, 885, 3000, 3010]
    files = {i: (f"p{i}.wav", sound(pitch, rate=(16_000, 22_050)[i % 2], seed=i)) for i, pitch in enumerate(pitches)}
    features = encode(small("audio", 6, files), "audio", CONFIG, seed=0)
    distance = np.linalg.norm(features.values[:, None] - features.values, axis=-1) + 1e9 * np.eye(6)
    np.testing.assert_array_equal(distance.argmin(axis=1), [1, 0, 3, 2, 5, 4])


@pytest.mark.parametrize("format", ["WAV", "FLAC", "MP3", "OGG"])
def test_each_format_and_stereo_is_read(format):
    samples = audio.decode(sound(440, rate=44_100, format=format, channels=2))
    assert samples.dtype == np.float32
    assert np.abs(samples).max() == pytest.approx(1, rel=1e-5)
    peak = np.abs(np.fft.rfft(samples)).argmax() * audio.RATE / len(samples)
    assert peak == pytest.approx(440, abs=4)


def test_unreadable_empty_and_silent_files_are_masked_and_named(small):
    files = {0: ("p0.wav", sound(440)), 1: ("p1.wav", b"RIFF"), 2: ("p2.wav", sound(440, seconds=0)),
             3: ("p3.wav", sound(440, noise=0).replace(sound(440, noise=0)[44:], bytes(19_200))),
             4: ("p4.mp3", b""), 5: ("p5.wav", sound(880))}
    features = encode(small("audio", 6, files), "audio", CONFIG, seed=0)
    np.testing.assert_array_equal(features.mask, [True, False, False, False, False, True])
    [listed] = [note for note in features.notes if "unreadable" in note]
    assert "p1.wav" in listed
    assert "p3.wav (silent)" in listed


def test_samples_that_are_not_numbers_are_refused():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.array([0.1, np.nan, 0.2] * 1000), 8000, format="WAV", subtype="FLOAT")
    with pytest.raises(Unreadable, match="not finite"):
        audio.decode(buffer.getvalue())


def test_a_click_of_a_few_samples_is_described():
    blocks = audio.describe_sound(audio.decode(sound(440, seconds=0.005)))
    assert all(np.isfinite(block).all() for block in blocks.values())


def test_a_long_file_is_read_from_its_middle(monkeypatch):
    monkeypatch.setattr(audio, "LONGEST", 0.5)
    assert len(audio.decode(sound(440, seconds=3))) == pytest.approx(0.5 * audio.RATE, abs=2)
