"""The ablation: each variant differs from MRLM in what its name says alone; contributions, agreement, sentences."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrlm_core.datasets import load_dataset
from mrlm_core.errors import ConfigError
from mrlm_core.study import RunSpec, ablation, run, variants
from mrlm_core.study.ablation_figures import effects, known_and_measured
from mrlm_core.study.ablation_findings import sentences
from mrlm_core.study.variants import NamedRecord, Variant, changes, in_words, run_variants

BASE = RunSpec("shop", "MRLM", preset="tiny", settings={"training.max_epochs": 1})
MODALITIES = ("text", "image", "video", "audio", "knowledge")
# On the generated shop, every variant and all that it may change.
EXPECTED = {
    "U-GFRL": {"model": "U-GFRL"},
    **{f"{name} alone": {"modalities": (name,)} for name in MODALITIES},
    **{f"without {name}": {"modalities": tuple(m for m in MODALITIES if m != name)} for name in MODALITIES},
    "without L_g1, metric": {"model.lambda_1": 0.0, "model.lambda_2": pytest.approx(1 / 3)},
    "without L_g2, identity": {"model.lambda_1": pytest.approx(0.5), "model.lambda_2": 0.0},
    "without L_g3, verification": {"model.lambda_1": pytest.approx(2 / 3), "model.lambda_2": pytest.approx(1 / 3)},
    "L_g1 with a margin": {"model.metric_loss": "hinge"},
    "L_g1 as BPR": {"model.metric_loss": "bpr"},
    "modules in sequence": {"training.schedule": "sequential"},
    "modalities at the input": {"model.modalities": "input"},
    "permuted coordinates": {"model.coordinates": "permuted"},
    "verification repaired": {"model.verification": "repaired"},
    "without latest items": {"preference.form": "global-only"},
    "latest items alone": {"preference.form": "multimodal-only"},
    "latest items always": {"preference.global_weights": (0.25, 0.5, 0.75)},
    "permuted clusters": {"clusters": "permuted"},
    "random clusters": {"clusters": "random"},
    "clusters of initial vectors": {"clusters": "initial"},
    "k-means clusters": {"preprocessing.clustering": "kmeans"},
    "MLP trunk": {"model": "MRLM (MLP trunk)", "model.trunk": "mlp"},
}


@pytest.fixture
def dataset(workspace: Path):
    return load_dataset(workspace / "data" / "shop")


def named(name: str, mean: float, failed: bool = False, spread: float = 0.0) -> list[NamedRecord]:
    """Two splits of 200 users; variants differ by ``mean`` and by noise of size ``spread``."""
    made = []
    for seed in (0, 1):
        values = mean + 0.1 * np.random.default_rng(seed).random(200)
        values += spread * np.random.default_rng([seed, *name.encode()]).normal(size=200)
        columns = {metric: values for metric in ("recall@20", "recall@50", "auc@100")}
        table = None if failed else pd.DataFrame(columns, index=pd.RangeIndex(200, name="user"))
        data = {"spec": {"split_seed": seed, "seed": seed}, "status": "failed" if failed else "done",
                "error": "planted" if failed else ""}
        made.append(NamedRecord(Path("nowhere"), data, table, name))
    return made


def test_every_variant_changes_what_its_name_says_and_nothing_else(dataset) -> None:
    made = ablation.ablation(BASE, dataset)
    assert made[0] == Variant("MRLM", "whole", BASE)
    assert {variant.name: changes(variant.spec, BASE) for variant in made[1:]} == EXPECTED
    assert len({variant.name for variant in made}) == len(made)
    assert {variant.group for variant in made} == {"whole", *ablation.GROUPS}


def test_a_dropped_loss_term_has_no_weight_and_the_others_keep_their_ratio(dataset) -> None:
    base = BASE.config.model
    weights = np.array([base.lambda_1, base.lambda_2, 1 - base.lambda_1 - base.lambda_2])
    for place, variant in enumerate(ablation.ablation(BASE, dataset, ["losses"])[2:]):
        model = variant.spec.config.model
        left = np.array([model.lambda_1, model.lambda_2, 1.0 - model.lambda_1 - model.lambda_2])
        assert left[place] == 0, "as gfrl_loss computes it, exactly"
        kept = np.arange(3) != place
        np.testing.assert_allclose(left[kept] / left[kept].sum(), weights[kept] / weights[kept].sum())
        assert left.sum() == pytest.approx(1)


def test_settings_of_the_base_stay_and_a_variant_equal_to_it_is_left_out(dataset) -> None:
    base = replace(BASE, settings={"model.verification": "repaired", "preprocessing.clustering": "kmeans",
                                   "preference.form": "tiled", "model.lambda_1": 0.0})
    made = {variant.name: changes(variant.spec, base) for variant in ablation.ablation(base, dataset)[1:]}
    assert made["verification as-printed"] == {"model.verification": "as-printed"}
    assert made["permuted clusters"] == {"clusters": "permuted"}
    gone = {"verification repaired", "k-means clusters", "latest items always", "without L_g1, metric"}
    assert not gone & set(made)


def test_groups_choose_and_an_unknown_one_is_refused(dataset) -> None:
    names = [variant.name for variant in ablation.ablation(BASE, dataset, ["verification"])]
    assert names == ["MRLM", "U-GFRL", "verification repaired"]
    with pytest.raises(ConfigError, match="losses"):
        ablation.ablation(BASE, dataset, ["loses"])


def test_of_two_modalities_one_alone_is_the_other_left_out_and_of_one_there_is_nothing_to_vary(dataset) -> None:
    two = {v.name: v.spec for v in ablation.ablation(replace(BASE, modalities=("text", "image")), dataset)}
    assert two["text alone"] == two["without image"]
    one = {v.name for v in ablation.ablation(replace(BASE, modalities=("text",)), dataset, ["single", "leave-one-out"])}
    assert one == {"MRLM", "U-GFRL"}


def test_changes_are_put_in_words() -> None:
    assert in_words({"model.lambda_1": 1 / 3, "modalities": ("text", "image")}) == (
        "model.lambda_1 = 0.333, modalities = text + image")
    assert in_words({"modalities": ()}) == "modalities = none"
    assert in_words({}) == ""


def test_runs_are_named_seeded_and_equal_ones_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def fake(specs, scheduler=None):
        seen.extend(specs)
        return [run.RunRecord(Path(str(place)), {"spec": spec.resolved()}, None) for place, spec in enumerate(specs)]

    monkeypatch.setattr(variants, "run_many", fake)
    other = replace(BASE, clusters="random")
    records = run_variants([Variant("a", "g", BASE), Variant("b", "g", other), Variant("c", "g", BASE)], seeds=2)
    assert [(spec.clusters, spec.split_seed, spec.seed) for spec in seen] == [
        ("own", 0, 0), ("own", 1, 1), ("random", 0, 0), ("random", 1, 1)]
    assert [(record.label, record.folder.name) for record in records] == [
        ("a", "0"), ("a", "1"), ("b", "2"), ("b", "3"), ("c", "0"), ("c", "1")]


RECORDS = [
    *named("MRLM", 0.5), *named("U-GFRL", 0.3),
    *named("text alone", 0.45), *named("image alone", 0.4), *named("video alone", 0.35), *named("audio alone", 0.25),
    *named("without text", 0.4), *named("without image", 0.48), *named("without video", 0.45),
    *named("without knowledge", 0.0, failed=True),
    *named("permuted clusters", 0.5, spread=0.1), *named("MLP trunk", 0.6),
]


def test_contributions_are_what_is_lost_left_out_and_gained_alone(dataset) -> None:
    table = ablation.contributions(RECORDS, dataset, "recall@20")
    assert list(table.index) == ["text", "image", "video", "knowledge", "audio"], "largest planted share first"
    assert table["planted", "share"].to_dict() == pytest.approx(
        {"text": 0.3, "image": 0.2, "video": 0.14, "knowledge": 0.1, "audio": 0.06})
    np.testing.assert_allclose(table["left out", "mean"], [0.1, 0.02, 0.05, np.nan, np.nan])
    np.testing.assert_allclose(table["alone", "mean"], [0.15, 0.1, 0.05, np.nan, -0.05])
    for way in ("left out", "alone"):
        known = table[way].dropna()
        assert ((known["low"] <= known["mean"] + 1e-12) & (known["mean"] <= known["high"] + 1e-12)).all()


def test_where_nothing_was_planted_the_measured_effects_stand_alone(dataset) -> None:
    real = replace(dataset, description={**dataset.description, "planted": {}})
    table = ablation.contributions(RECORDS, real, "recall@20")
    assert list(table.index) == list(MODALITIES), "in the dataset's own order"
    assert table["planted", "share"].isna().all()
    assert ablation.agreement(table["planted", "share"], table["alone", "mean"]).n == 0
    assert len(known_and_measured(table, "recall@20", "title").axes) == 2


def test_agreement_counts_orders() -> None:
    planted = pd.Series([0.4, 0.3, 0.2, 0.1])
    same = ablation.agreement(planted, pd.Series([4.0, 3.0, 2.0, 1.0]))
    assert (same.rank_correlation, same.n) == (pytest.approx(1), 4)
    assert same.chance == pytest.approx(1 / 24), "one of the 24 orders of four"
    turned = ablation.agreement(planted, pd.Series([1.0, 2.0, 3.0, 4.0]))
    assert (turned.rank_correlation, turned.chance) == (pytest.approx(-1), pytest.approx(1))
    few = ablation.agreement(planted, pd.Series([1.0, 2.0, np.nan, np.nan]))
    assert np.isnan(few.chance)
    assert few.n == 2
    assert np.isnan(ablation.agreement(planted, pd.Series([1.0] * 4)).rank_correlation)


def test_percentages_of_the_paper_stand_beside_ours(dataset) -> None:
    table = ablation.beside_paper(RECORDS, dataset, ("ML20M", "BX"))
    assert table["paper, %"].tolist() == [49.35, 66.27, 9.01, 22.04, 24.65, 39.66]
    ratio = 100 * (0.55 / 0.35 - 1)  # the records' users add 0.05 on average
    assert table.loc[("recall@50", "U-GFRL"), "ours, %"].tolist() == pytest.approx([ratio] * 2, rel=0.02)
    assert table.loc[("auc@100", "text alone"), "ours, %"] == pytest.approx(10, rel=0.1)
    assert np.isnan(table.loc[("auc@100", "knowledge alone"), "ours, %"])
    assert ablation.beside_paper(RECORDS, dataset, ("BX",))["paper, %"].tolist() == [66.27], "the paper's books alone"


def test_sentences_follow_the_numbers(dataset) -> None:
    made = [Variant(name, group, BASE) for name, group in (
        ("MRLM", "whole"), ("U-GFRL", "whole"), ("text alone", "single"), ("without text", "leave-one-out"),
        ("permuted clusters", "controls"), ("MLP trunk", "controls"))]
    text = " ".join(sentences(RECORDS, made, dataset, "recall@20"))
    assert "Failed runs among: without knowledge." in text
    assert "over 2 splits. It is above U-GFRL, which reads no modality: 0.2000" in text
    assert "Alone, of 4 modalities 3 lift MRLM above U-GFRL (text, image, video) and 1 put it below (audio); " in text
    assert "Left out, of 3 modalities 3 cost MRLM something (text, image, video) and 0 are better left out; mis" in text
    assert "below (audio); best: text, +0.1500." in text
    assert "One modality alone: below MRLM: text alone (-0.0500)." in text
    assert "the effects alone have a rank correlation of +1.00; 4% of all orders" in text
    assert "Controls: not told apart from MRLM: permuted clusters" in text
    assert "above MRLM: MLP trunk (+0.1000)" in text
    assert " 10 intervals of differences to MRLM" in text, "the failed variant has none"
    assert "Trained for less" not in text
    cut = [replace(record, data={**record.data, "epochs": {"run": 20, "best": 18}}) if record.label == "text alone"
           else record for record in RECORDS]
    assert "higher: text alone (2 of 2 runs)." in sentences(cut, made, dataset, "recall@20")[-1]
    alone = sentences(named("MRLM", 0.1), made, dataset, "recall@20")
    assert alone == ["MRLM or U-GFRL has no run, so there is nothing to compare with."]


def test_figures_have_a_row_a_variant_and_a_panel_a_measure(dataset) -> None:
    names = list(dict.fromkeys(record.label for record in RECORDS))
    figure = effects(RECORDS, [Variant(name, "g", BASE) for name in names], "recall@20", "title")
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == names
    assert len(right.lines) == 1 + 2 * (len(names) - 2), "no row for MRLM itself, none for the failed one"
    table = ablation.contributions(RECORDS, dataset, "recall@20")
    assert len(known_and_measured(table, "recall@20", "title").axes) == 3
    half = ablation.contributions([r for r in RECORDS if "alone" not in r.label], dataset, "recall@20")
    assert len(known_and_measured(half, "recall@20", "title").axes) == 2
