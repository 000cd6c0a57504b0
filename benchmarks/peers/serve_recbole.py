"""RecBole as the driver times it: training epochs of its models, ranking with its ``full_sort_topk``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed
from recbole.utils.case_study import full_sort_topk
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peers.serving import Prepared, serve

BLOCK = 500  # users ranked at once: full_sort_topk holds all their scores
NEGATIVES = {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": False, "candidate_num": 0}
POINTWISE = ("NeuMF", "xDeepFM")
IDS = {"inter": ["user_id", "item_id"], "user": ["user_id"], "item": ["item_id"]}
EXTRA_COLUMNS = {
    "xDeepFM": {"item": ["item_id", "attributes"]},
    "CKE": {"kg": ["head_id", "relation_id", "tail_id"], "link": ["item_id", "entity_id"]},
}


def train(
    folder: str, name: str, batch_size: int, pairs: int | None, threads: int, settings: dict[str, Any]
) -> Prepared:
    """One epoch of RecBole's trainer over ``pairs`` positives (all), one negative each, sampling included."""
    torch.set_num_threads(threads)
    data, amount = _atomic_split(Path(folder), pairs)
    columns = {**IDS, **EXTRA_COLUMNS.get(name, {})}
    rows = 2 if name in POINTWISE else 1  # rows a pair: its positive and its negative by themselves
    own = {"load_col": columns, "train_batch_size": rows * batch_size, **settings}
    config, loaded, model = _model(name, data, own)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    with FlopCounterMode(display=False) as counter:
        trainer._train_epoch(loaded[0], 0)
    facts = {"amount": amount, "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
             "mflop": counter.get_total_flops() / amount / 1e6}
    return lambda: trainer._train_epoch(loaded[0], 1), facts


def rank(folder: str, n: int, threads: int, checked: int, kept: str) -> Prepared:
    """``full_sort_topk`` of all users in blocks by a BPR model that holds the given factors."""
    torch.set_num_threads(threads)
    with np.load(Path(folder) / "factors.npz") as data:
        factors = {"user": data["users"], "item": data["items"]}
        indptr, indices = data["indptr"], data["indices"]
    counts = {kind: len(vectors) for kind, vectors in factors.items()}
    seen = np.stack([np.repeat(np.arange(counts["user"]), np.diff(indptr)), indices], axis=1)
    test = np.stack([np.arange(counts["user"]), _first_unseen(seen, counts)], axis=1)
    data = _atomic({"train": seen, "valid": seen[:1], "test": test}, counts)
    _, loaded, model = _model("BPR", data, {"load_col": IDS, "embedding_size": factors["item"].shape[1]})
    own = {kind: np.array(loaded[0]._dataset.field2id_token[f"{kind}_id"][1:], np.int64) for kind in factors}
    with torch.no_grad():
        for kind, vectors in factors.items():
            getattr(model, f"{kind}_embedding").weight[1:] = torch.from_numpy(vectors[own[kind]])
    inner = np.empty(counts["user"], np.int64)
    inner[own["user"]] = 1 + np.arange(counts["user"])

    def lists(count: int) -> list[torch.Tensor]:
        blocks = (inner[start : min(start + BLOCK, count)] for start in range(0, count, BLOCK))
        return [full_sort_topk(block, model, loaded[2], n)[1] for block in blocks]

    np.save(kept, own["item"][torch.cat(lists(checked)).numpy() - 1])
    return lambda: lists(counts["user"]), {"amount": counts["user"]}


def _first_unseen(seen: np.ndarray, counts: dict[str, int]) -> np.ndarray:
    """A test item for each user, which RecBole asks for: the first unseen one, since it never leaves test items out."""
    users, items = np.arange(counts["user"]), np.zeros(counts["user"], np.int64)
    keys = seen[:, 0] * counts["item"] + seen[:, 1]
    while (wrong := np.isin(users * counts["item"] + items, keys)).any():
        items[wrong] += 1
    return items


def _model(name: str, data: Path, settings: dict[str, Any]) -> tuple[Any, Any, Any]:
    """RecBole's config, its (train, validation, test) loaders and the untrained model."""
    sys.argv = sys.argv[:1]
    shared = {
        "data_path": str(data.parent), "benchmark_filename": ["train", "valid", "test"], "checkpoint_dir": str(data),
        "train_neg_sample_args": NEGATIVES, "eval_args": {"group_by": "user", "order": "RO", "mode": "full"},
        "metrics": ["Recall"], "valid_metric": "Recall@10", "use_gpu": False, "show_progress": False, "state": "ERROR",
    }
    config = Config(model=name, dataset=data.name, config_dict={**shared, **settings})
    init_seed(0, True)
    loaded = data_preparation(config, create_dataset(config))
    return config, loaded, get_model(config["model"])(config, loaded[0]._dataset)


def _atomic_split(folder: Path, pairs: int | None) -> tuple[Path, int]:
    """The exported split, its items' attributes and knowledge as RecBole's files; and how many positives to train."""
    with np.load(folder / "split.npz") as split:
        parts = {theirs: np.stack([split[f"{ours}_users"], split[f"{ours}_items"]], axis=1)
                 for theirs, ours in (("train", "train"), ("valid", "validation"), ("test", "test"))}
        counts, triples = dict(zip(("user", "item"), map(int, split["shape"]), strict=True)), split["triples"]
    parts["train"] = parts["train"][:pairs]
    data = _atomic(parts, counts)
    values: list[list[str]] = [[] for _ in range(counts["item"])]
    for item, _, value in triples:
        values[item].append(f"v{value}")
    rows = [f"{item}\t{' '.join(own)}" for item, own in enumerate(values)]
    _write(data, "item", "item_id:token\tattributes:token_seq", rows)
    _write(data, "kg", "head_id:token\trelation_id:token\ttail_id:token",
           [f"i{item}\tr{kind}\tv{value}" for item, kind, value in triples])
    _write(data, "link", "item_id:token\tentity_id:token", [f"{item}\ti{item}" for item in np.unique(triples[:, 0])])
    return data, len(parts["train"])


def _atomic(parts: dict[str, np.ndarray], counts: dict[str, int]) -> Path:
    data = Path(tempfile.mkdtemp(dir=".")).absolute()
    for part, pairs in parts.items():
        _write(data, f"{part}.inter", "user_id:token\titem_id:token", [f"{user}\t{item}" for user, item in pairs])
    for kind, count in counts.items():
        _write(data, kind, f"{kind}_id:token", [str(index) for index in range(count)])
    return data


def _write(data: Path, suffix: str, header: str, rows: list[str]) -> None:
    (data / f"{data.name}.{suffix}").write_text("\n".join([header, *rows]) + "\n")


if __name__ == "__main__":
    serve({"train": train, "rank": rank})
