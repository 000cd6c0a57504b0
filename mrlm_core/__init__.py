"""A reproducibility study of MRLM, a multimodal representation-learning recommender."""

__version__ = "0.1.0"
