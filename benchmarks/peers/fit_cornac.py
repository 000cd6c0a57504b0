"""Cornac trained on the exported split: BPR, VBPR, ConvMF. None of them looks at validation."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from cornac.data import Dataset, ImageModality, TextModality
from cornac.data.text import BaseTokenizer
from cornac.models import BPR, VBPR, ConvMF

from benchmarks.peers.exported import arrays, timed, write_lists
from benchmarks.peers.serving import Prepared, serve

MODELS = {"BPR": BPR, "VBPR": VBPR, "ConvMF": ConvMF}
EPOCHS = {"BPR": "max_iter", "VBPR": "n_epochs"}  # the setting that says how many there are


class Counted(Dataset):
    """A Cornac Dataset that counts how often its items were gone through: ConvMF may stop before its last epoch."""

    passes = 0

    def item_iter(self, *args: Any, **kwargs: Any) -> Any:
        """As Cornac's own."""
        self.passes += 1
        return super().item_iter(*args, **kwargs)


def fit(
    folder: str, model: str, settings: dict[str, Any], seed: int, threads: int, kept: str, values: str = "",
) -> Prepared:
    """``model`` on the training positives, or on all training ratings with their ``values`` ("values" or "liked").

    With a seed Cornac's BPR takes one thread, whatever ``threads`` says. Its ConvMF weights an item by the root of its
    ratings, and with none its equations have no solution: it gets the rated items alone, and lists no others.
    """
    import torch

    torch.set_num_threads(threads)
    known = _known(folder, model)
    train = _train(folder, model, values, seed, known)
    facts: dict[str, Any] = {"amount": len(arrays(folder)["train_users"])}

    def once() -> None:
        recommender = MODELS[model](**settings, seed=seed, verbose=False)
        with timed(facts):
            recommender.fit(train)
        facts["epochs"] = settings[EPOCHS[model]] if model in EPOCHS else train.passes // settings["cnn_epochs"]
        of_users, of_items = recommender.get_user_vectors(), recommender.get_item_vectors()

        def score(users: np.ndarray) -> np.ndarray:
            scores = np.full((len(users), len(known)), -np.inf)
            scores[:, known] = of_users[users] @ of_items.T
            return scores

        write_lists(folder, kept, score)

    return once, facts


def _known(folder: str, model: str) -> np.ndarray:
    """Which items ``model`` is told of, bool ``[V]``."""
    found = arrays(folder)
    n_items = int(found["shape"][1])
    return np.isin(np.arange(n_items), found["ratings_items"]) if model == "ConvMF" else np.ones(n_items, bool)


def _train(folder: str, model: str, values: str, seed: int, known: np.ndarray) -> Counted:
    """Cornac's Dataset with our indices as its own, items counted among the ``known``, and what ``model`` reads."""
    found = arrays(folder)
    users, items = (found[f"{'ratings' if values else 'train'}_{axis}"] for axis in ("users", "items"))
    items = (np.cumsum(known) - 1)[items]
    ratings = found[f"ratings_{values}"] if values else np.ones(len(users))
    ids = [OrderedDict((index, index) for index in range(count)) for count in (int(found["shape"][0]), known.sum())]
    train = Counted(len(ids[0]), len(ids[1]), *ids, (users, items, ratings), seed=seed)
    if model == "VBPR":
        train.add_modalities(item_image=ImageModality(features=arrays(folder, "content")["content"]))
    if model == "ConvMF":
        # The words' numbers as words: both then read the same vocabulary, cut at the same place.
        texts = [" ".join(f"w{word}" for word in row if word) for row in arrays(folder, "words")["words"][known]]
        train.add_modalities(item_text=TextModality(corpus=texts, tokenizer=BaseTokenizer(" ")).build())
    return train


if __name__ == "__main__":
    serve({"fit": fit})
