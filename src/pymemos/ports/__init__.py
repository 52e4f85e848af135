"""What the system asks of the outside: small protocols that storage and models fill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymemos.ports.models import Adapter as Adapter
from pymemos.ports.models import Blended as Blended
from pymemos.ports.models import Blender as Blender
from pymemos.ports.models import BlendingEngine as BlendingEngine
from pymemos.ports.models import BlendQuality as BlendQuality
from pymemos.ports.models import ChatModel as ChatModel
from pymemos.ports.models import ChatOptions as ChatOptions
from pymemos.ports.models import Embedder as Embedder
from pymemos.ports.models import Engine as Engine
from pymemos.ports.models import Kv as Kv
from pymemos.ports.models import Lesson as Lesson
from pymemos.ports.models import Loose as Loose
from pymemos.ports.models import Piece as Piece
from pymemos.ports.models import Prompt as Prompt
from pymemos.ports.models import SegmentAbout as SegmentAbout
from pymemos.ports.models import SegmentSource as SegmentSource
from pymemos.ports.models import SteeringUse as SteeringUse
from pymemos.ports.models import Teacher as Teacher
from pymemos.ports.models import Tokens as Tokens
from pymemos.ports.models import Tuner as Tuner
from pymemos.ports.models import Usage as Usage
from pymemos.ports.models import Utterance as Utterance
from pymemos.ports.models import Weights as Weights
from pymemos.ports.storage import AuditQuery as AuditQuery
from pymemos.ports.storage import AuditRecord as AuditRecord
from pymemos.ports.storage import AuditRow as AuditRow
from pymemos.ports.storage import BlobStore as BlobStore
from pymemos.ports.storage import Change as Change
from pymemos.ports.storage import Clock as Clock
from pymemos.ports.storage import Column as Column
from pymemos.ports.storage import Edge as Edge
from pymemos.ports.storage import Entry as Entry
from pymemos.ports.storage import Finding as Finding
from pymemos.ports.storage import Job as Job
from pymemos.ports.storage import JobState as JobState
from pymemos.ports.storage import Match as Match
from pymemos.ports.storage import Namespace as Namespace
from pymemos.ports.storage import NewId as NewId
from pymemos.ports.storage import NewOverlay as NewOverlay
from pymemos.ports.storage import OverlaidUnit as OverlaidUnit
from pymemos.ports.storage import Overlay as Overlay
from pymemos.ports.storage import ReadUnit as ReadUnit
from pymemos.ports.storage import Record as Record
from pymemos.ports.storage import Replay as Replay
from pymemos.ports.storage import Snapshot as Snapshot
from pymemos.ports.storage import Store as Store
from pymemos.ports.storage import StoredVector as StoredVector
from pymemos.ports.storage import TermWeights as TermWeights
from pymemos.ports.storage import TextRow as TextRow
from pymemos.ports.storage import Turn as Turn
from pymemos.ports.storage import Vector as Vector
from pymemos.ports.storage import WriteUnit as WriteUnit

if TYPE_CHECKING:
    from pymemos.ports.models import Floats as Floats
