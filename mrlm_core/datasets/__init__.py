"""Raw sources, dataset folders and splits; data/README.md states the contract of a dataset folder."""

from mrlm_core.datasets.contract import Dataset, Modality, Problem, describe, load_dataset

__all__ = ["Dataset", "Modality", "Problem", "describe", "load_dataset"]
