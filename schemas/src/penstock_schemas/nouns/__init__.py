"""The contracts, one file a noun. Importing this package registers all of them."""

from penstock_schemas.nouns.cluster import (
    NodeDrained,
    NodeLost,
    NodeRegistered,
    PlanCommitted,
    QueueConfigured,
    QueueRejected,
    QueueRequested,
)
from penstock_schemas.nouns.dataset import (
    ColumnProfile,
    DatasetProfiled,
    DatasetRegistered,
    DatasetRejected,
    DatasetRequested,
    SourceFile,
    TableProfile,
)
from penstock_schemas.nouns.endpoint import (
    EndpointReady,
    EndpointRejected,
    EndpointRequested,
    RolloutAdvanced,
    RolloutCompleted,
    RolloutRolledback,
    RolloutStarted,
)
from penstock_schemas.nouns.experiment import (
    Categorical,
    Distribution,
    ExperimentCompleted,
    ExperimentRejected,
    ExperimentRequested,
    Float,
    Int,
    TrialCompleted,
    TrialFailed,
    TrialPruned,
    TrialStarted,
)
from penstock_schemas.nouns.features import (
    FeaturesMaterialized,
    FeaturesPushed,
    FeaturesRejected,
    FeaturesRequested,
)
from penstock_schemas.nouns.job import (
    JobCancelled,
    JobCancelRequested,
    JobCheckpointed,
    JobFailed,
    JobPlaced,
    JobPreempted,
    JobQueued,
    JobRejected,
    JobRequested,
    JobStarted,
    JobSucceeded,
)
from penstock_schemas.nouns.model import (
    Lineage,
    ModelDemoted,
    ModelPromoted,
    ModelRegistered,
    PromotionRefused,
    PromotionRejected,
    PromotionRequested,
)
from penstock_schemas.nouns.parts import (
    Gate,
    ModelTarget,
    Objective,
    ObjectRef,
    Origin,
    Program,
    Refusal,
    Resources,
)
from penstock_schemas.nouns.trigger import (
    Action,
    TriggerFired,
    TriggerRejected,
    TriggerRequested,
    WebhookReceived,
)

__all__ = [name for name in dir() if name[0].isupper()]
