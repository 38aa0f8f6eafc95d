"""The store: one typed method per SQL function or plain read, and nothing else.

The state machine itself is the SQL under `migrations/functions`; reads are the statements of
`executor.queries`. Every method may raise DatabaseUnavailable; the other errors come from checks
in the database.
"""

from __future__ import annotations

from flowbuilder.executor.store.admission import AdmissionStore
from flowbuilder.executor.store.approval_rooms import ApprovalRooms
from flowbuilder.executor.store.approvals import ApprovalStore
from flowbuilder.executor.store.budgets import BudgetStore
from flowbuilder.executor.store.connections import ConnectionStore
from flowbuilder.executor.store.emitting import EmittingStore
from flowbuilder.executor.store.flows import FlowStore
from flowbuilder.executor.store.growth import GrowthStore
from flowbuilder.executor.store.limits import LimitStore
from flowbuilder.executor.store.memories import MemoryStore
from flowbuilder.executor.store.operations import OperationsStore
from flowbuilder.executor.store.pins import PinStore
from flowbuilder.executor.store.plans import PlanStore
from flowbuilder.executor.store.policies import PolicyStore
from flowbuilder.executor.store.replanning import ReplanStore
from flowbuilder.executor.store.retention import Pruned, RetentionStore
from flowbuilder.executor.store.runs import RunStore
from flowbuilder.executor.store.secrets import SecretStore
from flowbuilder.executor.store.subscriptions import Subscription, SubscriptionStore
from flowbuilder.executor.store.triggers import TriggerStore
from flowbuilder.executor.store.values import ValueStore
from flowbuilder.executor.store.workers import RELAYS_PER_TICK, WorkerStore

__all__ = ["RELAYS_PER_TICK", "Pruned", "Store", "Subscription"]


class Store(
    FlowStore,
    RunStore,
    GrowthStore,
    ApprovalStore,
    ApprovalRooms,
    PlanStore,
    ReplanStore,
    EmittingStore,
    RetentionStore,
    SubscriptionStore,
    LimitStore,
    BudgetStore,
    MemoryStore,
    PolicyStore,
    SecretStore,
    PinStore,
    OperationsStore,
    AdmissionStore,
    TriggerStore,
    ConnectionStore,
    ValueStore,
    WorkerStore,
):
    """Typed calls of the SQL functions, for one workspace."""

    async def of_run(self, run_id: str) -> Store:
        """Return the store of the workspace that a run belongs to. Raises: NotFound."""
        workspace = await self.workspace_of_run(run_id)
        return self if workspace == self.workspace else Store(self.database, workspace=workspace)
