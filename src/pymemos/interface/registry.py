"""The registry: which handler carries out which request."""

from __future__ import annotations

from pymemos.cube.call import Request
from pymemos.interface import (
    auditing,
    embedding,
    handlers,
    provenance,
    queue_handlers,
    requests,
    time_machine,
    transfer,
)
from pymemos.interface.access import HANDLERS as ACCESS
from pymemos.interface.activation import HANDLERS as ACTIVATION
from pymemos.interface.adapters import HANDLERS as ADAPTERS
from pymemos.interface.api import Handler
from pymemos.interface.blending import HANDLERS as BLENDING
from pymemos.interface.chatting import HANDLERS as CHATTING
from pymemos.interface.erasure_handlers import HANDLERS as ERASURE
from pymemos.interface.giving_up import HANDLERS as GIVING_UP
from pymemos.interface.lifecycle_handlers import HANDLERS as LIFECYCLE
from pymemos.interface.merging import HANDLERS as MERGING
from pymemos.interface.moving import HANDLERS as MOVING
from pymemos.interface.privacy import HANDLERS as PRIVACY
from pymemos.interface.schedule_policies import HANDLERS as SCHEDULE_POLICIES
from pymemos.interface.signatures import HANDLERS as SIGNATURES
from pymemos.interface.steering import HANDLERS as STEERING
from pymemos.interface.tasks import HANDLERS as TASKS
from pymemos.interface.transforming import HANDLERS as TRANSFORMING
from pymemos.interface.viewing import HANDLERS as VIEWING
from pymemos.interface.what_if import HANDLERS as WHAT_IF

HANDLERS: dict[type[Request], Handler] = {
    requests.Add: handlers.AddHandler(),
    requests.AddTensor: handlers.AddTensorHandler(),
    requests.Search: handlers.SearchHandler(),
    requests.Get: handlers.GetHandler(),
    requests.ListPage: handlers.ListHandler(),
    requests.Update: handlers.UpdateHandler(),
    requests.Delete: handlers.DeleteHandler(),
    requests.History: handlers.HistoryHandler(),
    requests.Diff: handlers.DiffHandler(),
    **LIFECYCLE,
    **ACCESS,
    **PRIVACY,
    **SIGNATURES,
    **STEERING,
    **MERGING,
    **VIEWING,
    **WHAT_IF,
    **CHATTING,
    **ERASURE,
    **ACTIVATION,
    **BLENDING,
    **ADAPTERS,
    **MOVING,
    **GIVING_UP,
    **SCHEDULE_POLICIES,
    **TASKS,
    **TRANSFORMING,
    requests.Log: handlers.LogHandler(),
    auditing.VerifyPage: auditing.VerifyPageHandler(),
    auditing.SignHead: auditing.SignHeadHandler(),
    auditing.ExportLog: auditing.ExportLogHandler(),
    auditing.ExportPermissions: auditing.ExportPermissionsHandler(),
    requests.Export: transfer.ExportHandler(),
    requests.Import: transfer.ImportHandler(),
    requests.Backup: transfer.BackupHandler(),
    requests.Doctor: transfer.DoctorHandler(),
    requests.Enqueue: queue_handlers.EnqueueHandler(),
    requests.Jobs: queue_handlers.JobsHandler(),
    requests.ControlJob: queue_handlers.ControlJobHandler(),
    requests.Claim: queue_handlers.ClaimHandler(),
    requests.Heartbeat: queue_handlers.HeartbeatHandler(),
    requests.FailJob: queue_handlers.FailJobHandler(),
    requests.FinishJob: queue_handlers.FinishJobHandler(),
    requests.Reindex: queue_handlers.ReindexHandler(),
    embedding.Unembedded: embedding.UnembeddedHandler(),
    embedding.UseEmbedder: embedding.UseEmbedderHandler(),
    embedding.PutVectors: embedding.PutVectorsHandler(),
    provenance.Annotate: provenance.AnnotateHandler(),
    provenance.Restore: provenance.RestoreHandler(),
    provenance.Trace: provenance.TraceHandler(),
    time_machine.TakeSnapshot: time_machine.TakeSnapshotHandler(),
    time_machine.Snapshots: time_machine.SnapshotsHandler(),
    time_machine.PlanReturn: time_machine.PlanReturnHandler(),
    time_machine.ReturnTo: time_machine.ReturnToHandler(),
}
