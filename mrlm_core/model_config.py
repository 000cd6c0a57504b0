"""Sizes, weights and switches of the network: Table 2's rows "MT"; re-exported by ``mrlm_core.config``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# The paper has no audio weight; this one stands beside Table 2's four (our addition).
MODALITY_WEIGHTS = {"text": 0.3, "image": 0.25, "video": 0.25, "knowledge": 0.2, "audio": 0.2}

# Of each setting that is a name, the names there are.
MODEL_CHOICES = {
    "trunk": ("convolution", "mlp"),
    "coordinates": ("as-given", "permuted"),
    "modalities": ("clusters", "input"),
    "verification": ("as-printed", "repaired"),
    "output_activation": ("sigmoid", "linear"),
    "metric_loss": ("as-printed", "hinge", "bpr"),
    "identity_head": ("auto", "full", "sampled"),
    "precision": ("float32", "bfloat16"),
}


@dataclass(frozen=True)
class ModelConfig:
    """The network and its losses (§3.2-3.3, Table 2 rows "MT")."""

    embedding_dim: int = 250  # d_0
    trunk: str = "convolution"  # "mlp": a control, dense layers with about as many parameters; G06
    coordinates: str = "as-given"  # "permuted": a control, their order drawn at random; G06
    modalities: str = "clusters"  # "input": a control, descriptions beside the initial vectors and no MFRL
    trunk_channels: tuple[int, ...] = (20, 30, 30, 15)  # mu_1..mu_4; d_2 = mu_1; G04
    kernel_size: int = 3  # G05
    first_stride: int = 2  # gives Table 2's d_3 = d_0 / 2; G05
    global_dim: int = 300  # d_1
    verification_units: int = 128  # length of C_p in Eq. 8-9, not printed; G03
    verification: str = "as-printed"  # G02
    siamese_channels: tuple[int, ...] = (20, 30)  # kappa_1, kappa_2
    multimodal_dim: int = 250  # d_4
    output_activation: str = "sigmoid"  # G10
    metric_loss: str = "as-printed"  # L_g1; G10
    metric_margin: float = 0.2  # of cosine distances, for "hinge"; G10
    metric_scale: float = 10.0  # of cosine distances, for "bpr"; G10
    dropout: float = 0.5  # G25
    batch_norm_momentum: float = 0.9  # G25
    lambda_1: float = 0.4  # weight of L_g1; lambda_3 = 1 - lambda_1 - lambda_2; G11
    lambda_2: float = 0.2  # weight of L_g2; G11
    theta_1: float = 0.55  # weight of L_GFRL against L_MFRL; G11
    modality_weights: Mapping[str, float] = field(default_factory=lambda: dict(MODALITY_WEIGHTS))  # nu; G44
    identity_head: str = "auto"  # G23
    identity_full_limit: int = 20_000  # "auto" samples above this many classes; G23
    sampled_candidates: int = 1024
    precision: str = "float32"  # "bfloat16": products and convolutions in 16 bits, all else in 32
