"""A reproducibility study of MRLM, a multimodal representation-learning recommender."""

import os

__version__ = "0.1.0"

# TensorFlow chooses oneDNN's kernels, the faster ones, on some processors only; others round differently, and so a
# record would depend on where it was made. Read when TensorFlow is imported: import this package first.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
