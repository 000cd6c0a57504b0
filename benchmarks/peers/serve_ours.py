"""Ours as the driver times it: training of MRLM and BPR-MF, ranking, recall."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.peers.data import interactions
from benchmarks.peers.serving import Prepared, serve
from mrlm_core.baselines import registry
from mrlm_core.baselines.bpr_mf import BPRMF
from mrlm_core.evaluation.metrics import _along, _list_metrics, recall_at
from mrlm_core.evaluation.ranking import top_n
from mrlm_core.training.fit import drawn_ahead


def train_bpr(folder: str, dim: int, epochs: int) -> Prepared:
    """``epochs`` passes of BPR-MF: sampling and steps as in its fit at its defaults, but for ``dim``.

    There an epoch is several passes, and a thread draws the next one meanwhile.
    """
    parts = interactions(Path(folder))
    model = BPRMF(**{**registry.row("BPR-MF").defaults, "dim": dim, "max_epochs": 1})
    model.fit(parts, seed=0)
    sampler, own_epochs = model.sampler(parts), -(-epochs // model.negatives)

    def once() -> None:
        with closing(drawn_ahead(lambda rng: sampler.epoch(rng, 1), seed=0)) as rows:
            for _ in range(own_epochs):
                model.train_epoch(next(rows), 1)

    parameters = sum(int(np.prod(weight.shape)) for weight in model.model.trainable_variables)
    return once, {"amount": own_epochs * model.negatives * parts.train.nnz, "parameters": parameters}


def train_mrlm(folder: str, preset_name: str, batch_size: int, pairs: int) -> Prepared:
    """An epoch of MRLM with five modalities over ``pairs`` positives: sampling and ``fit`` as in MRLMRecommender."""
    from mrlm_core.config import preset
    from mrlm_core.model.mrlm import MRLM
    from mrlm_core.training.fit import STEPS_PER_CALL, one_epoch, seed_everything
    from mrlm_core.training.recommender import optimizer_of
    from mrlm_core.training.triplets import TripletSampler

    parts, config = interactions(Path(folder), pairs), preset(preset_name)
    seed_everything(0)
    rng = np.random.default_rng(0)
    users, items = (rng.normal(size=(n, config.model.embedding_dim)) for n in (parts.n_users, parts.n_items))
    clusters = {name: np.arange(parts.n_items, dtype=np.int32) % count
                for name, count in config.preprocessing.cluster_counts.items()}
    network = MRLM(config.model, users, items, clusters)
    network.compile(optimizer=optimizer_of(network, config.training), steps_per_execution=STEPS_PER_CALL)
    sampler = TripletSampler(parts, config.training.negatives)
    amount = len(sampler.epoch(rng, batch_size))

    def epoch() -> None:
        one_epoch(network, sampler.epoch(rng, batch_size), batch_size)

    facts = {"amount": amount, "mflop": step_mflop(network, batch_size) / batch_size,
             "parameters": sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)}
    return epoch, facts


def step_mflop(network: Any, batch_size: int) -> float:
    """MFLOP of one step's products and convolutions, forward and backward, by TensorFlow's own count."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([batch_size, 3], tf.int32)])
    def gradients(triplets: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = network.joint_loss(network.loss_terms(network(triplets, training=True)))
        return tape.gradient(loss, network.trainable_variables)

    builder = tf.compat.v1.profiler.ProfileOptionBuilder(
        tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    )
    options = builder.with_accounted_types([".*MatMul.*", "Conv2D.*"]).with_empty_output().build()
    graph = gradients.get_concrete_function().graph
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops / 1e6


def rank(folder: str, n: int, checked: int, kept: str) -> Prepared:
    """Top ``n`` of all items without the seen ones for every user; the first ``checked`` lists go to ``kept``."""
    with np.load(Path(folder) / "factors.npz") as data:
        users, items = data["users"], data["items"]
        shape = (len(users), len(items))
        seen = csr_matrix((np.ones(len(data["indices"]), np.float32), data["indices"], data["indptr"]), shape=shape)
    np.save(kept, top_n(users[:checked], items, n, exclude=seen[:checked])[0])
    return partial(top_n, users, items, n, exclude=seen), {"amount": len(users)}


def recall(folder: str, cutoffs: list[int], users: int, kept: str) -> Prepared:
    """``recall_at`` of the first ``users`` at one cutoff after the other; the values go to ``kept``."""
    ranked, relevant = _lists(folder, users)

    def once() -> np.ndarray:
        return np.stack([recall_at(ranked, relevant, n) for n in cutoffs])

    np.save(kept, once())
    return once, {"amount": users}


def recall_at_once(folder: str, cutoffs: list[int], users: int, kept: str) -> Prepared:
    """The same as ``evaluate`` computes it: hits are looked up once for all cutoffs."""
    ranked, relevant = _lists(folder, users)
    candidates = np.full(users, relevant.shape[1])

    def once() -> np.ndarray:
        return np.stack([*_list_metrics(_along(ranked, relevant, cutoffs), candidates, cutoffs, ()).values()])

    np.save(kept, once())
    return once, {"amount": users}


def _lists(folder: str, users: int) -> tuple[np.ndarray, csr_matrix]:
    with np.load(Path(folder) / "lists.npz") as data:
        ranked, indptr = data["ranked"][:users], data["indptr"][: users + 1]
        indices, n_items = data["indices"][: indptr[-1]], int(data["n_items"])
    ones = np.ones(len(indices), np.float32)
    return ranked, csr_matrix((ones, indices, indptr), shape=(users, n_items))


if __name__ == "__main__":
    serve({"train_bpr": train_bpr, "train_mrlm": train_mrlm, "rank": rank, "recall": recall,
           "recall_at_once": recall_at_once})
