"""The table of models: one row a publication, with what a model reads and what was adapted."""

from mrlm_core.baselines import registry
from mrlm_core.study.models_table import models_table, styled_models


def test_a_model_and_its_plus_share_a_row() -> None:
    table = models_table(["EASE", "CKE", "CKE+", "xDeepFM+", "Initial vectors (dot)"])
    assert list(table.index) == ["EASE", "CKE, CKE+", "xDeepFM+", "Initial vectors (dot)"]
    assert table.loc["EASE"].tolist() == ["Steck 2019", "ratings alone", "as published"]
    assert table.loc["CKE, CKE+", "reads"] == "features, triples; +: every modality"
    assert table.loc["xDeepFM+", "reads"] == "attributes, content"
    assert table.loc["xDeepFM+", "here"] == registry.row("xDeepFM+").adaptation
    assert table.loc["Initial vectors (dot)", "reads"] == "initial vectors"


def test_every_model_of_the_registry_has_an_author_and_words() -> None:
    table = models_table(registry.names())
    assert (table.map(len) > 0).all(axis=None)
    assert "Ferrari Dacrema 2021" in table["published"].tolist()
    html = styled_models(registry.names(), "The models").to_html()
    assert "The models" in html
    assert "vertical-align: top" in html
