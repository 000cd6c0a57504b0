"""Sounds to vectors, light: spectral, pitch and rhythm statistics."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from mrlm_core.preprocessing.vectors import Blocks, Features, Unreadable, encode_files
from mrlm_core.preprocessing_config import PreprocessingConfig

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

RATE = 16_000  # samples a second after resampling
LONGEST = 60.0  # seconds that are read, from the middle of a longer file
MEL_BANDS = 40


def encode_audio(dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int) -> Features:
    """Statistics over time of the log-mel spectrum, MFCC, chroma, spectral shape and loudness.

    The paper has no audio modality; this is our addition, a classical descriptor of timbre, pitch and rhythm. A
    file that cannot be decoded, or holds only silence, is masked and named in the notes.
    """
    return encode_files(dataset, modality, "mel-mfcc-chroma", lambda content: describe_sound(decode(content)))


def decode(content: bytes) -> np.ndarray:
    """Mono samples float32 at RATE, peak 1; wav, flac, ogg or mp3. Raises Unreadable."""
    import librosa
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            wanted = int(LONGEST * file.samplerate)
            if file.frames > wanted:
                file.seek((file.frames - wanted) // 2)
            samples, rate = file.read(wanted, dtype="float32", always_2d=True).mean(axis=1), file.samplerate
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        raise Unreadable(str(error) or type(error).__name__) from error
    if not np.isfinite(samples).all() or not np.abs(samples).max(initial=0) > 0:
        raise Unreadable("silent" if np.isfinite(samples).all() else "samples that are not finite")
    samples = librosa.resample(samples, orig_sr=rate, target_sr=RATE)
    return np.pad(samples, (0, max(0, RATE // 4 - len(samples)))) / np.abs(samples).max()


def describe_sound(samples: np.ndarray) -> Blocks:
    """Blocks of descriptors of mono samples at RATE."""
    from librosa import feature, power_to_db

    power = np.abs(_spectrogram(samples)) ** 2
    mel = power_to_db(feature.melspectrogram(S=power, sr=RATE, n_mels=MEL_BANDS), top_db=80.0)
    mfcc = feature.mfcc(S=mel, sr=RATE, n_mfcc=13)
    chroma = feature.chroma_stft(S=power, sr=RATE, tuning=0.0)
    shape = np.concatenate([
        np.log(feature.spectral_centroid(S=np.sqrt(power), sr=RATE) + 1),
        np.log(feature.spectral_bandwidth(S=np.sqrt(power), sr=RATE) + 1),
        np.log(feature.spectral_rolloff(S=np.sqrt(power), sr=RATE) + 1),
        feature.spectral_flatness(S=np.sqrt(power)),
    ])
    loudness = power_to_db(power.sum(axis=0, keepdims=True), top_db=60.0)
    return {"spectrum": mel.mean(axis=1), "change": mel.std(axis=1), "timbre": _moments(mfcc[1:]),
            "pitch": _moments(chroma), "shape": _moments(shape), "rhythm": _rhythm(loudness[0])}


def _spectrogram(samples: np.ndarray) -> np.ndarray:
    from librosa import stft

    return stft(samples, n_fft=1024, hop_length=256)


def _moments(rows: np.ndarray) -> np.ndarray:
    """Mean and deviation over time of each row, ``[rows, time]`` -> ``[2 rows]``."""
    return np.concatenate([rows.mean(axis=1), rows.std(axis=1)])


def _rhythm(loudness: np.ndarray, lags: int = 32) -> np.ndarray:
    """Autocorrelation of the loudness at the first ``lags`` frames (half a second)."""
    centred = loudness - loudness.mean()
    full = np.correlate(centred, centred, "full")[len(centred) - 1 :]
    full = np.pad(full, (0, max(0, lags + 1 - len(full))))
    return full[1 : lags + 1] / max(full[0], 1e-9)
