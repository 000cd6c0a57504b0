"""Settings of the preprocessing: initial vectors, encoders and clusters (§3.1(1), Table 2 rows "DP")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mrlm_core.stopping import MOST_EPOCHS, PATIENCE

FRAME_ENCODERS = ("light", "squeezenet", "resnet50")
CLUSTERINGS = ("exact", "nystrom", "okkc", "kmeans")
INITIAL_VECTORS = ("xdeepfm", "bpr", "random")
READ_OUTS = ("A", "D")

# The paper has no audio clusters; this count stands beside Table 2's four (our addition).
CLUSTER_COUNTS = {"text": 25, "image": 20, "video": 25, "knowledge": 20, "audio": 20}


@dataclass(frozen=True)
class PreprocessingConfig:
    """Initial vectors, encoders and clusters (§3.1(1), Table 2 rows "DP")."""

    initial: str = "xdeepfm"  # G26
    read_out: str = "D"  # of xDeepFM: "A" a dense layer inside the published pair model, "D" a tower a side; G26
    field_dim: int = 32  # D of xDeepFM; its 10 is too narrow where a user is an id and nothing else
    cin_layers: tuple[int, ...] = (100, 100, 50)
    dnn_layers: tuple[int, ...] = (400, 400)
    initial_negatives: int = 4  # uniform negatives a positive
    initial_epochs: int = MOST_EPOCHS
    initial_patience: int = PATIENCE
    initial_batch_size: int = 2048
    initial_learning_rate: float = 0.004
    initial_l2: float = 0.01
    cluster_counts: Mapping[str, int] = field(default_factory=lambda: dict(CLUSTER_COUNTS))  # tau; G21
    encoders: Mapping[str, str] = field(default_factory=dict)  # modality -> name, else dataset.yml's or "light"; G42
    weights: Mapping[str, str] = field(default_factory=dict)  # modality -> file of its encoder's weights
    text_dim: int = 100
    transformer_dim: int = 128  # length of its text vectors
    transformer_layers: int = 2
    transformer_heads: int = 4
    transformer_vocabulary: int = 8000  # words and pieces of words
    transformer_window: int = 128  # tokens read at once; a longer text is read in several windows
    transformer_batch: int = 4096  # tokens a step
    transformer_tokens: int = 3_000_000  # read in training: small sets many times over, large ones in part
    text_model: str = "all-MiniLM-L6-v2"  # the pretrained sentence Transformer
    knowledge_dim: int = 50  # G29
    knowledge_epochs: int = 60
    transg_components: int = 10  # at most, translations a relation
    transg_start: int = 4  # of them at the start
    transg_crp_factor: float = 1.0  # concentration of the Chinese restaurant process; G29
    transg_scale: float = 0.2  # distances are divided by it in a component's likelihood
    transg_negatives: int = 4  # corrupted triples a true one
    transg_margin: float = 3.0  # of log P(true) over the log of their mean P
    transg_learning_rate: float = 0.003
    transg_epochs: int = 30  # after knowledge_epochs of TransE, from which it starts
    transg_settling_epochs: int = 10  # the last of them, in which no component opens
    video_frames: int = 8
    clustering: str = "exact"  # "nystrom" beyond 20,000 items, "okkc" the cited fusion, "kmeans" a control; G22
    picture_batch: int = 16  # pictures or frames a call of an image network
    frame_encoder: str = "light"  # of frame-mean and ecnn; the networks need weights; G42
    ecnn_hidden: int = 256  # units of the correction to the linear map
    ecnn_dropout: float = 0.5  # of those units
    ecnn_temperature: float = 0.1  # cosines are divided by it in the contrastive loss
    ecnn_batch_size: int = 128  # clips; their texts are each other's negatives
    ecnn_learning_rate: float = 0.001
    ecnn_weight_decay: float = 0.01
    ecnn_epochs: int = 60
    ecnn_patience: int = 5
    ecnn_folds: int = 5  # a clip's map is trained on the other folds
    ecnn_validation: float = 0.15  # share of those that stops the training
