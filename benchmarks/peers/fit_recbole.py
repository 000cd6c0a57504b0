"""RecBole trained on the exported split: BPR, EASE, ItemKNN, xDeepFM, CKE.

Its trainer stops early on validation Recall@20 and the best epoch is kept, as ours does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.utils import ModelType, get_model, get_trainer, init_seed

from benchmarks.peers.exported import CUTOFF, arrays, timed, write_lists
from benchmarks.peers.serve_recbole import EXTRA_COLUMNS, IDS, NEGATIVES, POINTWISE, _atomic, _write
from benchmarks.peers.serving import Prepared, serve

PAIRS_AT_ONCE = 2**16  # pairs whose scores are computed together by a model that has no vectors
SCORES_AT_ONCE = 2**22


def fit(
    folder: str, model: str, settings: dict[str, Any], seed: int, threads: int, kept: str, few_users: bool = False,
) -> Prepared:
    """``model`` with RecBole's ``settings``, ``train_batch_size`` in positives, ``sample_num`` of negatives for each.

    ``few_users``: the sample of users whose validation stops ours stops it too.
    """
    torch.set_num_threads(threads)
    found = arrays(folder)
    data, columns = _written(folder, model, found, few_users)
    config, loaded = _loaded(model, data, seed, {**settings, **_batches(model, **settings), "load_col": columns})
    facts: dict[str, Any] = {"amount": len(found["train_users"]), "epochs": 1}

    def once() -> None:
        init_seed(seed, True)
        with timed(facts):
            network = get_model(model)(config, loaded[0]._dataset)
            if config["MODEL_TYPE"] != ModelType.TRADITIONAL:  # those are fitted when they are made
                facts["epochs"] = _trained(config, network, loaded)
        write_lists(folder, kept, _scores(network, loaded[0]._dataset))

    return once, facts


def _batches(model: str, train_batch_size: int = 0, sample_num: int = 0, **others: Any) -> dict[str, Any]:
    """Negatives, and a batch in rows: a pointwise model's positive and negatives are rows by themselves."""
    rows = 1 + sample_num if model in POINTWISE else sample_num
    if not train_batch_size:
        return {}
    sampled = {**NEGATIVES, "sample_num": sample_num}
    return {"train_batch_size": rows * train_batch_size, "train_neg_sample_args": sampled}


def _trained(config: Any, network: Any, loaded: Any) -> int:
    """Train with RecBole's own trainer, put the best epoch's weights into ``network``; how many epochs were run."""
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, network)
    trainer.fit(loaded[0], loaded[1], verbose=False, saved=True, show_progress=False)
    # By hand: RecBole's own way back leaves ``weights_only`` to PyTorch, which now refuses the config in the file.
    network.load_state_dict(torch.load(trainer.saved_model_file, weights_only=False)["state_dict"])
    return len(trainer.train_loss_dict)


def _scores(network: Any, dataset: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Scores ``[u, V]`` of users by our indices, for all items by our indices."""
    network.eval()
    theirs = {kind: np.array(dataset.field2id_token[f"{kind}_id"][1:], np.int64) for kind in ("user", "item")}
    inner = np.empty(len(theirs["user"]), np.int64)
    inner[theirs["user"]] = 1 + np.arange(len(inner))

    @torch.no_grad()
    def score(users: np.ndarray) -> np.ndarray:
        asked = dataset.join(Interaction({"user_id": torch.from_numpy(inner[users])}))
        try:
            found = network.full_sort_predict(asked)
        except NotImplementedError:  # what RecBole raises for a model that scores pairs alone
            found = torch.cat([_pairs(network, dataset, asked[place : place + 1]) for place in range(len(users))])
        by_place = np.asarray(found, np.float32).reshape(len(users), -1)[:, 1:]  # the first is padding
        scores = np.empty_like(by_place)
        scores[:, theirs["item"]] = by_place
        return scores

    return score


def _pairs(network: Any, dataset: Any, user: Any) -> torch.Tensor:
    """Scores of one user with every item, pair by pair, as RecBole ranks models without vectors."""
    pairs = user.repeat_interleave(dataset.item_num)
    pairs.update(dataset.get_item_feature())
    return network.predict(pairs)


def _loaded(name: str, data: Path, seed: int, settings: dict[str, Any]) -> tuple[Any, Any]:
    """RecBole's config and its (train, validation, test) loaders."""
    sys.argv = sys.argv[:1]
    at_once = PAIRS_AT_ONCE if name in POINTWISE else SCORES_AT_ONCE
    shared = {
        "data_path": str(data.parent), "benchmark_filename": ["train", "valid", "test"], "checkpoint_dir": str(data),
        "train_neg_sample_args": NEGATIVES, "eval_args": {"group_by": "user", "order": "RO", "mode": "full"},
        "metrics": ["Recall"], "topk": [CUTOFF], "valid_metric": f"Recall@{CUTOFF}", "metric_decimal_place": 9,
        "eval_batch_size": at_once, "use_gpu": False, "show_progress": False, "state": "ERROR", "seed": seed,
    }
    config = Config(model=name, dataset=data.name, config_dict={**shared, **settings})
    init_seed(seed, True)
    return config, data_preparation(config, create_dataset(config))


def _written(folder: str, name: str, found: dict[str, np.ndarray], few_users: bool) -> tuple[Path, dict[str, Any]]:
    """The split as RecBole's files, and the columns that ``name`` reads of them."""
    pairs = {part: np.stack([found[f"{part}_{axis}"] for axis in ("users", "items")], axis=1)
             for part in ("train", "validation")}
    if few_users:
        pairs["validation"] = pairs["validation"][np.isin(pairs["validation"][:, 0], found["few_users"])]
    counts = dict(zip(("user", "item"), map(int, found["shape"]), strict=True))
    # RecBole wants a test part; it gets validation's, so that it cannot look at the real one.
    data = _atomic({"train": pairs["train"], "valid": pairs["validation"], "test": pairs["validation"]}, counts)
    columns = {**IDS, **EXTRA_COLUMNS.get(name, {})}
    if name == "xDeepFM":
        columns |= _write_fields(data, arrays(folder, "fields"))
    if name == "CKE":
        _write_triples(data, **arrays(folder, "triples"))
    return data, columns


def _write_fields(data: Path, fields: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """Every attribute of users and items as a column of its own, whose values are averaged, as in ours."""
    columns = {}
    for kind, values in (("user", fields["users"]), ("item", fields["items"])):
        names = [f"{kind}{place}" for place in range(values.shape[1])]
        rows = ["\t".join([str(index), *(" ".join(f"v{value}" for value in row if value >= 0) for row in own)])
                for index, own in enumerate(values)]
        _write(data, kind, "\t".join([f"{kind}_id:token", *(f"{name}:token_seq" for name in names)]), rows)
        columns[kind] = [f"{kind}_id", *names]
    return columns


def _write_triples(data: Path, triples: np.ndarray, entities: np.ndarray) -> None:
    _write(data, "kg", "head_id:token\trelation_id:token\ttail_id:token",
           [f"e{head}\tr{kind}\te{tail}" for head, kind, tail in triples])
    linked = np.flatnonzero(entities >= 0)
    _write(data, "link", "item_id:token\tentity_id:token", [f"{item}\te{entities[item]}" for item in linked])


if __name__ == "__main__":
    serve({"fit": fit})
